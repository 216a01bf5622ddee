"""Rows whose next event is refused again and again, in the log: why, and when they go on. Counts and codes, nothing of
an event (P6)."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable

from workers.engine.app import StageApp
from workers.engine.clock import monotonic
from workers.engine.lanes import Lane

SECONDS = 10.0
"""Between two looks."""
ENDED_SECONDS = 60.0
"""Without a row that waits for it a reason is over: until then it is not told again."""


class StallLog:
    """Of one stage. `stalled`: the lanes whose head has failed all its quick tries, at the moment."""

    def __init__(self, app: StageApp, stalled: Callable[[], Iterable[Lane]]) -> None:
        self._log = app.log
        self._stalled = stalled
        self._seen: dict[str, float] = {}
        """Reason -> when a row last waited for it, by the engine's clock."""
        self._timer: asyncio.TimerHandle | None = None

    async def start(self) -> None:
        """Begin to look; once."""
        if self._timer is None:
            self._again()

    async def stop(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()

    def _again(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(SECONDS, self._again)
        self.look(monotonic())

    def look(self, now: float) -> None:
        """Tell what has begun, and what has ended."""
        for reason, rows in Counter(lane.reason for lane in self._stalled()).items():
            if reason not in self._seen:
                self._log.warning(
                    "%s: the next event of %s row%s has failed all quick tries, and is sent again. Later events of the "
                    "row wait, and partitions too once the window is full",
                    reason, rows, "" if rows == 1 else "s",
                )  # fmt: skip
            self._seen[reason] = now
        for reason in [reason for reason, seen in self._seen.items() if now - seen > ENDED_SECONDS]:
            del self._seen[reason]
            self._log.info("%s: no row waits for it any more", reason)
