"""EventBridge as the sink of a window: which record goes to which bus, in which bytes."""

from collections.abc import Sequence
from typing import Any

from workers.engine.delivery import Outcome, Undeliverable
from workers.eventbridge.bus import IBus, Prepared
from workers.eventbridge.entry import EntryRules, entry_of


class EventBridgeSink:
    """All buses behind one sink; a bus is a channel."""

    def __init__(self, bus: IBus, rules: EntryRules) -> None:
        self.bus = bus
        self._rules = rules

    def prepare(self, record: Any) -> Prepared | Undeliverable:
        """See Sink."""
        entry = entry_of(record.key, record.value, self._rules)
        return entry if isinstance(entry, Undeliverable) else self.bus.prepare(entry)

    def fit(self, prepared: Sequence[Prepared]) -> int:
        """See Sink."""
        return self.bus.fit(prepared)

    async def put(self, prepared: Sequence[Prepared]) -> Sequence[Outcome]:
        """See Sink."""
        return await self.bus.put(prepared)
