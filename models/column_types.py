"""Checks of values against declared column types. A value of another type that means the same is put right."""

import re
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from models.tables import ColumnType

WRONG: Final = object()
"""Answer of a check for a value that is not of the type."""

_INTEGER = re.compile(r"[+-]?[0-9]{1,400}", re.ASCII)
_NUMBER = re.compile(r"[+-]?([0-9]{1,400}(\.[0-9]{0,400})?|\.[0-9]{1,400})([eE][+-]?[0-9]{1,3})?", re.ASCII)
_TRUE = frozenset({"true", "t", "1", "y", "yes"})
_FALSE = frozenset({"false", "f", "0", "n", "no"})


def _int(value: Any) -> Any:
    kind = type(value)
    if kind is int:
        return value
    if kind is Decimal:  # DMS casts big integers to doubles unless UseLargeIntegerValue is on
        return int(value) if value == value.to_integral_value() else WRONG
    if kind is str and _INTEGER.fullmatch(value):
        return int(value)
    return WRONG


def _text(value: Any) -> Any:
    return value if type(value) is str else WRONG


def _bool(value: Any) -> Any:
    kind = type(value)
    if kind is bool:
        return value
    if kind is int or kind is Decimal:  # MySQL tinyint(1)
        return bool(value) if value in (0, 1) else WRONG
    if kind is str:
        word = value.strip().lower()
        return True if word in _TRUE else False if word in _FALSE else WRONG
    return WRONG


def _timestamp(value: Any) -> Any:
    kind = type(value)
    return value if kind is str or kind is int or kind is Decimal else WRONG


def _decimal(value: Any) -> Any:
    kind = type(value)
    if kind is int or kind is Decimal:
        return value
    return value if kind is str and _NUMBER.fullmatch(value) else WRONG


def _any(value: Any) -> Any:
    return value


Check = Callable[[Any], Any]
CHECKS: dict[ColumnType, Check] = {
    ColumnType.INT: _int,
    ColumnType.TEXT: _text,
    ColumnType.BOOL: _bool,
    ColumnType.TIMESTAMP: _timestamp,
    ColumnType.DECIMAL: _decimal,
    ColumnType.JSON: _any,
    ColumnType.ANY: _any,
}
"""Type -> function that answers the value (put right where needed) or WRONG. None is never passed in."""


def exact_number(value: Any) -> Decimal | None:
    """The number in a value of a decimal column; None if there is none."""
    if type(value) is int:
        return Decimal(value)
    if type(value) is Decimal:
        return value
    if type(value) is str and _NUMBER.fullmatch(value):
        try:
            return Decimal(value)
        except InvalidOperation:
            return None
    return None
