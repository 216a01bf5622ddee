"""The part of the transport that runs in aiokafka's own thread: positions and fetches.

Everything that moves a position happens here in one synchronous block together with the epoch of the partition, so a
fetch is known to be from before or after a seek without any lock. (Stock Faust loses records in that race.)
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from time import monotonic
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError, NoOffsetForPartitionError, OffsetOutOfRangeError
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from workers.engine.batch import RecordBatch, chunks
from workers.engine.contiguous import ContiguousAssignor
from workers.engine.offsets import Committed, committed, log_bounds
from workers.engine.record import make_lean

KEEPALIVE = 1.1
"""Seconds between two signs of life of the thread's event loop."""
LATE = 2.0
TOLD_EVERY = 60.0


class ConsumerThread(driver.AIOKafkaConsumerThread):
    """One aiokafka consumer per stage, reading committed records only."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._trailing: dict[TP, tuple[int, float]] = {}  # position behind records nobody sees, and since when
        super().__init__(*args, **kwargs)

    def _create_worker_consumer(self, transport: Any) -> Any:
        """In place of Faust's, which knows one broker and no token; the rest of its arguments are its own defaults."""
        options, conf = self.app.options, self.app.conf
        # Slot i must own partition i of every source. Contiguous ranges are possible only without tables: Faust's
        # assignor is the one that maps changelogs.
        contiguous = options.contiguous_slots and not self.app.tables.changelog_topics
        return AIOKafkaConsumer(
            **options.member(conf.id),
            group_id=conf.id,
            partition_assignment_strategy=[ContiguousAssignor(self.app) if contiguous else self.app.assignor],
            enable_auto_commit=False,
            auto_offset_reset=conf.consumer_auto_offset_reset,
            isolation_level="read_committed",
            max_poll_interval_ms=int(conf.broker_max_poll_interval * 1000),
            session_timeout_ms=int(conf.broker_session_timeout * 1000),
            rebalance_timeout_ms=int(conf.broker_rebalance_timeout * 1000),
            heartbeat_interval_ms=int(conf.broker_heartbeat_interval * 1000),
            max_partition_fetch_bytes=conf.consumer_max_fetch_size,
            # One fetch is in flight per broker: a drained partition waits for the long poll of the others, and Faust's
            # 1,500 ms would be the worst-case latency.
            fetch_max_wait_ms=options.fetch_wait_ms,
        )

    async def _keepalive2(self) -> None:
        """In place of mode's, which says `ERROR Thread keepalive is not responding...` of this very loop when it ran
        two seconds late: a host without CPU time, and no error of the thread. One that stands is for `/livez`."""
        told = float("-inf")
        while not self.should_stop:
            asked = monotonic()
            await self.sleep(KEEPALIVE)
            late = monotonic() - asked - KEEPALIVE
            if late > LATE and asked - told > TOLD_EVERY:
                told = asked
                self.app.log.warning("the consumer thread ran %.1f s late: the worker lacks CPU time", late)
            await self._wakeup_timer_in_thread()

    async def call(self, function: Callable[..., Coroutine[Any, Any, Any]], *args: Any) -> Any:
        """Run a coroutine function in this thread's loop, past Faust's two-worker method queue."""
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(function(*args), self.thread_loop))

    async def seek_all(self, positions: dict[TP, int]) -> None:
        """Seek, and make everything fetched before stale."""
        consumer = self._ensure_consumer()
        ours = self.consumer
        for tp, offset in positions.items():
            consumer.seek(TopicPartition(*tp), offset)
            ours.epochs[tp] += 1
            ours.cursor[tp] = offset
            ours.drained[tp] = offset
            ours.expected[tp] = offset

    async def _seek_wait(self, consumer: Any, partitions: dict[Any, int]) -> None:
        await self.seek_all({TP(*tp): offset for tp, offset in partitions.items()})

    async def committed_positions(self, tps: Iterable[TP]) -> dict[TP, Committed]:
        """Committed positions of the stage's group and the bounds of each log."""
        return await committed(self._ensure_consumer(), list(tps))

    async def log_bounds(self, tps: Iterable[TP]) -> dict[TP, tuple[int, int]]:
        """(log start, log end) of each partition."""
        return await log_bounds(self._ensure_consumer(), list(tps))

    async def rejoin(self) -> None:
        """Ask the group for a new generation."""
        self._ensure_consumer()._coordinator.request_rejoin()

    async def fetch(self, timeout: float) -> list[RecordBatch]:
        """Batches of all partitions that may be read now. Never raises for what the world does."""
        ours = self.consumer
        consumer = self._ensure_consumer()
        fetcher = consumer._fetcher
        if consumer._closed or fetcher._closed:
            raise driver.ConsumerStoppedError
        active = ours.fetchable()
        generation = ours.app.consumer_generation_id
        self._pause_unreadable(fetcher)
        self._look_at_stable_offsets(fetcher)
        subscriptions = fetcher._subscriptions
        if not active or subscriptions.reassignment_in_progress:
            # Keep aiokafka's idle clock fresh, or the member leaves the group after max_poll_interval.
            subscriptions._last_fetch_ended = monotonic()
            await asyncio.sleep(0.005)
            return []
        if self._moved_behind_our_back(subscriptions, active):
            return []
        try:
            with subscriptions.fetch_context():
                # Without a time-out, outside of a reassignment, this never suspends. Nothing may be drained across an
                # await: a drain that outlives a rebalance moves the position of the NEW assignment, and its records
                # are thrown away as stale (reproduced: 160 of 15,360 records lost in 85 rebalances).
                make_lean(fetcher)
                fetched = await fetcher.fetched_records(active, timeout=0)
                self._note_positions(subscriptions, active)
                if ours.is_trickle(sum(map(len, fetched.values()))):
                    self._pause_all(subscriptions)
                if not fetched:
                    waiter = fetcher._create_fetch_waiter()
                    await asyncio.wait([waiter], timeout=timeout)
                    waiter.cancel()
        except NoOffsetForPartitionError:
            return []  # reset=none says so of every changelog before Faust has sought it
        except OffsetOutOfRangeError as error:
            for tp, offset in error.args[0].items():
                ours.gap_seen(TP(*tp), offset)
            return []
        except KafkaError as error:  # authorisation and the like: the world, no reason to end the process
            ours.log.error("fetch failed: %s", type(error).__name__)
            self._back_to_cursor(active)  # another partition may have been drained in the same call
            await asyncio.sleep(1)
            return []
        # No await since the drain: records, positions and epochs agree (an empty drain moves past
        # control records only).
        subscription = subscriptions.subscription
        assignment = subscription.assignment if subscription is not None else None
        if assignment is None or not assignment.active or generation != ours.app.consumer_generation_id:
            return []  # a rebalance in between: the next seek rebuilds the positions
        batches: list[RecordBatch] = []
        for tp in active:
            batches += self._cut(TP(*tp), fetched.get(tp), assignment, generation)
        return batches

    def _pause_all(self, subscriptions: Any) -> None:
        """Until the next call: a fetch sent now would return with the first record of one partition, and those that
        come after it, while nobody drains, would wait for the fetch after that (p99 of 82 ms instead of 65)."""
        subscription = subscriptions.subscription
        assignment = subscription.assignment if subscription is not None else None
        if assignment is None:
            return
        for tp in assignment.tps:
            state = assignment.state_value(tp)
            if state is not None and not state.paused:
                state.pause()

    def _note_positions(self, subscriptions: Any, active: list[Any]) -> None:
        subscription = subscriptions.subscription
        assignment = subscription.assignment if subscription is not None else None
        if assignment is not None:
            self.consumer.drained.update((TP(*tp), position_of(assignment, tp)) for tp in active)

    def _moved_behind_our_back(self, subscriptions: Any, active: list[Any]) -> bool:
        """The chain rule at its first link: aiokafka's position is where our last drain or seek left it."""
        subscription = subscriptions.subscription
        assignment = subscription.assignment if subscription is not None else None
        if assignment is None:
            return False
        moved = [
            tp
            for tp in active
            if (left := self.consumer.drained.get(TP(*tp))) is not None
            and (position := position_of(assignment, tp)) is not None
            and position != left
        ]
        if moved:
            self.consumer.log.critical("positions of %s moved without a hand-over: reading again", moved)
            self._back_to_cursor(moved)
        return bool(moved)

    def _back_to_cursor(self, tps: list[Any]) -> None:
        consumer = self._ensure_consumer()
        for tp in tps:
            cursor = self.consumer.cursor.get(TP(*tp))
            if cursor is not None and tp in consumer.assignment():
                consumer.seek(tp, cursor)
                self.consumer.drained[TP(*tp)] = cursor

    def _cut(self, tp: TP, records: Any, assignment: Any, generation: int) -> list[RecordBatch]:
        ours = self.consumer
        if tp not in ours.epochs and not ours.is_changelog(tp):
            return []
        position = position_of(assignment, TopicPartition(*tp)) or 0
        batches = []
        if records:
            options = ours.app.options
            start = ours.cursor.get(tp, records[0].offset)
            parts = list(chunks(records, options.batch_records, options.batch_bytes))
            for index, part in enumerate(parts):
                end = part[-1].offset + 1
                if index == len(parts) - 1:
                    end = max(position, end)
                batches.append(RecordBatch(tp, part, start, end, ours.epochs[tp], generation))
                start = end
            ours.cursor[tp] = start
        elif position > ours.cursor.get(tp, 0) and self._worth_a_batch(tp, position):
            batches.append(RecordBatch(tp, [], ours.cursor.get(tp, 0), position, ours.epochs[tp], generation))
            ours.cursor[tp] = position
        return batches

    def _look_at_stable_offsets(self, fetcher: Any) -> None:
        subscription = fetcher._subscriptions.subscription
        assignment = subscription.assignment if subscription is not None else None
        if assignment is None:
            return
        # Of a paused partition both stand still as the last fetch saw them.
        brake = self.app.brake
        sources = [tp for tp in assignment.tps if tp.topic in self.app.source_topics and not brake.stops(tp.partition)]
        states = ((tp, assignment.state_value(tp)) for tp in sources)
        self.consumer.stable_offsets.look(
            ((TP(*tp), state.lso, state.highwater) for tp, state in states if state is not None), monotonic()
        )

    def _worth_a_batch(self, tp: TP, position: int) -> bool:
        """Only control, aborted or compacted records were left. A recovery would wait for ever for their offsets. In a
        source they mostly join the next batch, which starts at the cursor; where none comes, they are committed after
        a while: a position that stays behind them looks like a gap once retention has deleted the log's end."""
        if self.consumer.is_changelog(tp):
            return True
        seen, since = self._trailing.get(tp, (-1, 0.0))
        if seen != position:
            self._trailing[tp] = (position, monotonic())
            return False
        return monotonic() - since > self.app.options.trailing_seconds

    def _pause_unreadable(self, fetcher: Any) -> None:
        """Pause in aiokafka itself what nobody may read now: an un-drained partition stops fetches from its broker
        for 100 ms at a time, and one without a position makes the fetcher look for one by itself."""
        subscription = fetcher._subscriptions.subscription
        assignment = subscription.assignment if subscription is not None else None
        if assignment is None:
            return
        ours = self.consumer
        for tp in assignment.tps:
            state = assignment.state_value(tp)
            pause = not ours.readable(TP(*tp))
            if state is not None and state.paused != pause:
                if pause:
                    state.pause()
                else:
                    state.resume()


def position_of(assignment: Any, tp: Any) -> int | None:
    """aiokafka's position; a new assignment has none yet, and its property asserts one."""
    state = assignment.state_value(tp) if tp in assignment.tps else None
    return state.position if state is not None and state.has_valid_position else None
