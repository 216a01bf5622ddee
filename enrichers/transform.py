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
MICROSECONDS_FROM = 1_000 * MILLISECONDS_FROM
"""At least this large it counts microseconds, as timestamps of Aurora DSQL and of Debezium without schemas do."""


class BadValueError(Exception):
    """A value has no such form. Carries no message: the value must not travel (P6)."""


Transformer = Callable[[Any], Any]


def transformer(kind: Transformation, zone: str, *, means_z: bool = False) -> Transformer:
    """The function of a rule. `zone` is that of source times which carry none: a time that comes twice, when clocks are
    set back, is the first of the two; one that never comes, when they are set forward, is as much later as they are.
    `means_z` False: a `Z` is no zone, because DMS appends it to times without one too."""
    match kind:
        case Transformation.ISO_DATE:
            where = UTC if zone == "UTC" else ZoneInfo(zone)
            return lambda value: None if value is None else _iso_date(value, where, means_z=means_z)
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


def _iso_date(value: Any, zone: Any, *, means_z: bool) -> str:
    try:
        if isinstance(value, str):
            text = value.strip()
            moment = datetime.fromisoformat(text)
            if moment.tzinfo is None or (text[-1] in "zZ" and not means_z):
                moment = moment.replace(tzinfo=zone)
            return iso(moment)
        if isinstance(value, int | Decimal) and not isinstance(value, bool):
            number = Decimal(value)
            return iso(EPOCH + timedelta(microseconds=int(number * _microseconds_per_unit(abs(number)))))
    except (ValueError, OverflowError, ArithmeticError, IndexError):
        pass
    raise BadValueError


def _microseconds_per_unit(number: Decimal) -> int:
    if number >= MICROSECONDS_FROM:
        return 1
    return 1_000 if number >= MILLISECONDS_FROM else 1_000_000


def _decimal(value: Any) -> str:
    number = exact_number(value)
    if number is None or not number.is_finite():
        raise BadValueError
    with localcontext() as context:
        context.prec = 5_000
        rounded = number.quantize(CENTS, ROUND_HALF_UP)
        return format(rounded or abs(rounded), "f")  # -0.001 is 0.00


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise BadValueError
    return value
