"""DynamoDB on Kinesis Data Streams: one JSON record to a SourceRow.

Shapes from captures and the DynamoDB guide ("Kinesis Data Streams for DynamoDB"): `dynamodb.Keys`, `NewImage` and
`OldImage` hold values with their type (`{"N": "7"}`), both images come whatever the table's settings. `eventID` is the
same when a record is delivered again. There is no sequence number: records may come late and twice, and the time of
their creation says which is later.
"""

from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final

import msgspec

from models.change import MAX_MICROSECONDS, Operation, SourceRow, moment_text
from models.outcome import Dead, Failure
from models.sources.binary import TAG, read_tagged

ADAPTER = "dynamodb"
EVENT_SOURCE = "aws:dynamodb"
SCHEMA = ""
"""Tables of DynamoDB have none."""
OPERATIONS: Mapping[str, Operation] = {
    "INSERT": Operation.CREATE, "MODIFY": Operation.UPDATE, "REMOVE": Operation.DELETE,
}  # fmt: skip
MICROSECONDS: Mapping[str, int] = {"MILLISECOND": 1_000, "MICROSECOND": 1}
"""By precision; a record that names none counts milliseconds (captured)."""
SECONDS_BELOW = 100_000_000_000
"""A time without a precision that is smaller counts seconds: records of DynamoDB Streams that something passed on to
Kinesis. As milliseconds it would lie before 1973."""
MAX_DIGITS = 60
"""DynamoDB's numbers have 38 digits, and exponents from -130 to 125."""
MAX_EXPONENT = 200

_WRONG: Final = object()


class _Glanced(msgspec.Struct, gc=False):
    keys: dict[str, dict[str, str]] = msgspec.field(name="Keys")
    new: msgspec.Raw | msgspec.UnsetType = msgspec.field(name="NewImage", default=msgspec.UNSET)


class _Item(msgspec.Struct, rename="camel", gc=False):
    event_source: str
    event_name: str
    table_name: str
    dynamodb: _Glanced
    metadata: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_glance = msgspec.json.Decoder(_Item).decode
HINT = b'"aws:dynamodb"'
"""Stands in every record, most likely; others may hold it, too."""


def glance_at(data: bytes) -> tuple[str, dict[str, dict[str, str]]] | None:
    """Table and typed key of an ordinary change, without decoding its images; None for whatever `decode` might read in
    another way."""
    try:
        found = _glance(data)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    if found.event_source != EVENT_SOURCE or not found.table_name or found.metadata is not msgspec.UNSET:
        return None
    image = found.dynamodb.new
    if found.event_name != "REMOVE" and (image is msgspec.UNSET or bytes(image)[:2] != b'{"'):
        return None  # without a row it is no change; one that begins with white space goes the long way
    return found.table_name, found.dynamodb.keys


def key_value_of(typed: dict[str, str]) -> Any:
    """The value of one typed key attribute; None if it is none."""
    value = _plain(typed)
    return None if value is _WRONG else value


def recognises(document: Mapping[str, Any]) -> bool:
    """Whether a JSON object says of itself that it comes from DynamoDB."""
    return document.get("eventSource") == EVENT_SOURCE


def decode(document: Any) -> SourceRow | Dead:
    """Read one document. Everything a source can get wrong comes back as Dead; reasons hold no values (P6)."""
    if type(document) is not dict:
        return Dead(Failure.PARSE_ERROR, "not a JSON object")
    change, table = document.get("dynamodb"), document.get("tableName")
    if type(change) is not dict:
        return Dead(Failure.PARSE_ERROR, "no dynamodb object: not a record of DynamoDB")
    if type(table) is not str or not table:
        return Dead(Failure.VALIDATION_ERROR, "tableName is missing")
    images: dict[str, dict[str, Any] | None] = {}
    for name in ("Keys", "NewImage", "OldImage"):
        image = _image(change.get(name), name)
        if isinstance(image, Dead):
            return image
        images[name] = image
    created = _created_us(change)
    if isinstance(created, Dead):
        return created
    word, event = document.get("eventName"), document.get("eventID")
    operation = OPERATIONS.get(word, Operation.UNKNOWN) if type(word) is str else Operation.UNKNOWN
    keys, new, old = images["Keys"] or {}, images["NewImage"], images["OldImage"]
    last = {**(old or {}), **keys}  # an item never changes its key
    deleted = operation is Operation.DELETE
    return SourceRow(
        adapter=ADAPTER,
        schema=SCHEMA,
        table=table,
        operation=operation,
        row=(last or None) if deleted else new and {**new, **keys},
        before=old and last,
        committed_at=None if created is None else moment_text(created),
        identity=(event,) if type(event) is str and event else None,
        whole_images=True,
        order=created,
    )


