"""What happened in the last minute, by second: rates that are there as soon as somebody looks."""

from collections import Counter, deque
from collections.abc import Mapping

from workers.engine.clock import monotonic

KEPT_SECONDS = 60


class Rates:
    """Counts of the last 60 s, by name."""

    def __init__(self) -> None:
        self._seconds: deque[tuple[int, Counter[str]]] = deque(maxlen=KEPT_SECONDS + 1)
        self._began: float | None = None

    def note(self, counts: Mapping[str, int]) -> None:
        """They happened now."""
        now = monotonic()
        if self._began is None:
            self._began = now
        if not self._seconds or self._seconds[-1][0] != int(now):
            self._seconds.append((int(now), Counter()))
        self._seconds[-1][1].update(counts)

    def of(self, name: str, seconds: int) -> int:
        """How many there were in the last `seconds`, at most 60; those of the second that has begun are among them."""
        since = int(monotonic()) - seconds
        return sum(counts[name] for second, counts in self._seconds if second > since)

    def per_second(self, name: str, seconds: int) -> float:
        """The mean over the last `seconds`, at most 60; over less if the first count is younger."""
        if self._began is None:
            return 0.0
        return self.of(name, seconds) / max(1.0, min(float(seconds), monotonic() - self._began))
