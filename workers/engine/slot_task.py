"""A long-lived body for a source that is not Kafka: the bridge reads Kinesis in one of these per slot."""

import asyncio
from collections.abc import Awaitable, Callable

from faust.types import TP

from workers.engine.clock import monotonic
from workers.engine.errors import EngineError, Fenced
from workers.engine.runner import describe
from workers.engine.slot import Slot

Work = Callable[[Slot, asyncio.Event], Awaitable[None]]
MAX_PAUSE = 30.0


class SlotTask:
    """Runs `work(slot, stopping)` until it is told to stop; it may raise at any time and is started again."""

    def __init__(self, slot: Slot, work: Work) -> None:
        self.slot = slot
        self.work = work
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin; the slot may still be closed (`open_on_demand`)."""
        self._task = asyncio.ensure_future(self._run())

    async def _run(self) -> None:
        slots, slot, failures = self.slot.app.slots, self.slot, 0
        while slot.current and not slots.stopping.is_set():
            failed, began = failures, monotonic()
            try:
                await self.work(slot, slots.stopping)
                failures = 0
            except asyncio.CancelledError:
                return
            except Fenced as error:
                await slots.rejoin(slot, error)
            except EngineError as error:
                failures += 1
                slot.app.log.warning("slot %s: %s", slot.index, error)
                if not slot.app.options.open_on_demand:  # else the work opens the slot itself
                    await slots.repair(slot, counted=False)  # a record that would do it may not come for days
            except Exception as error:  # noqa: BLE001  the world, or a bug: never the end of the process
                failures += 1
                slot.app.log.error("slot %s: %s", slot.index, describe(error))
            if failures > failed and monotonic() - began > MAX_PAUSE:
                failures = 1  # it had worked: what failed days ago is no reason to wait for longer now
            if failures:
                await slots.wait_stopping(min(MAX_PAUSE, 0.1 * 2.0 ** min(failures, 16)))

    def skip(self, tp: TP, offset: int) -> None:
        """Nothing: its source is not Kafka."""

    async def stop(self, deadline: float) -> None:
        """Wait for the work to notice `stopping`, then cut it off."""
        if self._task is None:
            return
        _, late = await asyncio.wait([self._task], timeout=deadline)
        for task in late:
            task.cancel()
