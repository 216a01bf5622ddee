"""A slot: the one owner of partition `index` of every source of the stage, and its transactional producer."""

import asyncio
import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from aiokafka import TopicPartition
from aiokafka.structs import OffsetAndMetadata
from faust.types import TP

from workers.engine.clock import monotonic
from workers.engine.errors import Broken, ConfigurationRefused, Fenced, sort_error
from workers.engine.ledger import Extent, Ledger, last_written
from workers.engine.offsets import Position
from workers.engine.unit import UnitOfWork
from workers.engine.unit_producer import UnitProducer

COMMIT_TIMEOUT = 20.0
"""Seconds. aiokafka retries retriable errors of an idempotent producer for ever."""
OPEN_TIMEOUT = 15.0
METADATA_TIMEOUT = 5.0
REINITS_PER_MINUTE = 3
NOT_OPENED = "not opened yet"

Ends = dict[tuple[str, int], int]
"""Last offset written, by (topic, partition)."""


class Slot:
    """Owns the producer, the positions and the ledger of one partition index in one generation of the group."""

    def __init__(self, app: Any, index: int) -> None:
        self.app = app
        self.index = index
        self.lock = asyncio.Lock()
        self.producer: UnitProducer | None = None
        self.position: dict[TP, int] = {}
        self.ledgers: dict[TP, Ledger] = {}
        self.changelog_begins: dict[str, int] = {}
        self.extents: dict[str, Extent] = {}
        self.usable = False
        self.lost = False
        self.why = NOT_OPENED
        self.refusals: dict[TP | None, str] = {}
        """By source (None: whatever the slot writes): what only an operator can change, until a commit proves that
        somebody did. So long the slot is not ready."""
        self.last_commit = 0.0
        """When the last transaction began: counted from its end, the linger would grow by its five round trips."""
        self.bodies: list[Any] = []
        self._reinits: deque[float] = deque(maxlen=REINITS_PER_MINUTE)

    @property
    def current(self) -> bool:
        """Whether this worker still holds the slot, in the generation the object was made for."""
        slots = self.app.slots
        return bool(slots.open and slots.owned.get(self.index) is self)

    @property
    def broken(self) -> bool:
        """It worked, or was to work, and cannot; one that nobody has wanted yet is not broken."""
        return not self.usable and self.why not in ("", NOT_OPENED)

    def needs_repair(self) -> bool:
        """It is ours, and it does not work. A fenced one is not ours to repair: only a new generation says whose it
        is."""
        return self.current and not self.usable and not self.lost

    @property
    def refused(self) -> str:
        """Why an operator is needed; empty if none is."""
        return next(iter(self.refusals.values()), "")

    @property
    def waits_for_operator(self) -> bool:
        """It does not work because something was refused, not because something failed."""
        return not self.usable and self.why in self.refusals.values()

    def refuse(self, why: str, source: TP | None = None) -> None:
        """Nobody in the group can write, by what the broker says of topics and rights."""
        self.usable, self.why = False, why
        self.refusals[source] = why

    async def open_producer(self) -> None:
        """InitProducerId under the slot's own id: a predecessor is fenced and its open transaction has ended."""
        self.producer = self.app.slots.new_producer(self.index)
        try:
            await asyncio.wait_for(self.producer.start(), OPEN_TIMEOUT)
        except BaseException:
            self.app.slots.dispose(self)
            raise

    def new_batch(self) -> Any:
        """An empty record batch: appending to it is many times cheaper than aiokafka's `send` (measured)."""
        if self.producer is None:
            raise Broken(self.why)
        return self.producer.create_batch()

    def adopt(self, positions: dict[TP, Position]) -> None:
        """Take over committed positions and ledgers: from here on the slot is usable."""
        self.position = {tp: found.offset for tp, found in positions.items()}
        self.ledgers = {tp: Ledger.decode(found.metadata) for tp, found in positions.items()}
        self.extents = last_written(list(self.ledgers.values()), self.app.tables)
        self.usable, self.why = True, ""

    async def commit(self, unit: UnitOfWork) -> None:
        """One transaction for everything in the unit; the caller holds the lock. Raises a sorted EngineError."""
        if not self.usable or self.producer is None:
            raise Broken(self.why)
        for tp, advance in unit.advances.items():
            # P1, P2: the chain rule. A commit goes on exactly where the last one ended.
            if self.position.get(tp) != advance.start:
                raise Fenced(f"{tp} starts at {advance.start}, the slot is at {self.position.get(tp)}")
        started = monotonic()
        ledgers: dict[TP, Ledger] = {}

        def offsets(ends: Ends) -> dict[Any, OffsetAndMetadata]:
            written = self._written(unit, ends)
            self._refuse_remade(written)
            extents = self.extents | written
            for tp, advance in unit.advances.items():
                ledgers[tp] = self.ledgers.get(tp, Ledger()).plus(advance.counts, extents)
            return {
                TopicPartition(*tp): OffsetAndMetadata(advance.end, ledgers[tp].encode())
                for tp, advance in unit.advances.items()
            }

        stats = self.app.slots.stats
        try:
            ends = await asyncio.wait_for(self._transact(self.producer, unit.outputs, offsets), COMMIT_TIMEOUT)
        except BaseException as error:
            # Sequence numbers may have a hole now, and after an unclear EndTxn only the next InitProducerId knows.
            self.usable, self.why = False, type(error).__name__
            if isinstance(error, asyncio.CancelledError):
                stats.abort(error)
                raise
            sorted_error = sort_error(error)
            stats.abort(sorted_error)
            raise sorted_error from error
        if self.app.slots.owned.get(self.index) is not self:
            # Given up by a rebalance and committed after all: recovery has read it or will; do not merge twice.
            raise Fenced("committed after the slot was given up")
        # Committed: show it to memory, without an await in between.
        for table, writes in unit.overlays.items():
            table.merge(self.index, writes, ends.get((table.changelog_topic_name, self.index)))
        for tp, advance in unit.advances.items():
            self.position[tp] = advance.end
        self.ledgers.update(ledgers)
        self.extents |= self._written(unit, ends)
        for source in (None, *unit.advances):
            self.refusals.pop(source, None)
        self.last_commit = started
        ended = monotonic()
        stats.committed(unit, ended - started, ended - unit.begun)
        if unit.traced and self.app.tell_traced is not None:
            self.app.tell_traced(unit.traced, ended - unit.begun, f"{self.app.conf.id}-{self.index}")

    def _written(self, unit: UnitOfWork, ends: Ends) -> dict[str, Extent]:
        """How far this unit wrote its changelogs: a log that ends below was truncated or re-created."""
        written = {table.name: ends.get((table.changelog_topic_name, self.index)) for table in unit.overlays}
        begins = self.changelog_begins
        return {name: Extent(begins.get(name, 0), last) for name, last in written.items() if last is not None}

    def _refuse_remade(self, written: dict[str, Extent]) -> None:
        """P2: a log that gives out an offset again was made anew under us, and lacks what it held before. The next
        assignment finds it too short, and stops the slot; to try again would make it longer."""
        for table, extent in written.items():
            known = self.extents.get(table)
            if known is not None and extent.last <= known.last:
                raise Fenced(f"the changelog of {table} was made anew")

    async def _transact(
        self,
        producer: UnitProducer,
        outputs: dict[tuple[str, int], list[Any]],
        offsets: Callable[[Ends], dict[Any, OffsetAndMetadata]],
    ) -> Ends:
        """Returns the last offset written per (topic, partition). `offsets` is asked once these are known."""
        await self._refuse_missing(producer, outputs)
        await producer.begin_transaction()
        deliveries: list[Any] = []
        counts: list[int] = []
        try:
            for topic, partition, batch in in_turns(outputs):
                batch.close()
                counts.append(batch.record_count())
                deliveries.append(await producer.send_batch(batch, topic, partition=partition))
            # aiokafka commits happily although a batch failed: look at every delivery. And do not overlap them with
            # the offsets: the broker's verification of a produce collides with AddOffsetsToTxn (140 ms, not 10).
            ends = _ends(await asyncio.gather(*deliveries), counts)
            moved = offsets(ends)
            if moved:
                await producer.send_offsets_to_transaction(moved, self.app.conf.id)
            await producer.commit_transaction()
        except BaseException:
            for delivery in deliveries:
                delivery.add_done_callback(lambda done: done.cancelled() or done.exception())
            raise
        return ends

    async def _refuse_missing(self, producer: UnitProducer, outputs: Iterable[tuple[str, int]]) -> None:
        """aiokafka asks for an unknown topic again and again, for ever: that is not the broker's fault but ours."""
        known: dict[str, set[int]] = {}
        for topic, partition in outputs:
            if topic not in known:
                try:
                    known[topic] = await asyncio.wait_for(producer.partitions_for(topic), METADATA_TIMEOUT)
                except TimeoutError:
                    known[topic] = set()
            if partition not in known[topic]:
                raise ConfigurationRefused(f"{topic}/{partition} does not exist")

    async def reinitialise(self, *, counted: bool, catch_up: Callable[[int], Any]) -> dict[TP, int]:
        """InitProducerId -> own changelogs to the high watermark -> offsets; the caller holds the lock.

        Returns the source positions that moved: an EndTxn with an unknown outcome had committed. Raises Fenced when
        the slot is lost or was re-initialised too often (bisection does not count)."""
        now = monotonic()
        if counted and len(self._reinits) == REINITS_PER_MINUTE and now - self._reinits[0] < 60:
            raise Fenced(f"more than {REINITS_PER_MINUTE} re-initialisations a minute")
        self.app.slots.dispose(self)
        await self.open_producer()
        await catch_up(self.index)
        found = await self.app.gaps.positions([TP(topic, self.index) for topic in self.app.source_topics])
        if not self.current:
            raise Fenced("the slot was given up meanwhile")
        before = self.position
        self.adopt(found)
        if counted:
            # Only those that worked: what keeps this worker from a new producer id would keep the others from it, too.
            self._reinits.append(now)
        self.app.slots.stats.reinits += 1
        moved = {tp: offset for tp, offset in self.position.items() if offset != before.get(tp)}
        if counted:
            self.app.log.info("slot %s re-initialised, %s positions moved", self.index, len(moved))
        return moved


def in_turns(outputs: dict[tuple[str, int], list[Any]]) -> Iterator[tuple[str, int, Any]]:
    """The first batches of all partitions, then the second ones. aiokafka holds one batch of a partition at a time: who
    waits with the second one of the first partition has all others sent, and added to the transaction, one by one."""
    for turn in itertools.count():
        batches = [(*where, batches[turn]) for where, batches in outputs.items() if turn < len(batches)]
        if not batches:
            return
        yield from batches


def _ends(written: Sequence[Any], counts: Sequence[int]) -> Ends:
    ends: Ends = {}
    for metadata, count in zip(written, counts, strict=True):
        where = (metadata.topic, metadata.partition)
        ends[where] = max(ends.get(where, -1), metadata.offset + count - 1)
    return ends
