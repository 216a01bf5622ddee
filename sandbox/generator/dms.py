"""AWS DMS: `data`, a before image in one of two forms, kebab-case `metadata`; pretty-printed or compact."""

import random
from datetime import datetime
from typing import Any

from models.change import Operation
from sandbox.generator.wire import Row, RowChange, compact, pretty, stamp

SCHEMA = "core"
TASK = "DZ6OKLFYA5GENERATOR"
PRETTY = 0.1
WORDS = {Operation.CREATE: "insert", Operation.UPDATE: "update", Operation.DELETE: "delete"}
FIRST_TRANSACTION = 87_978_110_000_000


class Dms:
    """A task with transaction details and before images."""

    adapter = "dms"
    schema = SCHEMA
    moves_keys = True
    has_loads = True
    unordered = False
    has_tombstones = False

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._columns: dict[str, dict[str, None]] = {}
        """Of the rows so far, by table: what a definition leaves out has vanished."""

    def change(self, change: RowChange) -> bytes:
        """See Encoder."""
        self._columns.setdefault(change.table, {}).update(dict.fromkeys(change.after or ()))
        word = "load" if change.snapshot else WORDS[change.operation]
        about = _metadata("data", word, change.table, change.at) | {
            "partition-key-type": "primary-key", "partition-key-value": change.stream_key,
        }  # fmt: skip
        if not change.snapshot:
            about |= _committed(change.number, change.at)
        return self._written({**self._images(change), "metadata": about})

    def control(self, number: int, table: str, at: datetime) -> bytes | None:
        """See Encoder."""
        word = self._rng.choice(("add-column", "change-columns", "rename-column"))
        text = {"type": "WSTRING", "length": 64}
        columns = dict.fromkeys([*self._columns.get(table, ()), "Note"], text)
        columns["ID"] = {"type": "INT32", "nullable": False}
        about = _metadata("control", word, table, at) | {
            "partition-key-type": "task-id", "partition-key-value": TASK,
        }  # fmt: skip
        return self._written({"control": {"table-def": {"columns": columns, "primary-key": ["ID"]}}, "metadata": about})

    def transaction(self, number: int) -> str:
        """See Encoder."""
        return str(FIRST_TRANSACTION + number)

    def _images(self, change: RowChange) -> dict[str, Any]:
        """What a before image holds depends on the source: everything, the changed columns, or nothing useful."""
        before, after = change.before or {}, change.after
        if after is None:
            key = {change.key: before[change.key]}
            return {"data": key} if self._rng.random() < 0.6 else {"data": key, "before-image": before}
        if change.operation is Operation.CREATE:
            return {"data": after}
        differing = {name: value for name, value in before.items() if after.get(name) != value}
        moved = change.key in differing
        image = before if moved else self._rng.choices((before, differing, {}), (6, 3, 1))[0]
        return _with_before(after, image, columns=self._rng.random() < 0.3)

    def _written(self, document: dict[str, Any]) -> bytes:
        return pretty(document) if self._rng.random() < PRETTY else compact(document)


def _with_before(data: Row, before: Row, *, columns: bool) -> dict[str, Any]:
    """Row and before image: as `BI_` columns inside the row, or as an object beside it."""
    if columns:
        return {"data": {**data, **{f"BI_{name}": value for name, value in before.items()}}}
    return {"data": data, "before-image": before}


def _metadata(kind: str, operation: str, table: str, at: datetime) -> dict[str, Any]:
    return {
        "timestamp": stamp(at), "record-type": kind, "operation": operation, "schema-name": SCHEMA,
        "table-name": table,
    }  # fmt: skip


def _committed(number: int, at: datetime) -> dict[str, Any]:
    """Names a change of the running task; loads have none of it."""
    transaction = FIRST_TRANSACTION + number
    return {
        "transaction-id": transaction,
        "transaction-record-id": 1,
        "prev-transaction-id": transaction - 1,
        "prev-transaction-record-id": 1,
        "commit-timestamp": stamp(at),
        "stream-position": f"mysql-bin-changelog.{number // 50_000:06d}.{154 + number % 50_000 * 431}.17.0.{number}",
    }
