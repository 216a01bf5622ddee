"""Three places where Faust's table recovery loses records or stands still, closed."""

from typing import Any

from faust.tables import recovery as faust_recovery
from faust.tables.manager import TableManager as FaustTableManager
from faust.types import TP
from mode.utils.queues import FlowControlEvent


class KeepingFlow(FlowControlEvent):
    """Flow control that keeps what is queued when the flow is resumed.

    mode's clears every queue then. While a global table recovers, its changelog flows already, and what was queued
    and not yet applied would vanish: entries were missing for good, and source batches stood still (both reproduced).
    Clearing at the start of a rebalance stays; what is stale is skipped by its generation and epoch."""

    def resume(self) -> None:
        """Let the flow go on."""
        self._suspend.clear()
        self._resume.set()


class Recovery(faust_recovery.Recovery):
    """Faust's recovery, which ends for ever, without a word, when one of its steps takes longer than a time-out."""

    async def _seek_offsets(self, consumer: Any, tps: set[TP], offsets: Any, title: str) -> None:
        """Go on behind the last entry that is in memory.

        Faust seeks that entry itself; where a log begins above zero it is gone, and the stage crashed for ever. A
        rebalance that comes between the looks at a log and this forgets what was found: it is looked for again."""
        if forgotten := {tp for tp in tps if offsets.get(tp) is None}:
            for tp in forgotten:
                offsets[tp] = None  # a Counter says 0 of what it lacks: entry 0 would be missing
            await self._build_offsets(consumer, forgotten, offsets, title)
        await consumer.seek_wait({tp: offsets[tp] + 1 for tp in tps})

    async def _wait(self, coro: Any, timeout: Any = None) -> None:
        ended = await self.wait_first(coro, self.signal_recovery_start, timeout=timeout)
        if ended.stopped:
            if self.should_stop or self.crashed:
                raise faust_recovery.ServiceStopped
            raise TimeoutError("a step of the table recovery took too long")  # a crash: the stage gets a new app
        if self.signal_recovery_start in ended.done:
            raise faust_recovery.RebalanceAgain


class TableManager(FaustTableManager):
    """Faust's table manager with the recovery above."""

    _recovery: Recovery | None

    @property
    def remaining(self) -> int:
        """Changelog records that a recovery has still to read; 0 if none goes on."""
        recovery = self._recovery
        if recovery is None or not recovery.in_recovery:
            return 0
        return max(0, recovery.active_remaining_total()) + max(0, recovery.standby_remaining_total())

    @property
    def recovery(self) -> Recovery:
        """Made when first asked for."""
        made: Recovery | None = self._recovery
        if made is None:
            made = self._recovery = Recovery(self.app, self, beacon=self.beacon, loop=self.loop)
        return made
