"""How fast one bus is written to: a share of its quota, less after every throttle, a little more every second. Pure:
time is a parameter.

Quotas are per account and region, for all workers together. Each takes the share of its partitions, so no worker needs
to know of another.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

RECOVERY = 0.05
"""Of the ceiling, a second."""
HALVING_SECONDS = 1.0
"""Throttles of calls that were on their way together count once."""
BURST_SECONDS = 0.1
"""Of the rate that may be saved up."""
MEASURED_SECONDS = 1.0
LEAST_LEARNED = 20.0
"""Times the floor: a throttle in quiet times, when others use the quota up, does not slow down for minutes."""
FORGOTTEN = 4.0
"""Times the rate at the last throttle: without a quota there is no limit any more from there on."""


@dataclass(frozen=True, slots=True)
class Quota:
    """A second, of account and region. None: unknown, so the throttles tell."""

    requests: float | None = None
    entries: float | None = None


class Bucket:
    """Tokens of one kind. They are spent after the fact, so the level may fall below zero."""

    def __init__(self, quota: float | None, share: Callable[[], float], floor: float) -> None:
        self._quota = quota
        self._share = share
        self._floor = floor
        self._learned = math.inf
        self._factor = 1.0
        self._at = 0.0
        self._used = 0.0
        self._level = math.inf

    @property
    def ceiling(self) -> float:
        """Tokens a second, if nobody is throttled; infinite where nothing is known."""
        if self._quota is None:
            return self._learned
        return max(self._floor, self._quota * self._share())

    @property
    def rate(self) -> float:
        """Tokens a second now."""
        ceiling = self.ceiling
        return max(self._floor, ceiling * self._factor) if ceiling < math.inf else math.inf

    def delay(self, now: float) -> float:
        """Seconds until there is a token."""
        self._refill(now)
        return max(0.0, (1.0 - self._level) / self.rate) if self._level < 1.0 else 0.0

    def spend(self, now: float, tokens: float) -> None:
        """Something was sent."""
        self._refill(now)
        self._level -= tokens
        self._used += tokens

    def halve(self, now: float) -> None:
        """It was too much: half of what was used, or of the rate, whichever is less."""
        self._refill(now)
        before = min(self.rate, max(self._floor, self._used / MEASURED_SECONDS))
        if self._quota is None:
            self._learned = max(before, LEAST_LEARNED * self._floor)
        self._factor = before / 2 / self.ceiling
        self._level = min(self._level, self._most())

    def _refill(self, now: float) -> None:
        passed = max(0.0, now - self._at)
        self._at = max(self._at, now)
        self._used *= math.exp(-passed / MEASURED_SECONDS)
        if self.ceiling == math.inf:
            self._level = math.inf
            return
        self._level = min(self._most(), self._level + passed * self.rate)
        self._factor += RECOVERY * passed
        if self._quota is not None:
            self._factor = min(1.0, self._factor)
        elif self._factor >= FORGOTTEN:
            self._learned, self._factor = math.inf, 1.0

    def _most(self) -> float:
        return max(1.0, self.rate * BURST_SECONDS)


class Pace:
    """Requests and entries of one bus. `share`: of all partitions, those this worker holds, 0 to 1."""

    def __init__(self, quota: Quota, share: Callable[[], float] = lambda: 1.0) -> None:
        self.requests = Bucket(quota.requests, share, 1.0)
        self.entries = Bucket(quota.entries, share, 10.0)
        self._halved_at = -math.inf

    def delay(self, now: float) -> float:
        """Seconds until a request may go out."""
        return max(self.requests.delay(now), self.entries.delay(now))

    def sent(self, now: float, entries: int) -> None:
        """A request went out."""
        self.requests.spend(now, 1.0)
        self.entries.spend(now, entries)

    def throttled(self, now: float) -> bool:
        """The bus wants less; whether that was news."""
        if now - self._halved_at < HALVING_SECONDS:
            return False
        self._halved_at = now
        self.requests.halve(now)
        self.entries.halve(now)
        return True
