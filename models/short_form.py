"""The short form of a change, for examples: operation, before and after, written as a record of any adapter."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Literal, get_args

import msgspec

from models.change import milliseconds
from models.source_spec import Adapter
from models.sources.binary import TAG

Word = Literal["INSERT", "UPDATE", "DELETE", "LOAD"]
OPERATIONS: tuple[Word, ...] = get_args(Word)
DEFAULT_TIME = "2026-01-15T10:31:00Z"
DEFAULT_SCHEMA = "example"

_encode = msgspec.json.Encoder(decimal_format="number").encode
_DEBEZIUM = {"INSERT": "c", "UPDATE": "u", "DELETE": "d", "LOAD": "r"}
_DYNAMODB = {"INSERT": "INSERT", "UPDATE": "MODIFY", "DELETE": "REMOVE", "LOAD": "INSERT"}


@dataclass(frozen=True, slots=True)
class ShortForm:
    """A change as people write it down."""

    operation: Word
    table: str
    schema: str = DEFAULT_SCHEMA
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None
    at: str = DEFAULT_TIME
    """Commit time, ISO 8601."""


def encode_record(document: Any) -> bytes:
    """JSON of a record, numbers as they are written."""
    return _encode(document)


def record_of(short: ShortForm, adapter: Adapter, key: Sequence[str] = ()) -> bytes:
    """The record that a source with this adapter would send. `key`: primary key columns, where they are known. Raises
    ValueError if `at` is no time, or a snapshot is asked of a source that has none."""
    moment = milliseconds(_moment(short.at))
    if short.operation == "LOAD" and adapter in ("dynamodb", "dsql"):
        raise ValueError(f"LOAD: {adapter} has no snapshots")
    match adapter:
        case "dms":
            return _encode(dict(_dms(short)))
        case "dynamodb":
            return _encode(_dynamodb(short, moment * 1_000, key))
        case "debezium":
            return _encode({
                "before": short.before, "after": short.after, "op": _DEBEZIUM[short.operation], "ts_ms": moment,
                "source": {"connector": "postgresql", "name": "example", "schema": short.schema, "table": short.table,
                           "ts_ms": moment},
            })  # fmt: skip
        case "debezium-flat":
            row = short.before if short.operation == "DELETE" else short.after
            return _encode({
                **(row or {}), "__op": _DEBEZIUM[short.operation], "__schema": short.schema, "__table": short.table,
                "__source_ts_ms": moment, "__deleted": "true" if short.operation == "DELETE" else "false",
            })  # fmt: skip
        case "dsql":
            return _encode({
                "type": "full", "op": _DEBEZIUM[short.operation], "before": short.before, "after": short.after,
                "source": {"cluster": "example", "schema": short.schema, "table": short.table, "ts_ms": moment},
                "ts_ms": moment,
            })  # fmt: skip


def _moment(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found


def _dms(short: ShortForm) -> Iterator[tuple[str, Any]]:
    yield "data", short.before if short.operation == "DELETE" else short.after
    if short.operation == "UPDATE" and short.before is not None:
        yield "before-image", short.before
    yield "metadata", {
        "timestamp": short.at, "record-type": "data", "operation": short.operation.lower(),
        "partition-key-type": "schema-table", "schema-name": short.schema, "table-name": short.table,
    }  # fmt: skip


def _dynamodb(short: ShortForm, micros: int, key: Sequence[str]) -> dict[str, Any]:
    last = short.after or short.before or {}
    images = {"NewImage": short.after, "OldImage": short.before}
    return {
        "eventName": _DYNAMODB[short.operation], "eventSource": "aws:dynamodb", "tableName": short.table,
        "recordFormat": "application/json",
        "dynamodb": {
            "ApproximateCreationDateTime": micros, "ApproximateCreationDateTimePrecision": "MICROSECOND",
            "Keys": {name: _typed(last[name]) for name in key if name in last},
            **{name: {column: _typed(value) for column, value in image.items()}
               for name, image in images.items() if image is not None},
        },
    }  # fmt: skip


def _typed(value: Any) -> dict[str, Any]:
    if value is None:
        return {"NULL": True}
    if isinstance(value, bool):
        return {"BOOL": value}
    if isinstance(value, int | Decimal):
        return {"N": str(value)}
    if isinstance(value, list):
        return {"L": [_typed(item) for item in value]}
    if isinstance(value, Mapping):
        if value.keys() == {TAG}:
            return {"B": value[TAG]}
        return {"M": {name: _typed(item) for name, item in value.items()}}
    return {"S": value}
