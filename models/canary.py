"""The canary: a record of our own on a source stream, of a table that no database has. It takes the way of every other
record, and the receipt of its event says how long that took (docs/decisions/0056)."""

import json
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime
from itertools import count
from typing import Any

import msgspec

from models.change import Operation
from models.routing import entity_key, partition_of
from models.source_spec import Adapter, SourceSpec
from models.tables import ColumnType, TableSpec

TABLE = "cdc_canary"
"""Reserved name of the table, in every source."""
SCHEMA = "cdc"
OF_DYNAMODB = "cdc_canary_dynamodb"
"""Its name as entity type where there are no schemas."""
EVENT_TYPE = "cdc.canary"
NAMES = frozenset({TABLE, OF_DYNAMODB})
KEY, SENT_AT = "id", "sent_at"
PARTITION = 0
"""All canaries take this one through every stage: whoever publishes it sends the canaries and sees them arrive."""


def canary_specs(sources: Iterable[SourceSpec], bus: str | None) -> tuple[TableSpec, ...]:
    """The table of the canary as these sources write it. `bus`: that of its events, if it has one of its own."""
    schemaless = {spec.adapter == "dynamodb" for spec in sources if spec.enabled}
    return tuple(_spec(OF_DYNAMODB if one else TABLE, "" if one else SCHEMA, bus) for one in sorted(schemaless))


def _spec(name: str, schema: str, bus: str | None) -> TableSpec:
    return TableSpec(
        name=name, table=TABLE, entity="cdc", key=(KEY,), schema=schema,
        adapter="dynamodb" if name == OF_DYNAMODB else None,
        columns={KEY: ColumnType.TEXT, SENT_AT: ColumnType.INT}, operations=frozenset({Operation.CREATE}),
        event_types={Operation.CREATE: EVENT_TYPE}, memory=False, bus=bus,
    )  # fmt: skip


def is_canary(spec: TableSpec) -> bool:
    """Whether it is the table of the canary."""
    return spec.table == TABLE


def row_of(source: SourceSpec, partitions: int) -> str:
    """Key of a source's canary: the first `<source>-<n>` whose row is in PARTITION."""
    schema = "" if source.adapter == "dynamodb" else SCHEMA
    keys = (f"{source.name}-{number}" for number in count())
    return next(key for key in keys if partition_of(entity_key(schema, TABLE, [key]), partitions) == PARTITION)


def source_of_row(key: str) -> str:
    """The other way round."""
    return key.rpartition("-")[0]


def canary_record(adapter: Adapter | None, key: str, sent_ms: int) -> bytes:
    """What is put on the stream, as the adapter's source would write it. Sources that let each record tell get the
    form of AWS DMS. `sent_ms`: since 1970; no two canaries of a row have the same."""
    row: dict[str, Any] = {KEY: key, SENT_AT: sent_ms}
    match adapter:
        case None | "dms":
            document = _dms(row, sent_ms)
        case "dynamodb":
            document = _dynamodb(row, sent_ms)
        case "debezium":
            source = _log_place(sent_ms) | {"ts_ms": sent_ms, "db": SCHEMA, "snapshot": "false"}
            document = {"before": None, "after": row, "source": source, "op": "c", "ts_ms": sent_ms}
        case "debezium-flat":
            place = {f"__source_{name}": value for name, value in _log_place(sent_ms).items()}
            document = {**row, "__op": "c", "__table": TABLE, "__deleted": "false", **place}
            document["__source_ts_ms"] = sent_ms
        case "dsql":
            source = {
                "version": "1.0", "ts_ms": sent_ms, "ts_ns": sent_ms * 1_000_000, "schema": SCHEMA, "table": TABLE,
                "txId": f"canary-{sent_ms}", "db": SCHEMA, "cluster": "canary",
            }  # fmt: skip
            document = {"type": "full", "op": "c", "before": None, "after": row, "source": source, "ts_ms": sent_ms}
    return json.dumps(document, separators=(",", ":")).encode()


def _dms(row: dict[str, Any], sent_ms: int) -> dict[str, Any]:
    at = datetime.fromtimestamp(sent_ms / 1000, UTC)
    return {
        "data": row,
        "metadata": {
            "timestamp": f"{at:%Y-%m-%dT%H:%M:%S.%f}Z", "record-type": "data", "operation": "insert",
            "partition-key-type": "primary-key", "schema-name": SCHEMA, "table-name": TABLE,
        },
    }  # fmt: skip


def _dynamodb(row: dict[str, Any], sent_ms: int) -> dict[str, Any]:
    key, sent_at = {"S": row[KEY]}, {"N": str(row[SENT_AT])}
    return {
        "awsRegion": "us-east-1", "eventID": str(uuid.uuid5(uuid.NAMESPACE_OID, f"{row[KEY]} {sent_ms}")),
        "eventName": "INSERT", "userIdentity": None, "recordFormat": "application/json", "tableName": TABLE,
        "dynamodb": {
            "ApproximateCreationDateTime": sent_ms, "Keys": {KEY: key}, "NewImage": {KEY: key, SENT_AT: sent_at},
        },
        "eventSource": "aws:dynamodb",
    }  # fmt: skip


def _log_place(sent_ms: int) -> dict[str, Any]:
    return {
        "connector": "postgresql", "name": "canary", "schema": SCHEMA, "table": TABLE, "txId": sent_ms, "lsn": sent_ms,
    }  # fmt: skip


class _New(msgspec.Struct):
    new: int


class _Changes(msgspec.Struct):
    sent_at: _New


class _Event(msgspec.Struct, rename="camel"):
    entity_id: str
    changes: _Changes


def told_by(event: bytes) -> tuple[str, int] | None:
    """(key of the row, when it was sent, ms) of an event of the canary; None for what is none."""
    try:
        found = msgspec.json.decode(event, type=_Event)
    except msgspec.MsgspecError:
        return None
    return found.entity_id, found.changes.sent_at.new
