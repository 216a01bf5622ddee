"""The window: a long-lived body of one slot for a sink outside of Kafka (P3, P4: at least once, in order per key).

Successive batches feed it. Each record waits in the lane of its key, in one channel for each place that records go to
(see `lanes`): what one key or one channel holds up holds up no other, until the window is full. Every linger the
contiguous delivered prefix of each source is committed through the slot's transaction, with its receipts and dead
letters. What lies beyond the prefix may be sent again after a rebalance, so repeats are bounded by the window.
"""

import asyncio
import sys
from collections import Counter, deque
from collections.abc import Callable, Iterator
from itertools import groupby, islice
from operator import attrgetter

from faust.types import TP

from workers.engine.batch import RecordBatch, record_size
from workers.engine.clock import monotonic
from workers.engine.dead_window import WholesalePoison
from workers.engine.delivery import Emit, Gate, Sink, Undeliverable, WindowOptions
from workers.engine.errors import Broken, ConfigurationRefused, DataError, EngineError, Fenced
from workers.engine.flow import Flow
from workers.engine.lanes import Channel, Item, Lane
from workers.engine.ledger import DEAD, IN, OUT
from workers.engine.runner import CONFIGURATION_PAUSE, describe
from workers.engine.slot import Slot
from workers.engine.unit import Advance, UnitOfWork


