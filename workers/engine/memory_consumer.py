"""What the transport does for a stage, on a broker in memory: batches, positions, and tables brought up to date.

It stands where Faust's consumer stands. There is no group: the kit says which slots the stage holds.
"""

import asyncio
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from dataclasses import dataclass
from typing import Any

from faust.types import TP

from workers.engine.batch import RecordBatch, chunks
from workers.engine.memory_broker import MemoryBroker
from workers.engine.offsets import Committed
from workers.engine.transport import Consumer

HANDED_OVER = 2
"""Batches of a partition that wait or are worked on."""


@dataclass(frozen=True, slots=True)
class _Message:
    value: RecordBatch


@dataclass(frozen=True, slots=True)
class _Event:
    """As much of a Faust event as a table looks at."""

    message: _Message


class Held(set[TP]):
    """Partitions that wait. A consumer that polls notices when one no longer does; this one has to be told."""

    def __init__(self, let_go: Callable[[], None]) -> None:
        super().__init__()
        self._let_go = let_go

    def discard(self, tp: TP, /) -> None:
        """The partition goes on."""
        super().discard(tp)
        self._let_go()


class MemoryConsumer:
    """The consumer of one app."""

    is_stale: Any = Consumer.is_stale
    perform_seek: Any = Consumer.perform_seek

    def __init__(self, app: Any, broker: MemoryBroker, rejoin: Callable[[], None]) -> None:
        self.app = app
        self.broker = broker
        self.epochs: dict[TP, int] = defaultdict(int)
        self.expected: dict[TP, int] = {}
        self.inflight: dict[TP, deque[RecordBatch]] = defaultdict(deque)
        self.queues: dict[TP, asyncio.Queue[RecordBatch]] = {}
        self.held = Held(self.wake)
        self.open_gaps: dict[TP, str] = {}
        self._assigned: set[TP] = set()
        self._trailing: dict[TP, tuple[int, int]] = {}  # offsets without records at the end of a source
        self._rejoin = rejoin
        self._thread = self  # the engine calls its consumer thread through it
        broker.listeners.append(self.wake)

    # what the engine asks its consumer thread for

    async def call(self, function: Callable[..., Coroutine[Any, Any, Any]], *args: Any) -> Any:
        """There is no thread: run it here."""
        return await function(*args)

    async def committed_positions(self, tps: Iterable[TP]) -> dict[TP, Committed]:
        """Committed positions of the stage's group and the bounds of each log."""
        await asyncio.sleep(0)
        found = {}
        for tp in tps:
            entry = self.broker.offsets.get((self.app.conf.id, tp))
            bounds = self._bounds(tp)
            found[tp] = Committed(entry.offset if entry else None, entry.metadata if entry else "", *bounds)
        return found

    async def log_bounds(self, tps: Iterable[TP]) -> dict[TP, tuple[int, int]]:
        """(log start, last stable offset) of each partition."""
        return {tp: self._bounds(tp) for tp in tps}

    async def rejoin(self) -> None:
        """Ask for a new generation."""
        self._rejoin()

    def _ensure_consumer(self) -> "MemoryConsumer":
        return self

    def partitions_for_topic(self, topic: str) -> set[int]:
        """Partitions of a topic."""
        return set(range(self.broker.partitions(topic)))

    def stable_ends(self) -> dict[TP, int]:
        """Last stable offsets of the source partitions."""
        return {tp: self.broker.log(*tp).stable for tp in self._assigned if not self.is_changelog(tp)}

    def _bounds(self, tp: TP) -> tuple[int, int]:
        log = self.broker.log(*tp)
        return log.start, log.stable

    # batches

    def assignment(self) -> set[TP]:
        """Partitions of sources and changelogs that the stage holds."""
        return self._assigned

    def is_changelog(self, tp: TP) -> bool:
        """Whether the partition belongs to a table rather than to a source."""
        return any(table.changelog_topic_name == tp.topic for table in self.app.tables.values())

    def assign(self, tps: set[TP]) -> None:
        """A new generation: nothing is delivered before the positions are known."""
        self.clear()
        self._assigned = tps

    def clear(self) -> None:
        """The generation has ended."""
        self.inflight.clear()
        self.expected.clear()
        self.queues.clear()
        self.open_gaps.clear()
        self.held.clear()
        self._trailing.clear()

    async def deliver_from(self, positions: dict[TP, int]) -> None:
        """Deliver from these offsets on; everything handed over before is stale at once."""
        for tp, offset in positions.items():
            self.epochs[tp] += 1
            self.inflight.pop(tp, None)
            self.expected[tp] = offset
        self.wake()

    async def stream(self, tp: TP) -> AsyncIterator[RecordBatch]:
        """The batches of one partition, for its actor."""
        queue = self._queue(tp)
        while True:
            yield await queue.get()

    def batch_done(self, batch: RecordBatch) -> None:
        """Free the room of a batch."""
        batch.done = True
        waiting = self.inflight[batch.tp]
        while waiting and waiting[0].done:
            waiting.popleft()
        self.wake()

    def wake(self) -> None:
        """Hand over what there is, and show the tables that every worker holds what others wrote to them."""
        for tp in list(self.expected):
            self._hand_over(tp)
        if self.app.slots.open:
            for table in self.app.tables.values():
                if table.is_global:
                    self.catch_up(table, range(self.app.options.partitions))

    def _hand_over(self, tp: TP) -> None:
        options, waiting = self.app.options, self.inflight[tp]
        log = self.broker.log(*tp)
        while tp in self.expected and tp not in self.held and len(waiting) < HANDED_OVER:
            start = self.expected[tp]
            if not log.start <= start <= log.stable:
                del self.expected[tp]
                self.app.gaps.found_while_running(tp, start, start)
                return
            parts = list(chunks(log.read(start), options.batch_records, options.batch_bytes))
            if not parts:
                if log.stable > start and self._trailing.get(tp) != (start, log.stable):
                    # Control and aborted records join the next batch; where none comes, they get one of their own.
                    self._trailing[tp] = (start, log.stable)
                    asyncio.get_running_loop().call_later(options.trailing_seconds, self._move_past, tp)
                return
            self._give(tp, parts[0], start, parts[0][-1].offset + 1 if len(parts) > 1 else log.stable)

    def _move_past(self, tp: TP) -> None:
        start, end = self._trailing.pop(tp, (-1, -1))
        if self.expected.get(tp) != start or tp in self.held or self.broker.log(*tp).stable != end:
            self.wake()
        else:
            self._give(tp, [], start, end)

    def _give(self, tp: TP, records: list[Any], start: int, end: int) -> None:
        batch = RecordBatch(tp, records, start, end, self.epochs[tp], self.app.consumer_generation_id)
        self.expected[tp] = end
        self.inflight[tp].append(batch)
        self._queue(tp).put_nowait(batch)

    def _queue(self, tp: TP) -> "asyncio.Queue[RecordBatch]":
        return self.queues.setdefault(tp, asyncio.Queue())

    # tables

    def catch_up(self, table: Any, partitions: Iterable[int]) -> None:
        """Bring a table to the end of its changelog."""
        for index in partitions:
            tp = TP(table.changelog_topic_name, index)
            log = self.broker.log(*tp)
            start = max(log.start, (table.persisted_offset(tp) if table.persisted_offset(tp) is not None else -1) + 1)
            if start < log.stable:
                batch = RecordBatch(tp, log.read(start), start, log.stable, 0, self.app.consumer_generation_id)
                table.apply_changelog_batch([_Event(_Message(batch))])

    async def catch_up_slot(self, index: int) -> None:
        """After InitProducerId: an unclear EndTxn may have committed writes that memory does not have yet."""
        for table in self.app.tables.values():
            self.catch_up(table, [index])
