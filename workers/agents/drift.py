"""Reports changes of the columns of source tables, each once over all workers and restarts (docs/decisions/0034).

Every slot writes down what its records show. The home slot of a table compares that of all slots with what it has
reported; the report is a table value, written in a transaction of the slot, so that nobody reports it again.
"""

import asyncio
from collections.abc import Iterable

from enrichers.observe import read_history, read_seen
from enrichers.schema_memory import CHANGE_KINDS, History, history_key, report, seen_key, together, treatment
from enrichers.state import NewerFormatError, UnreadableEntryError
from models.catalogue import Catalogue
from models.routing import partition_of
from models.tables import TableSpec
from workers import metrics
from workers.engine.app import StageApp
from workers.engine.slot import Slot
from workers.engine.slot_task import SlotTask
from workers.engine.tables import GlobalTable
from workers.engine.unit import UnitOfWork

LOOK_SECONDS = 1.0


def add_drift(
    app: StageApp, table: GlobalTable, catalogue: Catalogue, partitions: int, *, every: float = LOOK_SECONDS
) -> None:
    """Register the watch of each slot over the source tables whose home it is, and the metric of their changes."""
    homes: dict[int, list[TableSpec]] = {}
    for spec in catalogue.specs:
        homes.setdefault(partition_of(history_key(spec.name), partitions), []).append(spec)

    def all_seen(name: str) -> tuple[bytes | None, ...]:
        key = seen_key(name)
        return tuple(table.read(key, partition) for partition in range(partitions))

    def reported(spec: TableSpec, home: int) -> History | None:
        raw = table.read(history_key(spec.name), home)
        return read_history(raw) if raw is not None else None

    async def report_changes(slot: Slot, stopping: asyncio.Event) -> None:
        """Look until the slot is given up."""
        looked: dict[str, tuple[bytes | None, ...]] = {}
        while slot.current and not await app.slots.wait_stopping(every):
            for spec in homes.get(slot.index, ()):
                seen = all_seen(spec.name)
                if seen == looked.get(spec.name):
                    continue
                if not stopping.is_set():
                    await tell(slot, spec, seen)
                    looked[spec.name] = seen

    async def tell(slot: Slot, spec: TableSpec, found: tuple[bytes | None, ...]) -> None:
        seen = together(read_seen(raw) for raw in found if raw is not None)
        before = reported(spec, slot.index)
        after = report(spec, before, seen)
        if after == (before or History()):
            return
        async with UnitOfWork(slot):
            # Looked at again under the slot's lock: a report that was cut off may have been written after all.
            before = reported(spec, slot.index)
            after = report(spec, before, seen)
            if after != (before or History()):
                table[history_key(spec.name)] = after.encode()
        for change in after.changes:
            if change.version > (before or History()).version:
                sides = " -> ".join(side for side in (change.was, change.now) if side)
                app.log.warning(
                    "schema of %s: column %s is %s%s: %s",
                    spec.name, change.column, change.change, f" ({sides})" if sides else "", treatment(spec, change),
                )  # fmt: skip

    def measure() -> Iterable[metrics.Sample]:
        for index in sorted(app.slots.owned):
            for spec in homes.get(index, ()):
                try:
                    history = reported(spec, index)
                except (NewerFormatError, UnreadableEntryError):
                    continue  # the stage refuses to work with it, and says so; a scrape goes on
                counts = history.counts if history is not None else {}
                for change in CHANGE_KINDS:  # from 0 on: the first one is an increase, too
                    yield metrics.SCHEMA_CHANGES.of(counts.get(change, 0), spec.name, change)

    app.slot_bodies.append(lambda slot: SlotTask(slot, report_changes))
    app.measures.append(measure)
