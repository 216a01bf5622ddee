"""All slots of one stage in this process: take-over, repair, and the end of a generation."""

import asyncio
import random
from collections.abc import Iterable
from typing import Any

from faust.types import TP

from workers.engine.catch_up import catch_up
from workers.engine.clock import monotonic
from workers.engine.configuration import check_assignment
from workers.engine.errors import BootRefused, Fenced
from workers.engine.offsets import Position
from workers.engine.slot import Slot
from workers.engine.slot_producer import SlotProducer
from workers.engine.stats import Stats
from workers.engine.unit import UnitOfWork

BODY_DEADLINE = 2.0
"""Seconds bodies and calls in flight have at a rebalance: the whole group waits for its slowest member."""
GRACE = 0.5
TRANSACTION_TIMEOUT_MS = 30_000
"""The broker ends a transaction itself after this: longer than the deadline of a commit."""
REJOIN_EVERY = 10.0
"""At most one rejoin per stage and this many seconds."""


class Slots:
    """Which slots this process owns in the current generation of the group."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.owned: dict[int, Slot] = {}
        self.incomplete: dict[int, list[str]] = {}
        self.running: set[UnitOfWork] = set()
        self.open = False
        self.stopping = asyncio.Event()
        self.generation = -1
        self.stats = Stats()
        self._quiesced_at: float | None = None
        self._stopped_in = 0.0
        self._assigned_at = 0.0
        self._rejoined_at = -REJOIN_EVERY
        self._background: set[asyncio.Future[Any]] = set()

    @property
    def planned(self) -> int:
        """Slots of the stage over all workers; 0 while it has not booted."""
        counts = self.app.partition_counts
        return max((counts.get(topic, 0) for topic in self.app.source_topics), default=0)

    def new_producer(self, index: int) -> SlotProducer:
        """The slot's producer. Its id follows the partition, because aiokafka's TxnOffsetCommit carries no member:
        this id is the only fence against a zombie."""
        options = self.app.options
        return SlotProducer(
            **options.producer(f"{self.app.conf.id}-slot-{index}"),
            transactional_id=f"{self.app.conf.id}-{index}",
            transaction_timeout_ms=TRANSACTION_TIMEOUT_MS,
            max_batch_size=options.producer_batch_bytes,
            max_request_size=options.max_record_bytes + (1 << 20),
            linger_ms=0,
            retry_backoff_ms=20,
            compression_type=options.compression,
        )

    def dispose(self, slot: Slot) -> asyncio.Future[None] | None:
        """Stop a producer without waiting: a broken one may hang, and what it still sends is fenced."""
        producer, slot.producer, slot.usable = slot.producer, None, False
        if producer is None:
            return None

        async def stop() -> None:
            try:
                await asyncio.wait_for(producer.stop(), 5)
            except Exception as error:  # noqa: BLE001  nothing depends on a producer that is given up
                self.app.log.debug("slot %s: producer stop: %s", slot.index, type(error).__name__)

        return self.in_background(stop())

    def in_background(self, work: Any) -> asyncio.Future[Any]:
        """Run a coroutine that nobody awaits, and keep it alive."""
        task = asyncio.ensure_future(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        return task

    def complete(self, assigned: Iterable[TP]) -> tuple[set[int], dict[int, list[str]]]:
        """(complete slots, {incomplete slot: missing topics}).

        A slot works only while this worker holds its partition of ALL sources and own changelogs: two owners of
        halves of one slot would fence each other for ever."""
        app, held = self.app, set(assigned)
        needed = sorted(app.source_topics | {t.changelog_topic_name for t in app.tables.values() if not t.is_global})
        complete: set[int] = set()
        incomplete: dict[int, list[str]] = {}
        for index in {tp.partition for tp in held if tp.topic in app.source_topics}:
            missing = [topic for topic in needed if TP(topic, index) not in held]
            if missing:
                incomplete[index] = missing
            else:
                complete.add(index)
        return complete, incomplete

    async def on_assigned(self, assigned: Iterable[TP], generation: int) -> None:
        """Fence the previous owners of every slot, also of the kept ones: right after a commit OffsetFetch still
        returned the old offset in 15 of 50 tries (measured), so a kept position may not be trusted either."""
        self._assigned_at = monotonic()
        complete, self.incomplete = self.complete(assigned)
        for index, missing in self.incomplete.items():
            self.app.log.error("slot %s idles: this worker does not hold %s", index, ", ".join(missing))
        for slot in self.owned.values():
            self.dispose(slot)
        self.owned = {index: Slot(self.app, index) for index in sorted(complete)}
        self.stopping = asyncio.Event()
        self.generation = generation
        slots = [] if self.app.options.open_on_demand else list(self.owned.values())
        refusal, *results = await asyncio.gather(
            check_assignment(self.app), *(slot.open_producer() for slot in slots), return_exceptions=True
        )
        for slot, result in zip(slots, results, strict=True):
            if isinstance(result, BaseException):
                slot.why = type(result).__name__
                self.app.log.warning("slot %s could not open yet: %s", slot.index, slot.why)
        if isinstance(refusal, BootRefused):
            for slot in slots:
                self.dispose(slot)
            self.owned = {}
            await self.app.crash(refusal)
            return
        if refusal is not None:
            self.app.log.warning("the configuration record could not be checked: %s", type(refusal).__name__)
        self.open = True

    def set_positions(self, found: dict[TP, Position]) -> None:
        """Positions read after the fence and after recovery."""
        for slot in self.owned.values():
            if slot.producer is not None:
                slot.adopt({tp: position for tp, position in found.items() if tp.partition == slot.index})

    def start_bodies(self) -> None:
        """Start the long-lived bodies (windows, slot tasks), and repair slots that could not open."""
        for slot in self.owned.values():
            if not slot.usable and not self.app.options.open_on_demand:
                self.in_background(self.repair(slot))
            slot.bodies = [make(slot) for make in self.app.slot_bodies]
            for body in slot.bodies:
                body.start()
        if self._quiesced_at is not None:
            self.stats.rebalance_pauses.append(monotonic() - self._quiesced_at)
            self.stats.engine_pauses.append(self._stopped_in + monotonic() - self._assigned_at)
            self._quiesced_at = None

    @property
    def ready(self) -> bool:
        """Every owned slot is complete and usable (or not needed yet)."""
        on_demand = self.app.options.open_on_demand
        usable = all(slot.usable or (on_demand and not slot.broken) for slot in self.owned.values())
        usable = usable and not any(slot.refused for slot in self.owned.values())
        return self.open and not self.incomplete and usable

    async def repair(
        self, slot: Slot, *, rewind: bool = True, counted: bool = True, settling: TP | None = None
    ) -> bool:
        """Make a broken slot usable again, or give it up; whether it is usable. The caller does not hold the lock.

        What had committed after all is delivered from there on, if `rewind`, but for the source that the caller is
        `settling`."""
        failures = 0
        while slot.needs_repair():
            try:
                async with slot.lock:
                    if not slot.needs_repair():
                        break
                    moved = await slot.reinitialise(counted=counted, catch_up=self._catch_up)
                    if settling is not None:
                        moved.pop(settling, None)
                    if rewind and moved:
                        await self.app.consumer.deliver_from(moved)
                    return True
            except Fenced as error:
                await self.rejoin(slot, error)
                return False
            except Exception as error:  # noqa: BLE001  the world: try again until the slot is taken away
                slot.why = slot.why if slot.broken else type(error).__name__
                self.app.log.warning("slot %s: re-initialisation: %s", slot.index, type(error).__name__)
            failures += 1
            await self.wait_stopping(self.app.options.retry.delay(failures, random.random()))
        return slot.usable and slot.current

    async def _catch_up(self, index: int) -> None:
        await catch_up(self.app, index)

    async def rejoin(self, slot: Slot, error: Exception) -> None:
        """Ask for a new generation and wait for it: the normal take-over repairs everything."""
        slot.usable, slot.lost, slot.why = False, True, str(error)
        self.stats.fenced += isinstance(error, Fenced)
        while slot.current:
            wait = self._rejoined_at + REJOIN_EVERY - monotonic()
            if wait <= 0 and not self.app.rebalancing:
                self._rejoined_at = monotonic()
                self.stats.rejoins += 1
                self.app.log.warning("slot %s: %s: asking for a new assignment", slot.index, error)
                await self.app.consumer._thread.call(self.app.consumer._thread.rejoin)
            if await self.wait_stopping(max(0.5, wait) + random.random()):
                return

    async def wait_stopping(self, timeout: float, until: asyncio.Event | None = None) -> bool:
        """Sleep, but wake when the slots are about to be given up, or when `until` is set; whether they are."""
        event = self.stopping
        waiters = [asyncio.ensure_future(each.wait()) for each in (event, until) if each is not None]
        try:
            # Not wait_for: on Python 3.11 it swallows a cancellation that comes together with the event.
            await asyncio.wait(waiters, timeout=max(0.0, timeout), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for waiter in waiters:
                waiter.cancel()
        return event.is_set()

    async def quiesce(self) -> None:
        """Tell the bodies, wait BODY_DEADLINE, cut off the rest. Never raises."""
        if self._quiesced_at is None and self.open:
            self._quiesced_at = monotonic()
        self.stopping.set()
        waits = [asyncio.ensure_future(body.stop(BODY_DEADLINE)) for s in self.owned.values() for body in s.bodies]
        waits += [asyncio.ensure_future(unit.finished.wait()) for unit in self.running]
        if waits:
            await asyncio.wait(waits, timeout=BODY_DEADLINE)
            for unit in list(self.running):
                if unit.cut_off():
                    self.app.log.warning("slot %s: a body ignored `stopping` and was cut off", unit.partition)
            _, late = await asyncio.wait(waits, timeout=GRACE)
            for wait in late:
                wait.cancel()
        if self.open and self._quiesced_at is not None:
            self._stopped_in = monotonic() - self._quiesced_at
        self.open = False
        for slot in self.owned.values():
            slot.bodies = []

    async def stop(self) -> None:
        """Give everything up, for good."""
        if self.open:  # nobody has told the bodies
            await self.quiesce()
        self.open = False
        self.stopping.set()
        ends = [end for end in map(self.dispose, self.owned.values()) if end is not None]
        self.owned = {}
        if ends:
            await asyncio.wait(ends, timeout=3)
