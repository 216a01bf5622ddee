"""How long to wait before something is tried again."""

from dataclasses import dataclass

DOUBLINGS = 16


@dataclass(frozen=True, slots=True)
class RetryConfig:
    """Waits that double from failure to failure; seconds. How often something is tried says whoever tries it."""

    first: float
    longest: float
    jitter: float = 1.0
    """Share of a wait that chance decides, 0 to 1: without it everybody comes back together."""

    def delay(self, failures: int, chance: float) -> float:
        """Seconds to wait after so many failures in a row. `chance` in [0, 1)."""
        ceiling = min(self.longest, self.first * 2.0 ** min(failures, DOUBLINGS))
        return ceiling * (1.0 - self.jitter + self.jitter * chance)
