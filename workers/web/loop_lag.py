"""How late the event loop is: everything of a worker shares it."""

from bisect import bisect_left
from collections.abc import Iterator

import mode

from workers import metrics
from workers.engine.clock import monotonic

EVERY = 0.25
"""Seconds."""
BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class LoopLag(mode.Service):
    """Asks to be woken again and again, and counts how much later it was."""

    def __init__(self) -> None:
        self._spread = [0] * (len(BOUNDS) + 1)
        self._total = 0.0
        super().__init__()

    @mode.Service.task
    async def _look(self) -> None:
        while not self.should_stop:
            due = monotonic() + EVERY
            await self.sleep(EVERY)
            self.woken(monotonic() - due)

    def woken(self, late: float) -> None:
        """So many seconds late; a negative one is none."""
        seconds = max(0.0, late)
        self._spread[bisect_left(BOUNDS, seconds)] += 1
        self._total += seconds

    def measure(self) -> Iterator[metrics.Sample]:
        """One sample."""
        yield metrics.LOOP_LAG.of(metrics.Distribution(BOUNDS, self._spread, self._total))
