"""Whether a process is dead though it runs: the decision, without a clock and without the world.

Reasons are its own only: an event loop that does not run, or work in hand that does not move. That Kafka, EventBridge
or a database does not answer is none: a restart would not help, and would cost a rebalance.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

BLOCKED_SECONDS = 30.0
"""Without a beat of the event loop. The longest step of a worker, a large table in recovery, takes seconds."""
STUCK_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Since:
    """A number that has not changed since then."""

    number: int
    at: float


@dataclass(frozen=True, slots=True)
class Life:
    """What is known at one moment; `now` is in seconds of any clock that does not jump."""

    beat: float
    """When the event loop ran last."""
    work: Mapping[str, Since] = field(default_factory=dict)
    """What is in hand, by name, and since when its number is what it is."""

    def seen(self, waiting: Mapping[str, int], now: float) -> "Life":
        """The event loop runs and has this in hand. What is not in hand any more is forgotten: it has got on, or
        somebody else holds it up."""
        work = {}
        for name, number in waiting.items():
            before = self.work.get(name)
            work[name] = before if before is not None and before.number == number else Since(number, now)
        return Life(now, work)

    def reasons(self, now: float) -> list[str]:
        """Why the process should be started again; none if it lives."""
        silent = now - self.beat
        found = [f"the event loop has not run for {silent:.0f} s"] if silent > BLOCKED_SECONDS else []
        # Time in which nobody looked proves nothing.
        stuck = {name: self.beat - since.at for name, since in self.work.items()}
        return found + [
            f"{name} has work and has not moved for {seconds:.0f} s"
            for name, seconds in sorted(stuck.items())
            if seconds > STUCK_SECONDS
        ]
