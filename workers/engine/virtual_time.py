"""Time of an event loop that jumps instead of waiting: hours of back-off pass in milliseconds."""

import asyncio
import time
from typing import Any

EPOCH_MS = 1_800_000_000_000
"""15 January 2027, a moment like any other."""


class VirtualTime:
    """While it is installed, the loop's clock stands still as long as there is something to do, and jumps to the next
    timer when there is not. So a test is as fast as its code, and the same every time.

    It does not jump while the loop waits for something it cannot see through: an open socket, or a thread. Then time
    runs as usual."""

    def __init__(self, epoch_ms: int = EPOCH_MS) -> None:
        self.epoch_ms = epoch_ms
        self._loop: Any = None
        self._selector: Any = None
        self._originals: tuple[Any, Any, Any] = (None, None, None)
        self._now = self._start = 0.0
        self._own_sockets = 0
        self._threads = 0

    def time(self) -> float:
        """Seconds, as `loop.time()`."""
        return self._now

    def now_ms(self) -> int:
        """Milliseconds since 1970: hand it to whatever asks for the time of day."""
        return self.epoch_ms + round((self._now - self._start) * 1_000)

    def install(self) -> None:
        """Take over the running loop's clock. Raises RuntimeError for a loop that is not asyncio's own."""
        loop: Any = asyncio.get_running_loop()
        selector = getattr(loop, "_selector", None)
        if selector is None:
            raise RuntimeError(f"time can not be set in a {type(loop).__name__}: use asyncio's own event loop")
        self._loop, self._selector = loop, selector
        self._originals = (loop.time, selector.select, loop.run_in_executor)
        self._now = self._start = loop.time()
        self._own_sockets = len(selector.get_map())
        loop.time, selector.select, loop.run_in_executor = self.time, self._select, self._run_in_executor

    def uninstall(self) -> None:
        """Give the clock back."""
        self._loop.time, self._selector.select, self._loop.run_in_executor = self._originals

    def _select(self, timeout: float | None = None) -> Any:
        select = self._originals[1]
        events = select(0)
        if events or (timeout is not None and timeout <= 0):
            return events
        if timeout is None or self._threads or len(self._selector.get_map()) > self._own_sockets:
            started = time.monotonic()
            events = select(timeout)
            self._now += time.monotonic() - started
            return events
        self._now += timeout
        return events

    def _run_in_executor(self, executor: Any, function: Any, *args: Any) -> Any:
        future = self._originals[2](executor, function, *args)
        self._threads += 1

        def returned(_: Any) -> None:
            self._threads -= 1

        future.add_done_callback(returned)
        return future
