"""Tables as a running worker holds them: what its own entries are, and what they cost."""

import asyncio
import sys
from collections.abc import Callable, Iterator
from time import monotonic
from typing import Any

from workers.engine.app import StageApp
from workers.engine.tables import TransactionalTable
from workers.lookup_tables.entries import EntryView, TableEntry, Wanted

STAGE = "enrich"
AT_ONCE = 2_000
"""Entries looked at before others in the process have their turn."""
MOST = 200_000
"""Entries looked at for one question."""
TURN, SECONDS = 0.02, 4.0
"""After so long others have their turn; after so long what was found until then is the answer: a filter may be slow,
and nobody else in the process shall notice."""


_asking = asyncio.Lock()
"""One filter at a time."""


def table_of(app: StageApp | None, name: str) -> TransactionalTable | None:
    """A table of the enrich stage of this process, if it runs here."""
    found = app.tables.get(name) if app is not None else None
    return found if isinstance(found, TransactionalTable) else None


async def sizes_here(app: StageApp) -> dict[str, Any]:
    """Per table and partition: entries, bytes of keys and values, the memory they take, and the changelog offset up to
    which they are known."""
    found: dict[str, Any] = {}
    for name, table in sorted(app.tables.items()):
        if not isinstance(table, TransactionalTable):
            continue
        applied = {tp.partition: offset for tp, offset in table.applied.items()}
        parts = {}
        for index, entries in sorted(table.data.partitions.items()):
            held, memory = await _weight(entries)
            parts[str(index)] = {
                "entries": len(entries), "bytes": held, "memoryBytes": memory, "applied": applied.get(index)
            }  # fmt: skip
        found[name] = {"everywhere": table.is_global, "parts": parts}
    return found


async def _weight(entries: dict[bytes, bytes]) -> tuple[int, int]:
    held, memory = 0, sys.getsizeof(entries)
    for done, (key, value) in enumerate(list(entries.items())):
        held += len(key) + len(value)
        memory += sys.getsizeof(key) + sys.getsizeof(value)
        if done % AT_ONCE == 0:
            await asyncio.sleep(0)
    return held, memory


def entries_of_key(table: TransactionalTable, name: str, key: bytes) -> Iterator[TableEntry]:
    """In every partition held here."""
    for index, entries in list(table.data.partitions.items()):
        value = entries.get(key)
        if value is not None:
            yield TableEntry(name, index, key, value)


async def find_here(
    table: TransactionalTable, name: str, view: EntryView, wanted: Wanted, limit: int,
    clock: Callable[[], float] = monotonic,
) -> tuple[list[dict[str, Any]], bool]:  # fmt: skip
    """Documents of entries held here, and whether there may be more."""
    found: list[dict[str, Any]] = []
    batch: list[dict[str, Any]] = []
    began = turn = clock()
    entries = (
        TableEntry(name, index, key, value)
        for index, part in sorted(table.data.partitions.items())
        for key, value in list(part.items())
    )
    cut = False
    for looked, entry in enumerate(entries):
        now = clock()
        cut = now - began > SECONDS or looked == MOST
        if cut:
            break
        if now - turn > TURN:
            slow = await _sift(batch, wanted, found, began + SECONDS, clock)
            batch = []
            if slow or len(found) > limit:
                return found[:limit], True
            await asyncio.sleep(0)
            turn = clock()
        batch.append(view.document(entry))
    slow = await _sift(batch, wanted, found, began + SECONDS, clock)
    return found[:limit], cut or slow or len(found) > limit


async def _sift(
    batch: list[dict[str, Any]], wanted: Wanted, found: list[dict[str, Any]], end: float, clock: Callable[[], float]
) -> bool:  # fmt: skip
    """Add what is wanted of a batch to what was found; True if time was up before all of it was asked."""
    if wanted.where is None:
        found += filter(wanted.holds, batch)
        return False
    # P7: one document may take a filter a second; the loop of the worker does not wait for it.
    async with _asking:
        return await asyncio.to_thread(_asked_in_time, batch, wanted, found, end, clock)


def _asked_in_time(
    batch: list[dict[str, Any]], wanted: Wanted, found: list[dict[str, Any]], end: float, clock: Callable[[], float]
) -> bool:  # fmt: skip
    for document in batch:
        if clock() > end:
            return True
        if wanted.holds(document):
            found.append(document)
    return False
