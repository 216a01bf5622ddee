"""How long to wait before something is tried again."""

from dataclasses import dataclass

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
