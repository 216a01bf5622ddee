"""How fast one shard is read: its limits belong to all of its readers together. Pure: time is a parameter."""

from dataclasses import dataclass, field

SHARD_CALLS_PER_SECOND = 5.0
SHARD_BYTES_PER_SECOND = 2 << 20
"""GetRecords limits of one shard (AWS service quotas)."""
IDLE_SECONDS = 1.0
"""Between reads of a shard that has had nothing new for a while."""


@dataclass(slots=True)
class Pace:
    """Token buckets of one reader, in calls and in bytes, of `share` of the shard's limits. Bytes are spent after the
    fact: a reply is as large as it is, and the next call waits for it."""

    share: float
    """0 < share <= 1: what this reader takes of the limits, the rest is for others."""
    interval: float
    """Seconds between two reads at least."""
    _calls: float = field(init=False, default=1.0)
    _bytes: float = field(init=False, default=0.0)
    _at: float = field(init=False, default=0.0)
    _idle: float = field(init=False, default=0.0)
    _next: float = field(init=False, default=0.0)

    def delay(self, now: float) -> float:
        """Seconds until the next call is allowed."""
        self._refill(now)
        calls = (1.0 - self._calls) / (SHARD_CALLS_PER_SECOND * self.share) if self._calls < 1.0 else 0.0
        size = -self._bytes / (SHARD_BYTES_PER_SECOND * self.share) if self._bytes < 0 else 0.0
        return max(0.0, calls, size, self._next - now)

    def called(self, now: float) -> None:
        """A call goes out now, successful or not: refused ones count too."""
        self._refill(now)
        self._calls -= 1.0

    def read(self, now: float, size: int, millis_behind: int) -> None:
        """A reply of `size` bytes of data. Behind the tip the next call follows at once; at the tip reads become rarer,
        step by step, until something comes."""
        self._bytes -= size
        if size:
            self._idle = 0.0
        elif not millis_behind:
            self._idle = min(IDLE_SECONDS, max(self.interval, self._idle * 2))
        self._next = now + max(self.interval, self._idle)

    def _refill(self, now: float) -> None:
        passed = max(0.0, now - self._at)
        self._at = now
        # One call may be saved up, and one second of bytes: a burst is what the neighbours would notice.
        self._calls = min(1.0, self._calls + passed * SHARD_CALLS_PER_SECOND * self.share)
        self._bytes = min(0.0, self._bytes + passed * SHARD_BYTES_PER_SECOND * self.share)