class Window:
    """One slot's window. `start`, `feed`, `stop` are called by the engine."""

    def __init__(
        self, slot: Slot, sink: Sink, emit: Emit, options: WindowOptions, gate_of: Callable[[str], Gate]
    ) -> None:
        self.slot = slot
        self.app = slot.app
        self.sink = sink
        self.emit = emit
        self.options = options
        self.fifo: dict[TP, deque[Item]] = {}
        self.fed: dict[TP, int] = {}
        self.channels: dict[str, Flow] = {}
        self.calls: set[asyncio.Task[None]] = set()
        self.records = self.bytes = 0
        self.stopping = False
        self.room = asyncio.Event()
        self.progress = asyncio.Event()
        self._gate_of = gate_of
        self._committer: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin at the slot's positions."""
        self.fed = dict(self.slot.position)
        self.app.brake.listeners.add(self._brake_moved)
        self._committer = asyncio.ensure_future(self._commit_loop())

    # feeding

    async def feed(self, batch: RecordBatch) -> None:
        """Take a batch in; waits while the window is full. Raises Fenced if it does not follow the last one."""
        consumer = self.app.consumer
        while not self.stopping and (self._full(batch) or self.held):
            self.room.clear()
            consumer.held.add(batch.tp)
            await self.room.wait()
            if not self.stopping:  # else `held` belongs to the next generation already
                consumer.held.discard(batch.tp)
        if self.stopping or consumer.is_stale(batch):
            return
        batch.started = True
        if self.fed.get(batch.tp) is None and batch.tp in self.slot.position:
            self.fed[batch.tp] = self.slot.position[batch.tp]  # the slot was repaired after the start
        if self.fed.get(batch.tp) != batch.start:
            raise Fenced(f"{batch!r} does not follow {self.fed.get(batch.tp)}")
        queue = self.fifo.setdefault(batch.tp, deque())
        if not len(batch):
            queue.append(Item(None, batch.tp, batch.start, batch.next_offset, monotonic()))
            self.progress.set()
        now = monotonic()
        fed: dict[str, Flow] = {}
        for item in _items(batch, now):
            queue.append(item)
            prepared = self.sink.prepare(item.record)
            if isinstance(prepared, Undeliverable):
                item.attempts, item.outcome = 1, prepared
                self.progress.set()
                continue
            item.prepared = prepared
            flow = fed.get(prepared.channel)
            if flow is None:
                flow = fed[prepared.channel] = self._flow(prepared.channel)
            flow.channel.add(item, now)
        self.fed[batch.tp] = batch.next_offset
        self.records += len(batch)
        self.bytes += batch.size
        consumer.batch_done(batch)
        for flow in fed.values():
            flow.pump()

    def _flow(self, name: str) -> Flow:
        flow = self.channels.get(name)
        if flow is None:
            channel = Channel(name, self.options.order, self.options.retry)
            flow = self.channels[name] = Flow(self, channel, self._gate_of(name))
        return flow

    def oldest(self, now: float) -> float:
        """Seconds since the oldest record that is not committed came into the window; 0 if there is none."""
        return max((now - queue[0].since for queue in self.fifo.values() if queue), default=0.0)

    def stalled(self) -> list[Lane]:
        """Lanes whose head has failed so often that the quick tries are over."""
        return [lane for flow in self.channels.values() for lane in flow.channel.stalled()]

    def waiting(self, channel: str) -> int:
        """Keys of which a record waits for that channel; records, where there is no order."""
        flow = self.channels.get(channel)
        return len(flow.channel.lanes) if flow is not None else 0

    def skip(self, tp: TP, offset: int) -> None:
        """The engine has committed a jump over a gap; nothing of the partition is in memory."""
        self.fed[tp] = offset

    @property
    def held(self) -> bool:
        """An operator has paused it: no call begins and no batch comes in."""
        return bool(self.app.brake.stops(self.slot.index))

    def _brake_moved(self) -> None:
        self.room.set()
        now = monotonic()
        for flow in self.channels.values():
            flow.channel.unpark(now)
            flow.pump()

    def _full(self, batch: RecordBatch) -> bool:
        options = self.options
        over = self.records + len(batch) > options.max_records or self.bytes + batch.size > options.max_bytes
        return bool(self.records) and over

    # committing

    def _prefix(self, limit: int) -> list[Item]:
        """Delivered items from the head of each source on, without a hole; up to its first dead letter, if the stage
        stands still over too many of them."""
        prefix: list[Item] = []
        stands_still = bool(self.app.dead_window.stopped)
        for queue in self.fifo.values():
            for item in islice(queue, limit - len(prefix)):
                outcome = item.outcome
                if outcome is None and item.record is not None:
                    break
                if stands_still and isinstance(outcome, Undeliverable):
                    break
                prefix.append(item)
        return prefix

    async def commit_prefix(self, limit: int, *, with_value: bool = True) -> bool:
        """One transaction for what was delivered; whether there was anything."""
        if not self._prefix(1):
            return False
        try:
            ends = await self._commit(limit, with_value=with_value)
        except WholesalePoison:
            return bool(self._prefix(1))  # without dead letters from now on
        self._forget(ends)
        return bool(ends)

    async def _commit(self, limit: int, *, with_value: bool) -> dict[TP, int]:
        async with UnitOfWork(self.slot, while_stopping=True) as unit:
            # Computed under the slot's lock: another commit may just have taken the same prefix.
            for tp, found in groupby(self._prefix(limit), attrgetter("tp")):
                items = list(found)
                advance = unit.advances[tp] = Advance(items[0].start, items[-1].end)
                inputs = 0
                for item in items:
                    outcome = item.outcome
                    if outcome is None:
                        continue
                    if isinstance(outcome, Undeliverable):
                        advance.letters.append((inputs, f"{outcome.failure}: {outcome.reason}"))
                    inputs += 1
                    self.emit(unit, item.record, outcome, item.attempts, with_value)
                dead = len(advance.letters)
                advance.counts += Counter({IN: inputs, OUT: inputs - dead, DEAD: dead})
        return {tp: advance.end for tp, advance in unit.advances.items()}

    def _forget(self, ends: dict[TP, int]) -> None:
        for tp, end in ends.items():
            queue = self.fifo.get(tp, deque())
            while queue and queue[0].end <= end and (queue[0].outcome is not None or queue[0].record is None):
                record = queue.popleft().record
                if record is not None:
                    self.records -= 1
                    self.bytes -= record_size(record)
        self.room.set()

    async def _commit_loop(self) -> None:
        options, slots = self.options, self.app.slots
        limit, with_value = options.commit_records, True
        while not self.stopping:
            await self.progress.wait()
            self.progress.clear()
            await asyncio.sleep(self.app.options.linger)
            try:
                while not self.stopping and await self.commit_prefix(limit, with_value=with_value):
                    limit, with_value = min(options.commit_records, limit * 2), True
            except DataError:
                # A receipt or dead letter that the broker refuses: halve until it is alone, then leave its value out.
                slots.stats.bisections += 1
                if not with_value:  # refused even so: as good as a topic nobody may write to
                    await self._wait_for_configuration("a dead letter without its value is refused")
                limit, with_value = (limit // 2, True) if limit > 1 else (1, False)
                await self._repair(counted=False)
            except Fenced as error:
                if not self.stopping:
                    await slots.rejoin(self.slot, error)
            except ConfigurationRefused as error:
                await self._wait_for_configuration(str(error))
                await self._repair(counted=False)
            except (Broken, EngineError) as error:
                self.app.log.warning("slot %s: window: %s", self.slot.index, error)
                await self._repair(counted=True)
            except Exception as error:  # noqa: BLE001  a bug of `emit`: nothing is committed, nothing is lost
                self.app.log.error("slot %s: window: %s", self.slot.index, describe(error))
                await slots.wait_stopping(1)
            self.progress.set() if self._prefix(1) else None

    async def _wait_for_configuration(self, why: str) -> None:
        self.slot.refuse(why)
        self.app.log.error("slot %s paused: %s", self.slot.index, why)
        await self.app.slots.wait_stopping(CONFIGURATION_PAUSE)

    async def _repair(self, *, counted: bool) -> None:
        # No seek: what is in memory stays valid; only what an unclear EndTxn did commit is forgotten.
        if await self.app.slots.repair(self.slot, rewind=False, counted=counted):
            self._forget(self.slot.position)

    # the end

    async def at_rest(self) -> None:
        """Wait for the calls that are on their way, and for the commit of what they delivered. What is free meanwhile
        goes on being sent, and is not waited for."""
        if self.calls:
            await asyncio.wait(set(self.calls))
        ends = {item.tp: item.end for item in self._prefix(sys.maxsize)}
        while self._waits(ends) and self.slot.usable and not self.stopping:
            await asyncio.sleep(self.app.options.linger)

    def _waits(self, ends: dict[TP, int]) -> bool:
        return any(item.end <= ends.get(item.tp, -1) for item in self._prefix(sys.maxsize))

    async def stop(self, deadline: float) -> None:
        """Finish calls in flight within the deadline (0.5 s if the sink is known to be down), commit the prefix."""
        self.stopping = True
        self.app.brake.listeners.discard(self._brake_moved)
        self.room.set()
        self.progress.set()
        for flow in self.channels.values():
            flow.cancel_timer()
            flow.gate.left()
        if self.calls:
            known_down = all(flow.channel.failures for flow in self.channels.values() if flow.channel.calls)
            _, late = await asyncio.wait(self.calls, timeout=0.5 if known_down else max(0.1, deadline - 0.5))
            for call in late:
                call.cancel()
            if late:
                await asyncio.wait(late, timeout=0.1)
        try:
            while await self.commit_prefix(self.options.commit_records):
                pass
        except Exception as error:  # noqa: BLE001  the next owner sends it again
            self.app.log.warning("slot %s: last commit of the window: %s", self.slot.index, describe(error))
        if self._committer is not None and not self._committer.done():
            self._committer.cancel()


def _items(batch: RecordBatch, now: float) -> Iterator[Item]:
    start = batch.start
    last = len(batch) - 1
    for index, record in enumerate(batch):
        end = batch.next_offset if index == last else record.offset + 1
        yield Item(record, batch.tp, start, end, now)
        start = end
