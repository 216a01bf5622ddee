"""What an operator holds back of one stage: asked wherever work begins, set by whoever follows the pauses.

The engine knows no reason and no end of a pause. What is held stays where it is: nothing is read on, nothing is
committed past it, and nothing that was done is undone.
"""

import asyncio
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Held:
    """One moment's answer. Replaced as a whole: the consumer's thread asks, too."""

    whole: bool = False
    slots: frozenset[int] = frozenset()
    tables: frozenset[str] = frozenset()
    """Names as `Brake.table_of` gives them."""


NOTHING = Held()


class Brake:
    """Of one stage in this process."""

    def __init__(self) -> None:
        self.held = NOTHING
        self.told: dict[str, dict[str, Any]] = {}
        """What is held, with whatever is known about it, for the web view: plain data."""
        self.moved = asyncio.Event()
        """Set at the next change; a new one stands here then."""
        self.listeners: set[Callable[[], None]] = set()
        self.table_of: Callable[[Any], str | None] = lambda _record: None
        """Table of a source record. Asked only while a table is held."""

    def set(self, held: Held) -> None:
        """From now on nothing begins that is held."""
        if held == self.held:
            return
        self.held = held
        moved, self.moved = self.moved, asyncio.Event()
        moved.set()
        for listener in list(self.listeners):
            listener()

    def stops(self, slot: int) -> bool:
        """Nothing of this slot goes on."""
        held = self.held
        return held.whole or slot in held.slots

    def touches(self, slot: int) -> bool:
        """At least some records of this slot may have to wait."""
        return self.stops(slot) or bool(self.held.tables)

    def holds(self, record: Any) -> bool:
        """Its table is held."""
        tables = self.held.tables
        return bool(tables) and self.table_of(record) in tables

    def free(self, records: Iterable[Any]) -> int | None:
        """How many of them stand before the first one that is held; None: none is held."""
        if not self.held.tables:
            return None
        return next((count for count, record in enumerate(records) if self.holds(record)), None)

    def holds_any(self, owned: Collection[int]) -> bool:
        """Whether a stage with these slots is not ready for it."""
        held = self.held
        return held.whole or bool(held.tables) or any(slot in held.slots for slot in owned)
