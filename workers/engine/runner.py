"""Runs a body on the batches of one partition: retries, bisection, pauses. Only a real cancellation leaves it."""

import asyncio
import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from workers.engine.batch import RecordBatch
from workers.engine.clock import monotonic
from workers.engine.dead_window import WholesalePoison
from workers.engine.errors import Broken, ConfigurationRefused, DataError, Fenced, HeldBack, StaleBatch
from workers.engine.slot import Slot
from workers.engine.unit import Body, Done, Pause, UnitOfWork

Bury = Callable[[UnitOfWork, Any, DataError, bool], None]
"""(unit, record, error, with_value): write the dead letter of a record that cannot be processed or written."""

CONFIGURATION_PAUSE = 10.0
MAX_BODY_PAUSE = 30.0
LOOK_EVERY = 1.0
"""Seconds after which a pause notices that its batch is delivered anew, from another offset."""


@dataclass(frozen=True, slots=True)
class Grave:
    """The body for a record that cannot be processed or written: its dead letter, without its value if even that is
    refused."""

    bury: Bury
    error: DataError
    with_value: bool

    async def __call__(self, unit: UnitOfWork) -> Done:
        for record in unit.batch or ():
            self.bury(unit, record, self.error, self.with_value)
            unit.dead(str(self.error))
        return Done()


class Runner:
    """Turns the body of an agent into exactly-once processing of its source."""

    def __init__(self, app: Any, body: Body, bury: Bury) -> None:
        self.app = app
        self.body = body
        self.bury = bury

    async def __call__(self, batch: RecordBatch) -> None:
        slots = self.app.slots
        slot = slots.owned.get(batch.tp.partition)
        if slot is None:
            return
        await self._linger(slot, batch)
        batch.started = True
        todo: deque[tuple[RecordBatch, Body]] = deque([(batch, self.body)])
        failures = 0
        clean: RecordBatch | None = None
        while todo:
            part, body = todo[0]
            if self.app.dead_window.stopped and part is not clean:
                await self._hold(part, math.inf)
                return
            free = 0 if self.app.brake.stops(slot.index) else self.app.brake.free(part)
            if free == 0:
                if not await self._wait_for_operator(slot, part):
                    return
                continue
            if free:  # P4: what stands before the first record that waits goes on, and nothing behind it
                todo.popleft()
                todo.extendleft((each, body) for each in reversed(part.cut(free)))
                continue
            try:
                ended = await self._attempt(slot, part, body)
                failures = 0
                todo.popleft()
                if isinstance(ended, Pause):
                    if ended.prefix < part.next_offset:
                        todo.appendleft((part.since(ended.prefix), body))
                    if ended.delay > 0:
                        await self._hold(part, ended.delay, ended.until)
            except HeldBack:
                continue
            except StaleBatch:
                return
            except WholesalePoison as error:
                if error.clean:  # what comes before the first dead letter is no poison
                    clean, rest = part.cut(error.clean)
                    todo[0] = (rest, body)
                    todo.appendleft((clean, body))
                else:
                    clean = None
            except DataError as error:
                slots.stats.bisections += 1
                if isinstance(body, Grave) and not body.with_value:
                    refused = ConfigurationRefused(f"the dead letter of {part!r} is refused: {error}")
                    if not await self._wait_for_configuration(slot, part, refused):
                        return
                    continue
                if not slot.usable and not await slots.repair(slot, counted=False):
                    return
                todo.popleft()
                if len(part) > 1:
                    todo.extendleft((half, body) for half in reversed(part.halves()))
                else:
                    todo.appendleft((part, Grave(self.bury, error, with_value=not isinstance(body, Grave))))
            except Fenced as error:
                await slots.rejoin(slot, error)
                return
            except ConfigurationRefused as error:
                if not await self._wait_for_configuration(slot, part, error):
                    return
            except Broken as error:
                self.app.log.warning("%r: %s", part, error)
                # What another source of the slot is refused counts as no failure: it may be refused for days.
                if not await slots.repair(slot, counted=not slot.waits_for_operator):
                    return
            except Exception as error:  # noqa: BLE001  a bug in a body: the batch stays, its text may hold row values
                failures += 1
                self.app.log.error("%r: the body failed %s times: %s", part, failures, describe(error))
                await self._hold(part, min(MAX_BODY_PAUSE, 2.0 ** min(failures - 1, 16)))
        self.app.consumer.batch_done(batch)

    async def _linger(self, slot: Slot, batch: RecordBatch) -> None:
        """A transaction costs about 2.7 ms of CPU and five round trips whatever its size: let a small batch grow."""
        options = self.app.options
        wait = slot.last_commit + options.linger - monotonic()
        if wait > 0 and len(batch) < options.batch_records // 2:
            await asyncio.sleep(wait)

    async def _attempt(self, slot: Slot, part: RecordBatch, body: Body) -> Done | Pause:
        async with UnitOfWork(slot, part) as unit:
            return await unit.run(body)

    async def _wait_for_configuration(self, slot: Slot, part: RecordBatch, error: ConfigurationRefused) -> bool:
        """Nobody else in the group could write it either: the slot stays here, not ready, and tries again. Whether it
        may."""
        slot.refuse(str(error), part.tp)
        self.app.log.error("slot %s paused: %s", slot.index, error)
        await self._hold(part, CONFIGURATION_PAUSE)
        return bool(await self.app.slots.repair(slot, counted=False))

    async def _wait_for_operator(self, slot: Slot, part: RecordBatch) -> bool:
        """Something of it is paused; until that changes. Whether it may go on: else it is delivered again."""
        await self._hold(part, math.inf, self.app.brake.moved)
        slots = self.app.slots
        return slot.current and not slots.stopping.is_set() and not self.app.consumer.is_stale(part)

    async def _hold(self, part: RecordBatch, delay: float, until: asyncio.Event | None = None) -> None:
        """Wait outside of any unit, without the slot's lock; the broker stops sending for this partition."""
        held = self.app.consumer.held
        held.add(part.tp)
        try:
            while delay > 0 and not self.app.consumer.is_stale(part):
                if await self.app.slots.wait_stopping(min(delay, LOOK_EVERY), until):
                    return
                if until is not None and until.is_set():
                    return
                delay -= LOOK_EVERY
        finally:
            held.discard(part.tp)


def describe(error: BaseException) -> str:
    """Class, code and place of an exception, without its text, which may hold row values (P6)."""
    name, code = type(error).__name__, getattr(error, "code", None)
    if isinstance(code, str) and code.isidentifier():
        name = f"{name}({code})"
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{name} at {trace.tb_frame.f_code.co_name}:{trace.tb_lineno}" if trace else name