def _image(image: Any, name: str) -> dict[str, Any] | Dead | None:
    if image is None:
        return None
    if type(image) is not dict:
        return Dead(Failure.VALIDATION_ERROR, f"dynamodb.{name} is not an object")
    found = {}
    for column, typed in image.items():
        value = _plain(typed)
        if value is _WRONG:
            return Dead(Failure.VALIDATION_ERROR, f"attribute {column} is no typed value of DynamoDB")
        found[column] = value
    return found


def _plain(typed: Any) -> Any:
    """The value of `{type: value}`, or _WRONG."""
    if type(typed) is not dict or len(typed) != 1:
        return _WRONG
    ((kind, value),) = typed.items()
    if value is None and kind in _KINDS:
        return None  # DynamoDB writes NULL; some relays write a value that is not there as null of its type
    read = _KINDS.get(kind)
    return _WRONG if read is None else read(value)


def _text(value: Any) -> Any:
    return value if type(value) is str else _WRONG


def _number(value: Any) -> Any:
    """Exact: an integer if it is one, however it is written. Some relays write it as a number, not as a text."""
    if type(value) is int or type(value) is Decimal:
        value = str(value)
    if type(value) is not str or len(value) > MAX_DIGITS:
        return _WRONG
    try:
        number = Decimal(value)
    except InvalidOperation:
        return _WRONG
    if not number.is_finite() or abs(number.adjusted()) > MAX_EXPONENT:
        return _WRONG
    return int(number) if number == number.to_integral_value() else number


def _binary(value: Any) -> Any:
    found = read_tagged(value)
    return _WRONG if found is None else found


def _bool(value: Any) -> Any:
    return value if type(value) is bool else _WRONG


def _null(value: Any) -> Any:
    return None if value is True else _WRONG


def _set_of(read: Callable[[Any], Any], order: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Sets have no order on the wire: sorted, the same set is the same list."""

    def read_all(values: Any) -> Any:
        found = _list_of(read)(values)
        return found if found is _WRONG else sorted(found, key=order)

    return read_all


def _list_of(read: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def read_all(values: Any) -> Any:
        if type(values) is not list:
            return _WRONG
        found = [read(value) for value in values]
        return _WRONG if any(value is _WRONG for value in found) else found

    return read_all


def _map(values: Any) -> Any:
    if type(values) is not dict:
        return _WRONG
    found = {name: _plain(value) for name, value in values.items()}
    return _WRONG if any(value is _WRONG for value in found.values()) else found


_KINDS: dict[str, Callable[[Any], Any]] = {
    "S": _text,
    "N": _number,
    "B": _binary,
    "BOOL": _bool,
    "NULL": _null,
    "L": _list_of(_plain),
    "M": _map,
    "SS": _set_of(_text, str),
    "NS": _set_of(_number, Decimal),
    "BS": _set_of(_binary, lambda value: value[TAG]),
}


def _created_us(change: Mapping[str, Any]) -> int | Dead | None:
    """ApproximateCreationDateTime in microseconds; None if there is none."""
    moment = change.get("ApproximateCreationDateTime")
    if moment is None:
        return None
    precision = change.get("ApproximateCreationDateTimePrecision")
    if type(moment) is Decimal and moment == moment.to_integral_value():
        moment = int(moment)  # 1.72E15 is a whole number, too
    if type(moment) is not int:
        return _NO_TIME
    if precision is None:
        factor: int | None = 1_000_000 if moment < SECONDS_BELOW else 1_000
    else:
        factor = MICROSECONDS.get(precision) if type(precision) is str else None
    if factor is None:
        return Dead(Failure.VALIDATION_ERROR, "ApproximateCreationDateTimePrecision is unknown")
    return moment * factor if 0 <= moment * factor < MAX_MICROSECONDS else _NO_TIME


_NO_TIME = Dead(Failure.VALIDATION_ERROR, "ApproximateCreationDateTime is no time since 1970")
