"""How many requests of one bus are on their way at once: more as long as it answers as quickly as before, less when it
does not. Pure: time is a parameter."""

import math

FIRST = 8
SMOOTHING = 0.4
TOLERANCE = 2.5
"""Deviations above the mean that still count as quick."""
QUICK_SECONDS = 0.005
"""So much longer is nothing to react to."""
DECREASE = 0.9


class InFlight:
    """A limit between 1 and `most`, decided anew every round trip."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._limit = float(min(FIRST, most))
        self._mean = 0.0
        self._deviation = 0.0
        self._sum = self._calls = 0.0
        self._failed = self._reached = False
        self._decides_at = -math.inf

    @property
    def limit(self) -> int:
        """Requests at once."""
        return max(1, int(self._limit))

    def ended(self, now: float, seconds: float, *, reached: bool, failed: bool) -> None:
        """A request took so long. `reached`: the limit held others back; `failed`: throttled, or no answer."""
        if failed:
            self._failed = True
        else:
            self._sum += seconds
            self._calls += 1
        self._reached |= reached
        if now < self._decides_at:
            return
        if self._failed:
            self._limit = max(1.0, self._limit * DECREASE)
        elif self._calls:
            self._learn(self._sum / self._calls)
        self._decides_at = now + max(self._mean, QUICK_SECONDS)
        self._sum = self._calls = 0.0
        self._failed = self._reached = False

    def _learn(self, seconds: float) -> None:
        if not self._mean:
            self._mean, self._deviation = seconds, seconds / 2
        slow = seconds > self._mean + max(TOLERANCE * self._deviation, QUICK_SECONDS)
        if slow:
            self._limit = max(1.0, self._limit * DECREASE)
        elif self._reached:
            self._limit = min(float(self.most), self._limit + 1.0)
        error = seconds - self._mean
        self._mean += SMOOTHING * error
        self._deviation += SMOOTHING * (abs(error) - self._deviation)
