"""The Faust transport of a stage: batches in order, one FIFO per partition, offsets left to the slots.

Faust keeps group membership, co-partitioned assignment, table recovery, agents and web. This replaces its per-record
hot path and its offset bookkeeping.
"""

import asyncio
from collections import defaultdict, deque
from typing import Any

from aiokafka import TopicPartition
from faust.tables.recovery import RebalanceAgain
from faust.transport.drivers import TRANSPORTS
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerMessage

from workers.engine.batch import RecordBatch
from workers.engine.consumer_thread import ConsumerThread
from workers.engine.stability import StableOffsets

FETCH_TIMEOUT = 0.2
SCHEME = "cdc"


class Consumer(driver.Consumer):
    """Faust's consumer, fed by `ConsumerThread.fetch`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.epochs: dict[TP, int] = defaultdict(int)
        self.cursor: dict[TP, int] = {}  # thread side: end of what was fetched
        self.drained: dict[TP, int | None] = {}  # thread side: aiokafka's position after the last drain or seek
        self.expected: dict[TP, int] = {}  # this side: start of the next batch to hand over
        self.inflight: dict[TP, deque[RecordBatch]] = defaultdict(deque)  # handed over and not done, in offset order
        self.held: set[TP] = set()  # partitions that wait: a Pause or a full window
        self.open_gaps: dict[TP, str] = {}  # positions outside of the log, in words
        super().__init__(*args, **kwargs)
        self.stable_offsets = StableOffsets(self.app.log)

    def stable_ends(self) -> dict[TP, int]:
        """Last stable offsets of the source partitions, as far as fetches told them: about a second old."""
        return self.stable_offsets.ends

    def _new_consumer_thread(self) -> ConsumerThread:
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    def is_changelog(self, tp: Any) -> bool:
        """Whether the partition belongs to a table rather than to a source."""
        return tp.topic in self.app.tables._changelogs

    def readable(self, tp: TP) -> bool:
        """Whether somebody may read the partition now, room aside. Sources only after this generation's seek, and not
        while they are paused."""
        if self.is_changelog(tp):
            return True
        return tp in self.expected and tp not in self.held and not self.app.brake.stops(tp.partition)

    def fetchable(self) -> list[Any]:
        """Partitions to fetch. Room is counted in records and bytes, not in batches: a limit of two tiny batches
        would leave partitions un-drained and cost 66 ms of median latency (measured)."""
        return [
            TopicPartition(*tp) for tp in list(self._active_partitions or ()) if self.readable(tp) and self._room(tp)
        ]

    def _room(self, tp: TP) -> bool:
        if self.is_changelog(tp):
            return True
        options = self.app.options
        waiting = tuple(self.inflight[tp])  # asked in the consumer's thread, while the stage hands over and finishes
        records = sum(len(batch) for batch in waiting)
        size = sum(batch.size for batch in waiting)
        return records < 2 * options.batch_records and size < min(options.batch_bytes, self._share())

    def _share(self) -> int:
        """Bytes one partition of a source may hold in memory: its part of the worker's budget."""
        budget: int = self.app.options.memory_budget
        sources = len(self.app.slots.owned) * len(self.app.source_topics)
        return max(1, budget // max(1, sources))

    def on_buffer_full(self, tp: TP) -> None:
        """Back-pressure is the room above, never Faust's queue length."""

    def on_buffer_drop(self, tp: TP) -> None:
        """See on_buffer_full."""

    async def _drain_messages(self, fetcher: Any) -> None:
        def stopped() -> bool:
            return bool(self._stopped.is_set() or fetcher._stopped.is_set())

        options = self.app.options
        try:
            while not stopped():
                if not self.flow_active:
                    await self.wait(self.can_resume_flow)
                    continue
                fetched = 0
                for batch in await self._thread.call(self._thread.fetch, FETCH_TIMEOUT):
                    if stopped() or not self.flow_active:
                        break  # a seek follows every stop of the flow
                    fetched += len(batch)
                    await self._hand_over(batch)
                if self.is_trickle(fetched):
                    # One fetch per record would cost 30 % of a core at 500 records a second.
                    await asyncio.sleep(options.linger / 2)
        except self.consumer_stopped_errors:
            if not self.app.should_stop:
                raise
        except asyncio.CancelledError:
            if not self.app.should_stop:
                raise

    def is_trickle(self, records: int) -> bool:
        """A fetch brought so few that the next one is worth waiting for."""
        return 0 < records < self.app.options.batch_records // 8

    async def _hand_over(self, batch: RecordBatch) -> None:
        tp = batch.tp
        if self.is_stale(batch):
            return
        expected = self.expected.get(tp)
        if expected is not None and expected != batch.start:
            # P1, P2: cannot happen; if it does, going on would lose records.
            await self.crash(RuntimeError(f"hole in {tp}: expected {expected}, got {batch.start}"))
            return
        self.expected[tp] = batch.next_offset
        waiting = None if self.is_changelog(tp) else self.inflight[tp]
        if waiting and self._joins(waiting[-1], batch):
            rest = waiting[-1].fill(batch, self.app.options.batch_records)
            if rest is None:
                return
            batch = rest
        message = ConsumerMessage(
            tp.topic, tp.partition, batch.next_offset - 1, batch.records[0].timestamp / 1000.0 if batch.records else
            0.0, 0, None, None, batch, None, 0, 0, tp, generation_id=batch.generation,
        )  # fmt: skip
        if waiting is not None:
            waiting.append(batch)
        await self.wait_first(self.callback(message), self.suspend_flow.wait())

    def _joins(self, last: RecordBatch, batch: RecordBatch) -> bool:
        """Natural batching: a new fetch joins the last batch nobody has started on."""
        options = self.app.options
        return (
            not last.started
            and (last.epoch, last.generation) == (batch.epoch, batch.generation)
            and len(last) < options.batch_records
            and last.size + batch.size <= options.batch_bytes
        )

    def is_stale(self, batch: RecordBatch) -> bool:
        """Fetched before a seek or in an older generation: it will be fetched again."""
        return batch.epoch != self.epochs[batch.tp] or batch.generation != self.app.consumer_generation_id

    def batch_done(self, batch: RecordBatch) -> None:
        """Free the room of a batch. Offsets are none of its business: the slot commits them."""
        batch.done = True
        if batch.epoch == self.epochs[batch.tp]:
            waiting = self.inflight[batch.tp]
            while waiting and waiting[0].done:
                waiting.popleft()

    async def commit(self, topics: Any = None, start_new_transaction: bool = True) -> bool:
        """Nothing: offsets move only inside a slot's transaction."""
        return False

    async def wait_empty(self) -> None:
        """Faust calls this before partitions are given back: units end and prefixes are committed."""
        await self.app.slots.quiesce()

    async def on_partitions_revoked(self, revoked: Any) -> None:
        await super().on_partitions_revoked(revoked)
        for positions in (self.inflight, self.cursor, self.drained, self.expected, self.open_gaps):
            positions.clear()
        self.held.clear()

    async def on_partitions_assigned(self, assigned: Any, generation_id: int = 0) -> None:
        # P1, P2: fence the previous owners first. Their open transaction has ended when InitProducerId returns;
        # aiokafka's OffsetFetch cannot wait for stable offsets, so an earlier look could see one about to change.
        await self.app.slots.on_assigned(assigned, generation_id)
        await super().on_partitions_assigned(assigned, generation_id)

    async def perform_seek(self) -> None:
        """After recovery: read the positions, and let the slots go. Raises RebalanceAgain if they were given up
        meanwhile: Faust notices a rebalance only when that has ended, and bodies that start twice work twice."""
        slots = self.app.slots
        stopping = slots.stopping  # of this generation

        def refuse_outdated() -> None:
            if stopping.is_set() or slots.stopping is not stopping:
                raise RebalanceAgain

        tps = [tp for tp in self.assignment() if tp.topic in self.app.source_topics and tp.partition in slots.owned]
        if tps:
            found = await self.app.gaps.positions(tps)
            refuse_outdated()
            slots.set_positions(found)
            await self.deliver_from(
                {tp: position.offset for tp, position in found.items() if slots.owned[tp.partition].usable}
            )
        refuse_outdated()
        slots.start_bodies()

    async def deliver_from(self, positions: dict[TP, int]) -> None:
        """Deliver from these offsets on; everything fetched or handed over before is stale at once."""
        for tp in positions:
            self.epochs[tp] += 1
            self.inflight.pop(tp, None)
        await self._thread.call(self._thread.seek_all, positions)

    def gap_seen(self, tp: TP, offset: int) -> None:
        """Called in the consumer's thread: the fetch of a running partition was out of range."""
        handed_over = self.expected.pop(tp, offset)
        self.loop.call_soon_threadsafe(self.app.gaps.found_while_running, tp, offset, handed_over)


class Transport(driver.Transport):
    """Registered under the scheme `cdc://`."""

    Consumer = Consumer


def register() -> None:
    """Make `cdc://host:port` a broker URL that Faust understands."""
    TRANSPORTS.aliases[SCHEME] = f"{__name__}:Transport"
