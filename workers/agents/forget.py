"""Forgets rows that have not changed for 30 days: the row memory is bounded by age."""

import asyncio
from collections.abc import Callable

from enrichers.state import NewerFormatError, RowMemory, UnreadableEntryError
from workers.engine.app import StageApp
from workers.engine.slot import Slot
from workers.engine.slot_task import SlotTask
from workers.engine.tables import Table
from workers.engine.unit import UnitOfWork

MAX_AGE_MS = 30 * 86_400_000
SWEEP_SECONDS = 3_600.0
KEYS_PER_UNIT = 1_000


def add_forgetting(app: StageApp, owners: Table, now_ms: Callable[[], int], *, every: float = SWEEP_SECONDS) -> None:
    """Register a sweep of each slot's part of the table, every `every` seconds. Forgetting only costs a look-up
    later, so it needs no order with the records of the slot; tombstones keep the changelog as small as memory."""

    async def forget(slot: Slot, stopping: asyncio.Event) -> None:
        if await app.slots.wait_stopping(every):
            return
        before_ms = now_ms() - MAX_AGE_MS
        rows = list(owners.data.partition(slot.index))
        old: list[bytes] = []
        for start in range(0, len(rows), KEYS_PER_UNIT):
            if stopping.is_set():
                return
            old += [key for key in rows[start : start + KEYS_PER_UNIT] if is_old(key, slot, before_ms)]
            if len(old) >= KEYS_PER_UNIT or start + KEYS_PER_UNIT >= len(rows):
                await forget_rows(slot, old, before_ms)
                old = []
            await asyncio.sleep(0)  # a million rows are seconds in which the loop would answer nobody

    async def forget_rows(slot: Slot, old: list[bytes], before_ms: int) -> None:
        async with UnitOfWork(slot):
            for key in old:
                if is_old(key, slot, before_ms):  # again under the slot's lock: the row may have changed since
                    owners[key] = None

    def is_old(key: bytes, slot: Slot, before_ms: int) -> bool:
        return _is_old(owners.read(key, slot.index), before_ms)

    app.slot_bodies.append(lambda slot: SlotTask(slot, forget))


def _is_old(value: bytes | None, before_ms: int) -> bool:
    try:
        return value is not None and RowMemory.decode(value).updated_ms < before_ms
    except (NewerFormatError, UnreadableEntryError):
        return False  # what this release cannot read is not its to forget
