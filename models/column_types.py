"""Checks of values against declared column types. A value of another type that means the same is put right; the whole
table of type, value and answer stands in `docs/column-types.md`, made from the rows of `EXAMPLES`.
"""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from models.strict_json import decimal_text
from models.tables import ColumnType

WRONG: Final = object()
"""Answer of a check for a value that is not of the type."""

_INTEGER = re.compile(r"([+-]?[0-9]{1,400})(\.0{1,400})?", re.ASCII)
_NUMBER = re.compile(r"[+-]?([0-9]{1,400}(\.[0-9]{0,400})?|\.[0-9]{1,400})([eE][+-]?[0-9]{1,3})?", re.ASCII)
NO_MOMENT = re.compile(
    r"-?infinity|[0-9]{4,6}-[0-9]{2}-[0-9]{2}([T ][0-9:.]{5,15}(Z|[+-][0-9:]{2,5})?)?( BC)?", re.ASCII
)
"""What databases keep in columns of times although it is none: zero dates of MySQL, infinities of PostgreSQL."""
NO_NUMBER: Mapping[str, str] = {
    **dict.fromkeys(("nan",), "NaN"),
    **dict.fromkeys(("infinity", "+infinity", "inf", "+inf", "positive_infinity"), "Infinity"),
    **dict.fromkeys(("-infinity", "-inf", "negative_infinity"), "-Infinity"),
}
"""What PostgreSQL keeps in columns of numbers although it is none, in small letters -> its own spelling. Debezium
writes POSITIVE_INFINITY where numbers are text, and Infinity where they are doubles."""
_TRUE = frozenset({"true", "t", "1", "y", "yes"})
_FALSE = frozenset({"false", "f", "0", "n", "no"})


def _int(value: Any) -> Any:
    kind = type(value)
    if kind is int:
        return value
    if kind is Decimal:  # DMS casts big integers to doubles unless UseLargeIntegerValue is on
        return int(value) if value == value.to_integral_value() else WRONG
    if kind is str:
        found = _INTEGER.fullmatch(value)
        return int(found[1]) if found is not None else WRONG
    return WRONG


def _text(value: Any) -> Any:
    kind = type(value)
    if kind is str:
        return value
    if kind is int:
        return str(value)
    return decimal_text(value) if kind is Decimal else WRONG


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
    if kind is str:
        try:
            datetime.fromisoformat(value.strip())
        except ValueError:
            return value if NO_MOMENT.fullmatch(value) else WRONG
        return value
    return value if kind is int or kind is Decimal else WRONG


def _decimal(value: Any) -> Any:
    kind = type(value)
    if kind is int or kind is Decimal:
        return value
    if kind is not str:
        return WRONG
    return value if _NUMBER.fullmatch(value) else NO_NUMBER.get(value.lower(), WRONG)


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

NATIVE: Mapping[ColumnType, frozenset[type]] = {
    ColumnType.INT: frozenset({int}),
    ColumnType.TEXT: frozenset({str}),
    ColumnType.BOOL: frozenset({bool}),
    ColumnType.TIMESTAMP: frozenset({str}),
    ColumnType.DECIMAL: frozenset({int, Decimal, str}),
}
"""What a source sends for a column of the type, unless it was retyped. The types that are left out take anything."""

KINDS: Mapping[type, str] = {
    bool: "boolean", int: "integer", Decimal: "fraction", str: "text", list: "array", dict: "object",
}  # fmt: skip
"""What a value is called where it is told without being shown."""

EXAMPLES: tuple[tuple[ColumnType, Any], ...] = (
    (ColumnType.INT, 7), (ColumnType.INT, Decimal("7.0")), (ColumnType.INT, "7"), (ColumnType.INT, "7.0"),
    (ColumnType.INT, Decimal("7.5")), (ColumnType.INT, "seven"), (ColumnType.INT, "NaN"), (ColumnType.INT, True),
    (ColumnType.TEXT, "7"), (ColumnType.TEXT, 7), (ColumnType.TEXT, Decimal("7.50")), (ColumnType.TEXT, True),
    (ColumnType.TEXT, {"a": 1}),
    (ColumnType.BOOL, True), (ColumnType.BOOL, 1), (ColumnType.BOOL, 0), (ColumnType.BOOL, "true"),
    (ColumnType.BOOL, "N"), (ColumnType.BOOL, 2), (ColumnType.BOOL, "maybe"),
    (ColumnType.TIMESTAMP, "2026-01-15T10:31:00Z"), (ColumnType.TIMESTAMP, "2026-01-15 10:31:00.5"),
    (ColumnType.TIMESTAMP, "2026-01-15"), (ColumnType.TIMESTAMP, "0000-00-00 00:00:00"),
    (ColumnType.TIMESTAMP, "infinity"), (ColumnType.TIMESTAMP, 1768473060), (ColumnType.TIMESTAMP, "yesterday"),
    (ColumnType.TIMESTAMP, True),
    (ColumnType.DECIMAL, Decimal("7.50")), (ColumnType.DECIMAL, 7), (ColumnType.DECIMAL, "7.50"),
    (ColumnType.DECIMAL, "1e3"), (ColumnType.DECIMAL, "NaN"), (ColumnType.DECIMAL, "-Infinity"),
    (ColumnType.DECIMAL, "POSITIVE_INFINITY"), (ColumnType.DECIMAL, "7,50"), (ColumnType.DECIMAL, False),
    (ColumnType.JSON, {"a": 1}), (ColumnType.JSON, '{"a": 1}'), (ColumnType.JSON, 7),
    (ColumnType.ANY, True), (ColumnType.ANY, [1]),
)  # fmt: skip
"""(type, given): the rows of the documented table."""


def exact_number(value: Any) -> Decimal | None:
    """The number in a value of a decimal column; None if there is none, and for NaN and infinities."""
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
