"""What every generation of bus is to the publisher."""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from models.bus_health import EventBridgeHC
from workers.engine.delivery import Outcome, Undeliverable
from workers.eventbridge.entry import Entry


class Receipt(msgspec.Struct, frozen=True, gc=False):
    """What the bus answered for one event."""

    event_id: str
    bus_event_id: str
    sequence_number: str | None = None
    """Of a Custom Event Bus: grows within the group of the entity."""
    code: str = "PUBLISHED"
    """Or DEDUPLICATED: a Custom Event Bus has had the event before."""


class Prepared(msgspec.Struct, frozen=True, gc=False):
    """An entry in the bytes its bus wants. They are made once and sent again as they are (P3)."""

    entry: Entry
    channel: str
    """Name of the bus."""
    size: int
    """Bytes by AWS's formula."""
    wire: tuple[bytes, ...]
    """In pieces: an event that waits is in memory once."""


class IBus(Protocol):
    """One bus. Nothing here raises: the world's faults are outcomes, too."""

    @property
    def name(self) -> str:
        """Name or ARN, as the settings have it."""

    @property
    def max_entries(self) -> int:
        """Of one request."""

    @property
    def health(self) -> EventBridgeHC:
        """As the last answer told."""

    @property
    def trouble(self) -> str:
        """Code of what is wrong while the bus is IN_ALARM."""

    def prepare(self, entry: Entry) -> Prepared | Undeliverable:
        """The entry in this bus's bytes, or why it would never take it."""

    def fit(self, prepared: Sequence[Prepared]) -> int:
        """How many, from the first on, go into one request."""

    async def put(self, prepared: Sequence[Prepared]) -> list[Outcome]:
        """One request; outcomes aligned with `prepared`."""


class FrontedBus:
    """What stands before a bus: the bus itself, but for what a subclass does otherwise."""

    def __init__(self, bus: IBus) -> None:
        self._bus = bus

    @property
    def name(self) -> str:
        """See IBus."""
        return self._bus.name

    @property
    def max_entries(self) -> int:
        """See IBus."""
        return self._bus.max_entries

    @property
    def health(self) -> EventBridgeHC:
        """See IBus."""
        return self._bus.health

    @property
    def trouble(self) -> str:
        """See IBus."""
        return self._bus.trouble

    def prepare(self, entry: Entry) -> Prepared | Undeliverable:
        """See IBus."""
        return self._bus.prepare(entry)

    def fit(self, prepared: Sequence[Prepared]) -> int:
        """See IBus."""
        return self._bus.fit(prepared)

    async def put(self, prepared: Sequence[Prepared]) -> list[Outcome]:
        """See IBus."""
        return await self._bus.put(prepared)
