"""When canaries arrive: what the publisher sees of them, in the process that sends them (docs/decisions/0056)."""

from collections.abc import Callable
from typing import Any

from models.canary import NAMES, source_of_row, told_by

KEYS = tuple(f"{name}:".encode() for name in sorted(NAMES))
"""How keys of its events begin in `cdc.events`."""


class CanaryArrivals:
    """The newest canary of each source. `now_ms`: since 1970."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms
        self._newest: dict[str, tuple[int, float]] = {}

    def note(self, record: Any) -> None:
        """A record of `cdc.events` whose receipt is written. Of one that comes again after a crash the first counts."""
        if record.key is None or not record.key.startswith(KEYS):
            return
        told = told_by(record.value or b"")
        if told is None:
            return
        source, sent = source_of_row(told[0]), told[1]
        if sent > self._newest.get(source, (0, 0.0))[0]:
            self._newest[source] = sent, max(0, self._now_ms() - sent) / 1000

    def report(self) -> dict[str, Any]:
        """For the web view: by source, when the newest one was sent (ms since 1970), and how long it took."""
        return {"sources": {name: {"sent": sent, "seconds": took} for name, (sent, took) in self._newest.items()}}
