"""What stands in the way of a stage, by name: why, and since when."""

import time
from collections import UserDict
from collections.abc import Callable, Iterable


class Obstacles(UserDict[str, str]):
    """Names and why. Another reason under a name that stands already is the same obstacle, and as old."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        """`now`: seconds since the epoch."""
        self._now = now
        self._since_ms: dict[str, int] = {}
        super().__init__()

    def __setitem__(self, name: str, why: str) -> None:
        self._since_ms.setdefault(name, round(self._now() * 1000))
        super().__setitem__(name, why)

    def __delitem__(self, name: str) -> None:
        super().__delitem__(name)
        del self._since_ms[name]

    def since_ms(self, name: str) -> int:
        """When it came, milliseconds since the epoch. Raises KeyError for a name that is none."""
        return self._since_ms[name]


def earliest(moments: Iterable[int]) -> int:
    """Milliseconds since the epoch; 0 if none of them is noted."""
    return min((moment for moment in moments if moment), default=0)
