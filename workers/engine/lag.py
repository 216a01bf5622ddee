"""How far a stage is behind: records of its sources that are not committed, and the age of the oldest of them.

Counted from what the stage knows anyway: what it holds in memory, exactly; behind that up to the last stable offset
that fetches or a look at the log brought, which counts transaction markers, too. A stage that has caught up says 0.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from faust.types import TP

from workers.engine.clock import monotonic
from workers.engine.window import Window

LOOK_EVERY = 5.0
"""Seconds between two looks at the ends of the logs: no fetch tells them of a partition that is held back."""


@dataclass(frozen=True, slots=True)
class Lag:
    """`records` that wait or are worked on, and the `seconds` since the oldest of them was written; None: unknown. 0
    seconds mean that nothing waits."""

    records: int | None
    seconds: float | None

    @classmethod
    def of_all(cls, parts: Iterable["Lag"]) -> "Lag":
        """Of a whole: what is unknown of a part adds nothing, unless it is unknown of all of them."""
        found = tuple(parts)
        records = [part.records for part in found if part.records is not None]
        seconds = [part.seconds for part in found if part.seconds is not None]
        return cls(sum(records) if records else None, max(seconds) if seconds else None)


class Lags:
    """The lag of one stage of this process."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.outside: Callable[[], Lag] | None = None
        """Of a stage whose source is none of Kafka's."""
        self._ends: dict[TP, int] = {}
        self._looked = float("-inf")
        self._since: dict[TP, float] = {}
        """Since when something is known to wait of which nothing is in memory, in monotonic seconds."""

    def of_stage(self, now_ms: int) -> Lag:
        """`now_ms`: milliseconds since the epoch, as the timestamps of records are."""
        if self.outside is not None:
            return self.outside()
        return Lag.of_all(self.of_partitions(now_ms).values())

    def of_partitions(self, now_ms: int) -> dict[TP, Lag]:
        """By source partition that this worker holds."""
        slots, consumer = self.app.slots, self.app._consumer
        if consumer is None or self.outside is not None:
            return {}
        ends = self._ends | consumer.stable_ends()
        return {
            TP(topic, index): self._of(TP(topic, index), slot, ends, now_ms)
            for index, slot in sorted(slots.owned.items())
            for topic in sorted(self.app.source_topics)
        }

    async def refresh(self) -> None:
        """Look at the ends of the logs, if the last look is old. Raises KafkaError."""
        consumer = self.app._consumer
        if consumer is None or self.outside is not None or monotonic() - self._looked < LOOK_EVERY:
            return
        self._looked = monotonic()
        tps = [TP(topic, index) for index in self.app.slots.owned for topic in self.app.source_topics]
        bounds = await consumer._thread.call(consumer._thread.log_bounds, tps)
        self._ends = {tp: end for tp, (_, end) in bounds.items()}

    def _of(self, tp: TP, slot: Any, ends: dict[TP, int], now_ms: int) -> Lag:
        read, end = self.app._consumer.expected.get(tp, slot.position.get(tp)), ends.get(tp)
        if read is None:
            return Lag(None, None)
        oldest: Any = None
        held = 0
        for record in self._in_memory(tp, slot):
            if oldest is None or record.timestamp < oldest.timestamp:
                oldest = record
            held += 1
        beyond = max(0, end - read) if end is not None else 0
        if oldest is not None:
            self._since.pop(tp, None)
            return Lag(held + beyond, max(0.0, (now_ms - oldest.timestamp) / 1000))
        if not beyond:
            self._since.pop(tp, None)
            return Lag(0, 0.0) if end is not None else Lag(None, None)
        # Nobody knows how old it is before it is read: at least as old as the first look that saw it.
        return Lag(beyond, monotonic() - self._since.setdefault(tp, monotonic()))

    def _in_memory(self, tp: TP, slot: Any) -> Iterator[Any]:
        for body in slot.bodies:
            if isinstance(body, Window):
                yield from (item.record for item in body.fifo.get(tp, ()) if item.record is not None)
        position = slot.position.get(tp, 0)
        for batch in tuple(self.app._consumer.inflight.get(tp, ())):
            if not batch.done:
                yield from (record for record in batch.records if record.offset >= position)
