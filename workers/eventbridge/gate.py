"""What every window of this process asks before it calls a bus: pace, requests on their way, circuit breaker.

A throttle slows down and never opens the breaker. A bus that does not answer is left alone, and what is meant for it
waits in the windows, whose full partitions pause (P7).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from models.infrastructure import CircuitBreakerConfig, CircuitState
from models.outcome import ErrorCategory
from workers.breaker import CircuitBreaker
from workers.engine.delivery import Outcome, Retry
from workers.eventbridge.in_flight import InFlight
from workers.eventbridge.pace import Pace, Quota
from workers.eventbridge.tally import BusTally


@dataclass(frozen=True, slots=True)
class GateOptions:
    """Of each bus. `in_flight`: requests at once, at most."""

    quota: Quota = field(default_factory=Quota)
    in_flight: int = 32
    circuit: CircuitBreakerConfig = field(default_factory=CircuitBreakerConfig)


class BusGate:
    """See Gate. `now` is in seconds, of the event loop; `report` is called after every call that
    was answered, or was not, and when a trouble is of interest again or no more."""

    def __init__(
        self,
        name: str,
        options: GateOptions,
        now: Callable[[], float],
        share: Callable[[], float],
        report: Callable[["BusGate"], None],
    ) -> None:
        self.name = name
        self.pace = Pace(options.quota, share)
        self.breaker = CircuitBreaker(options.circuit, now)
        self.in_flight = InFlight(options.in_flight)
        self.tally = BusTally()
        self.calls = 0
        """On their way now."""
        self._now = now
        self._report = report
        self.refused = ""
        """Code of what an operator has to change; empty as long as the bus takes anything."""
        self.wanted = False
        """Whether anything here is for this bus, or was since the last rebalance: else its troubles are of others."""
        self._failed_at = -math.inf
        self._waiting: dict[Callable[[], None], None] = {}
        self._held_back = False

    @property
    def down(self) -> str:
        """Why the bus is left alone; empty from its first answer on. A throttled one works, slowly."""
        if self.breaker.answers:
            return ""
        return f"the bus does not answer; it is tried again every {self.breaker.config.recovery_seconds:g} s"

    def wait(self, wake: Callable[[], None]) -> float | None:
        """See Gate."""
        if not self.wanted:
            self.wanted = True
            if self.refused or self.down:
                self._report(self)
        if pause := self.breaker.seconds_to_wait:
            return pause
        if self.calls >= self._limit():
            self._held_back = True
            self._waiting[wake] = None
            return None
        return self.pace.delay(self._now())

    def begin(self, entries: int) -> None:
        """See Gate."""
        self.calls += 1
        self.pace.sent(self._now(), entries)

    def end(self, outcomes: Sequence[Outcome], seconds: float) -> None:
        """See Gate."""
        self.calls -= 1
        if outcomes and not all(isinstance(outcome, Retry) and outcome.unsent for outcome in outcomes):
            self._learn(outcomes, seconds)
            self._report(self)
        # In the order in which they came. One that begins nothing leaves its place to the next.
        while self._waiting and self.calls < self._limit():
            wake = next(iter(self._waiting))
            del self._waiting[wake]
            wake()

    def reordered(self, records: int) -> None:
        """See Gate."""
        self.tally.reordered += records

    def left(self) -> None:
        """See Gate."""
        self.wanted = False
        self._report(self)

    def _limit(self) -> int:
        return self.in_flight.limit if self.breaker.state is CircuitState.CLOSED else 1

    def _learn(self, outcomes: Sequence[Outcome], seconds: float) -> None:
        now = self._now()
        self.tally.ended(outcomes, seconds)
        again = [outcome for outcome in outcomes if isinstance(outcome, Retry)]
        taken = len(again) < len(outcomes)
        throttled = any(retry.category is ErrorCategory.THROTTLING for retry in again)
        unanswered = not taken and _no_answer(again)
        if throttled and self.pace.throttled(now):
            self.tally.slowed += 1
        if unanswered:
            # Calls that were on their way when one had failed already tell nothing new.
            if now - seconds >= self._failed_at:
                self._failed_at = now
                self.breaker.failed()
        elif taken:
            self.breaker.succeeded()
        refused = next((r.reason for r in again if r.category is ErrorCategory.CONFIGURATION), "")
        if refused or taken:
            self.refused = "" if taken else refused
        self.in_flight.ended(now, seconds, reached=self._held_back, failed=throttled or unanswered)
        self._held_back = bool(self._waiting)


def _no_answer(again: Sequence[Retry]) -> bool:
    if any(retry.category is not ErrorCategory.TRANSIENT for retry in again):
        return False
    # One entry alone that fails says nothing of the bus; a whole request of them does.
    return len(again) > 1 or again[0].whole


class Gates:
    """The gates of one process, by bus."""

    def __init__(
        self,
        options: GateOptions,
        now: Callable[[], float],
        share: Callable[[], float] = lambda: 1.0,
        report: Callable[[BusGate], None] = lambda _gate: None,
    ) -> None:
        self.by_bus: dict[str, BusGate] = {}
        self._options = options
        self._now = now
        self._share = share
        self._report = report

    def of(self, bus: str) -> BusGate:
        """The gate of a bus."""
        if bus not in self.by_bus:
            self.by_bus[bus] = BusGate(bus, self._options, self._now, self._share, self._report)
        return self.by_bus[bus]
