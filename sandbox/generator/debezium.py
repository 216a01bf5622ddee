"""Debezium's connector for PostgreSQL: its envelope, half of it with schemas, and flat rows."""

import base64
import random
from datetime import datetime
from decimal import Decimal
from typing import Any

from models.catalogue import TELEPHONY
from models.change import Operation
from models.tables import ColumnType
from sandbox.generator.wire import Row, RowChange, compact, microseconds

SCHEMA, DATABASE, SERVER = "public", "core", "core"
WORDS = {Operation.CREATE: "c", Operation.UPDATE: "u", Operation.DELETE: "d"}
FIRST_TRANSACTION, FIRST_LSN = 5_000, 46_523_128
WITH_SCHEMA = 0.5
WHOLE_BEFORE = 0.7
"""Of the records: those of tables with REPLICA IDENTITY FULL. The others know at most the key of what was."""
SCALE = 2
"""Digits behind the point of decimals."""
_TYPES = {(spec.table, column): kind for spec in TELEPHONY for column, kind in spec.columns.items()}


class Debezium:
    """Envelopes; a delete is followed by a tombstone."""

    adapter = "debezium"
    schema = SCHEMA
    moves_keys = False
    has_loads = True
    unordered = False
    has_tombstones = True

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng

    def change(self, change: RowChange) -> bytes:
        """See Encoder."""
        before = _before(change, whole=self._rng.random() < WHOLE_BEFORE)
        payload = {
            "before": before,
            "after": change.after,
            "source": _source(change.number, change.table, change.at, snapshot=change.snapshot),
            "transaction": None,
            "op": "r" if change.snapshot else WORDS[change.operation],
            "ts_ms": microseconds(change.at) // 1_000,
        }
        if self._rng.random() >= WITH_SCHEMA:
            return compact(payload)
        images = {name: image for name, image in (("before", before), ("after", change.after)) if image is not None}
        fields = [_struct(change.table, image) | {"field": name} for name, image in images.items()]
        payload |= {name: _packed(change.table, image) for name, image in images.items()}
        return compact(
            {"schema": {"type": "struct", "name": f"{SERVER}.Envelope", "fields": fields}, "payload": payload}
        )

    def control(self, number: int, table: str, at: datetime) -> bytes | None:
        """A truncate, or a logical message."""
        word = self._rng.choice("tm")
        source = _source(number, table if word == "t" else "", at, snapshot=False)
        content = (
            {"message": {"prefix": "audit", "content": "aGk="}} if word == "m" else {"before": None, "after": None}
        )
        return compact({**content, "source": source, "op": word, "ts_ms": microseconds(at) // 1_000})

    def transaction(self, number: int) -> str:
        """See Encoder."""
        return str(FIRST_TRANSACTION + number)


class DebeziumFlat(Debezium):
    """Rows as `ExtractNewRecordState` leaves them, deletes rewritten; they have no before image."""

    adapter = "debezium-flat"

    def change(self, change: RowChange) -> bytes:
        """See Encoder."""
        row = change.after or _before(change, whole=self._rng.random() < WHOLE_BEFORE) or {}
        source = _source(change.number, change.table, change.at, snapshot=change.snapshot)
        added = {f"__source_{name}": source[name] for name in ("connector", "name", "schema", "lsn", "txId", "ts_ns")}
        marks = {
            "__op": "r" if change.snapshot else WORDS[change.operation],
            "__table": change.table,
            "__deleted": "true" if change.operation is Operation.DELETE else "false",
        }
        return compact({**row, **marks, **added})

    def control(self, number: int, table: str, at: datetime) -> bytes | None:
        """The transform drops them."""
        return None


def _before(change: RowChange, *, whole: bool) -> Row | None:
    if change.before is None or whole:
        return change.before
    if change.operation is Operation.DELETE:
        return {name: value if name == change.key else None for name, value in change.before.items()}
    return None


def _source(number: int, table: str, at: datetime, *, snapshot: bool) -> dict[str, Any]:
    micros = microseconds(at)
    return {
        "version": "3.0.0.Final", "connector": "postgresql", "name": SERVER, "ts_ms": micros // 1_000,
        "ts_us": micros, "ts_ns": micros * 1_000, "snapshot": "true" if snapshot else "false", "db": DATABASE,
        "schema": SCHEMA, "table": table, "txId": FIRST_TRANSACTION + number, "lsn": FIRST_LSN + 64 * number,
        "xmin": None,
    }  # fmt: skip


def _struct(table: str, row: Row) -> dict[str, Any]:
    return {
        "type": "struct", "optional": True,
        "fields": [{"field": name, "optional": True} | _type(table, name, value) for name, value in row.items()],
    }  # fmt: skip


def _type(table: str, column: str, value: Any) -> dict[str, Any]:
    match _TYPES.get((table, column)):
        case ColumnType.TIMESTAMP:
            return {"type": "int64", "name": "io.debezium.time.MicroTimestamp"}
        case ColumnType.DECIMAL:
            name = "org.apache.kafka.connect.data.Decimal"
            return {"type": "bytes", "name": name, "parameters": {"scale": str(SCALE)}}
        case ColumnType.JSON:
            return {"type": "string", "name": "io.debezium.data.Json"}
        case ColumnType.BOOL:
            return {"type": "boolean"}
        case ColumnType.INT if type(value) is int:
            return {"type": "int64"}
        case _:
            return {"type": "string"}


def _packed(table: str, row: Row) -> Row:
    """Values as their schema says."""
    return {name: _value(_TYPES.get((table, name)), value) for name, value in row.items()}


def _value(kind: ColumnType | None, value: Any) -> Any:
    if kind is ColumnType.TIMESTAMP and isinstance(value, str):
        return microseconds(datetime.fromisoformat(value))
    if isinstance(value, Decimal):
        digits = int(value.scaleb(SCALE))
        return base64.b64encode(digits.to_bytes(digits.bit_length() // 8 + 1, "big", signed=True)).decode()
    return value
