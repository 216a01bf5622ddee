"""Faust tables whose writes belong to the unit of work. Keys and values are bytes.

A `Table` is partitioned like its source: a worker holds the partitions of its slots. A `GlobalTable` is held whole by
every worker. Either way a unit writes only keys of its own partition, sees its own writes at once, and loses them if it
aborts.
"""

from collections.abc import Iterator
from typing import Any

import faust
from faust.stores import base as store_base
from faust.tables.globaltable import GlobalTable as FaustGlobalTable
from faust.types import TP

from models.routing import partition_of
from workers.engine.batch import RecordBatch
from workers.engine.unit import current_unit

MISSING: Any = object()


class PartitionedStore(store_base.Store):
    """Memory store with one dict per partition: giving a partition up is one `pop`."""

    def __post_init__(self) -> None:
        self.partitions: dict[int, dict[bytes, bytes]] = {}

    def partition(self, index: int) -> dict[bytes, bytes]:
        """The entries of one partition."""
        return self.partitions.setdefault(index, {})

    def get(self, key: bytes, default: Any = None) -> Any:
        """Look a key up in every partition; only views do that, agents name the partition."""
        return next((entries[key] for entries in self.partitions.values() if key in entries), default)

    def __getitem__(self, key: bytes) -> bytes:
        value = self.get(key, MISSING)
        if value is MISSING:
            raise KeyError(key)
        return value

    def __contains__(self, key: object) -> bool:
        return any(key in entries for entries in self.partitions.values())

    def __iter__(self) -> Iterator[bytes]:
        for entries in list(self.partitions.values()):
            yield from list(entries)

    def __len__(self) -> int:
        return sum(map(len, self.partitions.values()))

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """All entries of the partitions held here."""
        for entries in list(self.partitions.values()):
            yield from list(entries.items())

    def keys(self) -> Iterator[bytes]:
        """All keys of the partitions held here."""
        return iter(self)

    def __setitem__(self, key: bytes, value: bytes) -> None:
        raise RuntimeError("tables are written through a unit of work")

    def __delitem__(self, key: bytes) -> None:
        raise RuntimeError("tables are written through a unit of work")

    def persisted_offset(self, tp: TP) -> int | None:
        """The table answers this itself."""
        return None

    def apply_changelog_batch(self, *args: Any, **kwargs: Any) -> None:
        """The table answers this itself."""
        raise NotImplementedError

    def reset_state(self) -> None:
        """Nothing is kept on disk."""

    async def backup_partition(self, *args: Any, **kwargs: Any) -> None:
        """Nothing is kept on disk."""

    def restore_backup(self, *args: Any, **kwargs: Any) -> None:
        """Nothing is kept on disk."""


class TransactionalTable:
    """What both kinds of table share; mixed into Faust's classes."""

    # Faust's side of the mixin
    app: Any
    name: str
    loop: Any
    is_global: bool
    data: PartitionedStore
    changelog_topic_name: str
    call_recover_callbacks: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.update(key_type=bytes, value_type=bytes)
        # Events are batches already, so they are applied at once. 1 also makes Faust keep the partitions flowing
        # after recovery, which only a global table wants.
        kwargs["recovery_buffer_size"] = 1 if kwargs.get("is_global") else 2
        kwargs["standby_buffer_size"] = 1
        self.applied: dict[TP, int] = {}
        super().__init__(*args, **kwargs)

    def _new_store(self) -> PartitionedStore:
        return PartitionedStore(
            "memory://", self.app, self, table_name=self.name, key_type=bytes, value_type=bytes, loop=self.loop
        )  # fmt: skip

    # reads: the running unit's own writes first

    def read(self, key: bytes, partition: int) -> bytes | None:
        """The value of a key of that partition, as the running unit sees it; None if there is none."""
        unit = current_unit.get()
        if unit is not None and partition == unit.partition:
            value = unit.overlays.get(self, {}).get(key, MISSING)
            if value is not MISSING:
                return value
        return self.data.partition(partition).get(key)

    def get(self, key: bytes, default: Any = None) -> Any:
        """Faust's read: in a unit the unit's own partition, elsewhere (views) all of them."""
        unit = current_unit.get()
        value = self.read(key, unit.partition) if unit is not None else self.data.get(key)
        return default if value is None else value

    def __getitem__(self, key: bytes) -> bytes:
        value = self.get(key)
        if value is None:
            raise KeyError(key)
        return value

    def __contains__(self, key: bytes) -> bool:
        return self.get(key) is not None

    # writes

    def __setitem__(self, key: bytes, value: bytes | None) -> None:
        unit = current_unit.get()
        if unit is None:
            raise RuntimeError(f"table {self.name} is written outside of a unit of work")
        unit.overlay(self)[key] = value

    def __delitem__(self, key: bytes) -> None:
        self[key] = None

    def merge(self, partition: int, writes: dict[bytes, bytes | None], end: int | None) -> None:
        """Take over the writes of a committed unit. `end`: last offset it wrote to the changelog; recovery and the
        feed of a global table skip up to there, or the table would be set back by its own echo."""
        entries = self.data.partition(partition)
        for key, value in writes.items():
            _put(entries, key, value)
        if end is not None:
            self.applied[TP(self.changelog_topic_name, partition)] = end

    # recovery

    def persisted_offset(self, tp: TP) -> int | None:
        """Last changelog offset in memory: a rebalance re-reads only what others wrote."""
        return self.applied.get(tp)

    def apply_changelog_batch(self, events: Any) -> None:
        """Faust's recovery and the feed of a global table; each event carries a RecordBatch."""
        for event in events:
            batch: RecordBatch = event.message.value
            if batch.tp.topic != self.changelog_topic_name:
                continue  # Faust takes an event of a partition it has just given up for the last table's
            for record in batch:
                self.apply(batch.tp, record)
            self.applied[batch.tp] = max(self.applied.get(batch.tp, -1), batch.next_offset - 1)

    def apply(self, tp: TP, record: Any) -> None:
        """One changelog record, unless its effect is in memory already."""
        if record.offset > self.applied.get(tp, -1):
            _put(self.data.partition(tp.partition), record.key, record.value)
            self.applied[tp] = record.offset

    async def on_rebalance(
        self,
        assigned: Any,
        revoked: Any,
        newly_assigned: Any,
        generation_id: int = 0,
    ) -> None:
        """Forget what was given up."""
        for tp in revoked:
            if tp.topic == self.changelog_topic_name:
                self.applied.pop(tp, None)
                self.data.partitions.pop(tp.partition, None)

    async def on_recovery_completed(self, active_tps: Any, standby_tps: Any) -> None:
        """Faust's hook."""
        await self.call_recover_callbacks()


def _put(entries: dict[bytes, bytes], key: bytes, value: bytes | None) -> None:
    if value is None:
        entries.pop(key, None)
    else:
        entries[key] = value


class Table(TransactionalTable, faust.Table):
    """A partitioned table: written and read by the slot that owns the key's partition."""


class GlobalTable(TransactionalTable, FaustGlobalTable):
    """A table every worker holds whole; a unit writes only keys of its own partition."""

    def find(self, key: bytes, partitions: int) -> bytes | None:
        """Read a key that any slot may have written: its partition is a function of the key (no scan, so a key that
        moved can not be found twice)."""
        return self.read(key, partition_of(key, partitions))
