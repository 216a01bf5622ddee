"""Pydantic models of images of a row: any column may be absent or null, but for those that a kind of change must have.

What a value may be is said here in pydantic's words, and in `models/column_types.py` in plain functions for the hot
path; `tests/contract/test_row_models.py` holds both to the same verdicts.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    Strict,
    StrictBool,
    StrictInt,
    StrictStr,
    StringConstraints,
    create_model,
)

from models.column_types import NO_MOMENT, NO_NUMBER
from models.routing import is_key
from models.tables import ColumnType


def _integral(value: Decimal) -> Decimal:
    if value != value.to_integral_value():
        raise ValueError("not an integer")
    return value


def _present(value: Any) -> Any:
    if value is None:
        raise ValueError("null")
    return value


def _plain(value: Any) -> Any:
    if not is_key(value):
        raise ValueError("no plain value")
    return value


def _moment(value: str) -> str:
    try:
        datetime.fromisoformat(value.strip())
    except ValueError:
        if NO_MOMENT.fullmatch(value) is None:
            raise
    return value


def _word(value: Any) -> Any:
    return value.strip().lower() if type(value) is str else value


def _no_number(value: str) -> str:
    if value.lower() not in NO_NUMBER:
        raise ValueError("a number")
    return value


_Decimal = Annotated[Decimal, Strict()]
_Bit = Annotated[StrictInt, Field(ge=0, le=1)] | Annotated[_Decimal, Field(ge=0, le=1), AfterValidator(_integral)]
_NUMBER = r"^[+-]?([0-9]{1,400}(\.[0-9]{0,400})?|\.[0-9]{1,400})([eE][+-]?[0-9]{1,3})?$"
VALUES: dict[ColumnType, Any] = {
    ColumnType.INT: (
        StrictInt
        | Annotated[_Decimal, AfterValidator(_integral)]
        | Annotated[str, StringConstraints(strict=True, pattern=r"^[+-]?[0-9]{1,400}(\.0{1,400})?$")]
    ),
    ColumnType.TEXT: StrictStr | StrictInt | _Decimal,
    ColumnType.BOOL: (
        StrictBool
        | _Bit
        | Annotated[Literal["true", "t", "1", "y", "yes", "false", "f", "0", "n", "no"], BeforeValidator(_word)]
    ),
    ColumnType.TIMESTAMP: Annotated[StrictStr, AfterValidator(_moment)] | StrictInt | _Decimal,
    ColumnType.DECIMAL: (
        StrictInt
        | _Decimal
        | Annotated[str, StringConstraints(strict=True, pattern=_NUMBER)]
        | Annotated[StrictStr, AfterValidator(_no_number)]
    ),
    ColumnType.JSON: Any,
    ColumnType.ANY: Any,
}
"""What a value of a column may be, as the strict decoder delivers it."""

_CONFIG = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)


def image_of(
    name: str, columns: Mapping[str, ColumnType], *, needed: Iterable[str] = (), keys: Iterable[str] = ()
) -> type[BaseModel]:
    """Model of one image of a row with these columns. Those in `needed` are there and not null, those in `keys` are
    plain values, too."""
    needed, keys = set(needed), set(keys)
    fields: dict[str, Any] = {}
    for place, column in enumerate(sorted(columns.keys() | needed | keys)):
        values = VALUES[columns.get(column, ColumnType.ANY)]
        if column in needed | keys:
            check = _plain if column in keys else _present
            fields[f"column_{place}"] = (Annotated[values, BeforeValidator(check)], Field(alias=column))
        else:
            fields[f"column_{place}"] = (values | None, Field(None, alias=column))
    return create_model(name, __config__=_CONFIG, **fields)
