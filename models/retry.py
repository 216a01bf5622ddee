"""How long to wait before something is tried again."""

from dataclasses import dataclass
from enum import StrEnum

DOUBLINGS = 16


@dataclass(frozen=True, slots=True)
class RetryConfig:
    """Waits that double from failure to failure; seconds. There is no last try: what is given up says whoever tries."""

    first: float
    longest: float
    jitter: float = 1.0
    """Share of a wait that chance decides, 0 to 1: without it everybody comes back together."""
    attempts: int = 0
    """Quick ones, the first included: after so many failures every wait is the longest one. 0: as the waits double."""

    def delay(self, failures: int, chance: float) -> float:
        """Seconds to wait after so many failures in a row, one at least. `chance` in [0, 1)."""
        ceiling = min(self.longest, self.first * 2.0 ** min(max(failures, 1) - 1, DOUBLINGS))
        if self.attempts and failures >= self.attempts:
            ceiling = self.longest
        return ceiling * (1.0 - self.jitter + self.jitter * chance)

    def __str__(self) -> str:
        """As settings have it: `3/200ms/2s`."""
        return f"{self.attempts}/{duration(self.first)}/{duration(self.longest)}"


def duration(seconds: float) -> str:
    """`200ms`, `2s`."""
    return f"{seconds * 1000:g}ms" if seconds < 1 else f"{seconds:g}s"


class Component(StrEnum):
    """Whom the worker waits for."""

    KINESIS = "KINESIS"
    DATABASE = "DATABASE"
    PUT_EVENTS = "PUT_EVENTS"
    STATE = "STATE"


RETRY_OF = {
    Component.KINESIS: RetryConfig(0.1, 1.0, attempts=3),
    Component.DATABASE: RetryConfig(0.05, 0.5, attempts=5),
    Component.PUT_EVENTS: RetryConfig(0.2, 2.0, attempts=3),
    Component.STATE: RetryConfig(0.1, 1.0, attempts=5),
}
"""Defaults of the contract."""
