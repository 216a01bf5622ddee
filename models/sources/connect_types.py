"""Values of Kafka Connect's JSON converter, read by the schema that came with them.

Names of Debezium and Connect (`io.debezium.time.MicroTimestamp`, `org.apache.kafka.connect.data.Decimal` …) say what a
number or a text means; the tables are in the Debezium documentation of each connector, "Data type mappings". Without a
schema a value is what it looks like.
"""

import base64
import binascii
from collections.abc import Callable, Mapping
from datetime import date, timedelta
from decimal import Context, Decimal
from typing import Any, Final

from models.change import EPOCH
from models.sources.binary import read_tagged

WRONG: Final = object()
"""Answer for a value that is not what its schema says."""
MAX_SCALE = 400
MAX_DECIMAL_BYTES = 512
_EXACT = Context(prec=2_000)
_DAY = 86_400
_LAST_DAY = (date.max - date(1970, 1, 1)).days
_FIRST_DAY = (date.min - date(1970, 1, 1)).days
_CYCLE = 146_097
"""Days of 400 years, after which the calendar repeats."""
_FIRST_YEAR, _LAST_YEAR = -4_712, 294_276
"""Of PostgreSQL's timestamps: 4713 BC, and the last one."""
_INFINITE = {9_223_372_036_825_200_000: "infinity", -9_223_372_036_832_400_000: "-infinity"}
"""What Debezium writes for PostgreSQL's infinite timestamps."""
_LONGEST = 839 * 3_600 * 1_000_000
"""Beyond the longest TIME of MySQL, microseconds."""

Reader = Callable[[Any], Any]


def row_reader(schema: Any) -> "dict[str, Reader]":
    """Column -> reader, by the schema of a row (`{"type": "struct", "fields": [...]}`); only columns whose values are
    not what they look like. Anything else than such a schema has none."""
    fields = schema.get("fields") if type(schema) is dict else None
    if type(fields) is not list:
        return {}
    found = {}
    for described in fields:
        if type(described) is dict and type(described.get("field")) is str:
            reader = _reader(described)
            if reader is not None:
                found[described["field"]] = reader
    return found


def read_row(row: Mapping[str, Any], readers: Mapping[str, Reader]) -> dict[str, Any] | str:
    """The row with its values read, or the name of the column that is not what its schema says."""
    found = {}
    for name, value in row.items():
        reader = readers.get(name)
        if reader is not None and value is not None:
            value = reader(value)  # noqa: PLW2901  what stands in the row is what was read
            if value is WRONG:
                return name
        found[name] = value
    return found


def _reader(described: Mapping[str, Any]) -> Reader | None:
    name = described.get("name")
    if name == "org.apache.kafka.connect.data.Decimal":
        parameters = described.get("parameters")
        scale = parameters.get("scale", "0") if type(parameters) is dict else "0"
        return lambda value: _decimal(value, scale)
    if type(name) is str and name in _NAMED:
        return _NAMED[name]
    kind, items = described.get("type"), described.get("items")
    if kind == "array" and type(items) is dict and (reader := _reader(items)) is not None:
        return _each(reader)
    return _binary if kind == "bytes" else None


def _each(read: Reader) -> Reader:
    """An array of such values, as PostgreSQL's `numeric[]` is one."""

    def read_all(values: Any) -> Any:
        if type(values) is not list:
            return WRONG
        found = [None if value is None else read(value) for value in values]
        return WRONG if any(value is WRONG for value in found) else found

    return read_all


def _decimal(value: Any, scale: Any) -> Any:
    """Two's complement, the highest byte first, and how many digits stand behind the point."""
    try:
        digits = int(scale)
        packed = base64.b64decode(value, validate=True) if type(value) is str else None
    except (ValueError, TypeError, binascii.Error):
        return WRONG
    if packed is None or len(packed) > MAX_DECIMAL_BYTES or abs(digits) > MAX_SCALE:
        return WRONG
    return Decimal(int.from_bytes(packed, "big", signed=True)).scaleb(-digits, _EXACT)


def _variable_decimal(value: Any) -> Any:
    return _decimal(value.get("value"), value.get("scale")) if type(value) is dict else WRONG


def _binary(value: Any) -> Any:
    found = read_tagged(value)
    return WRONG if found is None else found


def _day(value: Any) -> Any:
    if type(value) is not int:
        return WRONG
    if _FIRST_DAY <= value <= _LAST_DAY:
        return (date(1970, 1, 1) + timedelta(days=value)).isoformat()
    return _foreign_day(value)


def _foreign_day(days: int, time: str = "") -> Any:
    """A day that databases know and Python does not, as PostgreSQL writes it: `0044-03-15 BC`, `10000-01-01`."""
    cycles, rest = divmod(days, _CYCLE)
    day = date(1970, 1, 1) + timedelta(days=rest)
    year = day.year + 400 * cycles
    if not _FIRST_YEAR <= year <= _LAST_YEAR:
        return WRONG
    text, era = (f"{year:04d}", "") if year > 0 else (f"{1 - year:04d}", " BC")
    return f"{text}-{day:%m-%d}{time}{era}"


def _moment(units: int) -> Reader:
    """A time without a zone, counted since 1970; `units` make a second."""

    def read(value: Any) -> Any:
        if type(value) is not int:
            return WRONG
        micros = value * 1_000_000 // units
        if not _FIRST_DAY * _DAY * 1_000_000 <= micros < (_LAST_DAY + 1) * _DAY * 1_000_000:
            endless = _INFINITE.get(value) or _INFINITE.get(micros)
            days, rest = divmod(micros, _DAY * 1_000_000)
            return endless or _foreign_day(days, "T" + _clock(rest))
        return (EPOCH + timedelta(microseconds=micros)).replace(tzinfo=None).isoformat(timespec="microseconds")

    return read


def _time_of_day(units: int) -> Reader:
    """Counted since midnight, up to 24:00:00; `units` make a second."""

    def read(value: Any) -> Any:
        if type(value) is not int or not 0 <= value <= _DAY * units:
            return WRONG
        return _clock(value * 1_000_000 // units)

    return read


def _length_of_time(micros: Any) -> Any:
    """A time of day, or what MySQL keeps in columns of the same type: up to 838:59:59, also negative."""
    if type(micros) is not int or abs(micros) >= _LONGEST:
        return WRONG
    return ("-" if micros < 0 else "") + _clock(abs(micros))


def _clock(micros: int) -> str:
    seconds, rest = divmod(micros, 1_000_000)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{rest:06d}"


_MILLI, _MICRO, _NANO = 1_000, 1_000_000, 1_000_000_000
_NAMED: Mapping[str, Reader] = {
    "io.debezium.data.VariableScaleDecimal": _variable_decimal,
    "io.debezium.time.Date": _day,
    "org.apache.kafka.connect.data.Date": _day,
    "io.debezium.time.Time": _time_of_day(_MILLI),
    "org.apache.kafka.connect.data.Time": _time_of_day(_MILLI),
    "io.debezium.time.MicroTime": _length_of_time,
    "io.debezium.time.NanoTime": _time_of_day(_NANO),
    "io.debezium.time.Timestamp": _moment(_MILLI),
    "org.apache.kafka.connect.data.Timestamp": _moment(_MILLI),
    "io.debezium.time.MicroTimestamp": _moment(_MICRO),
    "io.debezium.time.NanoTimestamp": _moment(_NANO),
}
