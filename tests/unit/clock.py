"""A clock that stands still until the test moves it."""

from dataclasses import dataclass


@dataclass
class Clock:
    """Seconds; called like `time.monotonic`."""

    now: float = 1_000.0

    def __call__(self) -> float:
        return self.now
