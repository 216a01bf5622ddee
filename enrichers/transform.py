"""Transform: changes of form on the way out. Null stays null; a value that has no such form raises BadValueError."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal, localcontext
from typing import Any, assert_never
from zoneinfo import ZoneInfo

from models.change import EPOCH
from models.column_types import exact_number
from models.tables import Transformation

CENTS = Decimal("0.01")
MILLISECONDS_FROM = 100_000_000_000
"""An epoch number at least this large counts milliseconds (1973 or later), a smaller one seconds (before 5138)."""


class BadValueError(Exception):
    """A value has no such form. Carries no message: the value must not travel (P6)."""


def transformer(kind: Transformation, zone: str) -> Callable[[Any], Any]:
    """The function of a rule. `zone` is the zone of source times; DMS appends `Z` to times without one too."""
    match kind:
        case Transformation.ISO_DATE:
            where = UTC if zone == "UTC" else ZoneInfo(zone)
            return lambda value: None if value is None else _iso_date(value, where)
        case Transformation.DECIMAL:
            return lambda value: None if value is None else _decimal(value)
        case Transformation.UPPERCASE:
            return lambda value: None if value is None else _text(value).upper()
        case Transformation.LOWERCASE:
            return lambda value: None if value is None else _text(value).lower()
        case _:
            assert_never(kind)


def iso(moment: datetime) -> str:
    """UTC with microseconds and `Z`: `2026-01-15T10:31:00.000000Z`."""
    if moment.tzinfo is not UTC:
        moment = moment.astimezone(UTC)
    return moment.isoformat(timespec="microseconds")[:-6] + "Z"


def _iso_date(value: Any, zone: Any) -> str:
    try:
        if isinstance(value, str):
            text = value.strip()
            moment = datetime.fromisoformat(text)
            if moment.tzinfo is None or text[-1] in "zZ":
                moment = moment.replace(tzinfo=zone)
            return iso(moment)
        if isinstance(value, int | Decimal) and not isinstance(value, bool):
            number = Decimal(value)
            seconds = number / 1_000 if abs(number) >= MILLISECONDS_FROM else number
            return iso(EPOCH + timedelta(microseconds=int(seconds * 1_000_000)))
    except (ValueError, OverflowError, ArithmeticError, IndexError):
        pass
    raise BadValueError


def _decimal(value: Any) -> str:
    number = exact_number(value)
    if number is None:
        raise BadValueError
    with localcontext() as context:
        context.prec = 5_000
        return format(number.quantize(CENTS, ROUND_HALF_UP), "f")


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise BadValueError
    return value
