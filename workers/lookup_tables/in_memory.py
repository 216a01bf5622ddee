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
    looked = 0
    began = turn = clock()
    for index, entries in sorted(table.data.partitions.items()):
        for key, value in list(entries.items()):
            looked += 1
            now = clock()
            if now - began > SECONDS:
                return found, True
            if now - turn > TURN:
                await asyncio.sleep(0)
                turn = clock()
            document = view.document(TableEntry(name, index, key, value))
            if wanted.holds(document):
                if len(found) == limit:
                    return found, True
                found.append(document)
            if looked == MOST:
                return found, True
    return found, False
