"""What is counted of a bus: codes and times, nothing of an event (P6)."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence

from models.outcome import ErrorCategory
from workers.aws.errors import ErrorCodes
from workers.engine.delivery import Delivered, Outcome, Retry
from workers.metrics import Distribution

BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Seconds."""


class BusTally:
    """Of one bus, since the start of the stage."""

    def __init__(self) -> None:
        self.entries: Counter[str] = Counter()
        """delivered | refused | again"""
        self.errors = ErrorCodes()
        """Of entries; every entry of a request that failed as a whole."""
        self.throttles = 0
        """Requests with a throttle in their answer, or for an answer."""
        self.slowed = 0
        """Times the pace was halved."""
        self.reordered = 0
        self._spread = [0] * (len(BOUNDS) + 1)
        self._seconds = 0.0

    def ended(self, outcomes: Sequence[Outcome], seconds: float) -> None:
        """One request."""
        self._spread[bisect_left(BOUNDS, seconds)] += 1
        self._seconds += seconds
        delivered = sum(1 for outcome in outcomes if isinstance(outcome, Delivered))
        self.entries["delivered"] += delivered
        if delivered == len(outcomes):
            return
        throttled = False
        for outcome in outcomes:
            if isinstance(outcome, Retry):
                self.entries["again"] += 1
                self.errors.count(outcome.reason)
                throttled |= outcome.category is ErrorCategory.THROTTLING
            elif not isinstance(outcome, Delivered):
                self.entries["refused"] += 1
        self.throttles += throttled

    @property
    def seconds(self) -> Distribution:
        """How long requests took."""
        return Distribution(BOUNDS, self._spread, self._seconds)


class EventAges:
    """How old events were when their bus said that it has them."""

    BOUNDS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0, 86400.0)
    """Seconds."""

    def __init__(self) -> None:
        self._spread = [0] * (len(self.BOUNDS) + 1)
        self._sum = 0.0

    def add(self, ages: Sequence[float]) -> None:
        """Of several events, in seconds. Clocks differ: one from the future is new."""
        for age in ages:
            self._spread[bisect_left(self.BOUNDS, age)] += 1  # below the first bound, if it is negative
            self._sum += max(0.0, age)

    @property
    def seconds(self) -> Distribution:
        """All of them."""
        return Distribution(self.BOUNDS, self._spread, self._sum)
