"""The last changes of each slot, in a table of the enrich stage (docs/decisions/0038)."""

import weakref
from dataclasses import dataclass

from enrichers.recent import Ring
from workers.engine.tables import Table
from workers.engine.unit import UnitOfWork, current_unit


@dataclass(slots=True)
class _Open:
    """The ring of one partition, as a unit sees it."""

    ring: Ring
    unit: "weakref.ref[UnitOfWork]"


class RecentChanges:
    """Rings on a partitioned table: one per slot, written by its units alone.

    What a unit adds counts at once, and only in this unit: the next one begins with what the table holds, which is what
    was committed, by whomever. So there is nothing to undo."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self._open: dict[int, _Open] = {}

    def holds(self, digest: str) -> bool:
        """Whether the change (hex digits) is among the last ones of the running unit's slot.

        Raises NewerFormatError or UnreadableEntryError."""
        return bytes.fromhex(digest) in self._ring()

    def add(self, digest: str) -> None:
        """One more change, with the running unit. Raises as `holds`."""
        key, block = self._ring().add(bytes.fromhex(digest))
        self.table[key] = block

    def _ring(self) -> Ring:
        unit = current_unit.get()
        if unit is None:
            raise RuntimeError("the last changes are those of a unit of work")
        found = self._open.get(unit.partition)
        if found is not None and found.unit() is unit:
            return found.ring
        committed = self.table.data.partition(unit.partition)
        if found is None:
            held = self.table.data.partitions.keys()
            self._open = {index: one for index, one in self._open.items() if index in held}
            found = self._open[unit.partition] = _Open(Ring(unit.partition, committed), weakref.ref(unit))
        else:
            found.ring.follow(committed)
            found.unit = weakref.ref(unit)
        return found.ring
