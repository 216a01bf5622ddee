"""Aurora DSQL's change records: like Debezium's envelope, deletes with the key alone, no before image of updates."""

import random
from datetime import datetime

from models.change import Operation
from sandbox.generator.wire import RowChange, compact, microseconds

SCHEMA = "public"
WORDS = {Operation.CREATE: "c", Operation.UPDATE: "u", Operation.DELETE: "d"}


class Dsql:
    """One cluster; a transaction changes one row."""

    adapter = "dsql"
    schema = SCHEMA
    moves_keys = False
    has_loads = False
    unordered = True
    has_tombstones = False

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng

    def change(self, change: RowChange) -> bytes:
        """See Encoder."""
        deleted = change.after is None and change.before is not None
        before = {change.key: change.before[change.key]} if deleted and change.before is not None else None
        micros = microseconds(change.at)
        source = {
            "version": "1.0", "ts_ms": micros // 1_000, "ts_ns": micros * 1_000, "schema": SCHEMA,
            "table": change.table, "txId": self.transaction(change.number), "db": "postgres",
            "cluster": "kmabgenerator",
        }  # fmt: skip
        return compact({
            "type": "full", "op": WORDS[change.operation], "before": before, "after": change.after, "source": source,
            "ts_ms": micros // 1_000 + 125, "ts_ns": (micros + 125_000) * 1_000,
        })  # fmt: skip

    def control(self, number: int, table: str, at: datetime) -> bytes | None:
        """There are none."""
        return None

    def transaction(self, number: int) -> str:
        """See Encoder."""
        return f"ffth{number:06x}"
