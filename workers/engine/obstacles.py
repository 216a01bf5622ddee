"""What stands in the way of a stage, by name: why, and since when."""

import time
from collections.abc import Callable, Iterable, Iterator, MutableMapping


class Obstacles(MutableMapping[str, str]):
    """Names and why. Another reason under a name that stands already is the same obstacle, and as old."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        """`now`: seconds since the epoch."""
        self._now = now
        self._why: dict[str, str] = {}
        self._since_ms: dict[str, int] = {}

    def __getitem__(self, name: str) -> str:
        return self._why[name]

    def __setitem__(self, name: str, why: str) -> None:
        self._since_ms.setdefault(name, round(self._now() * 1000))
        self._why[name] = why

    def __delitem__(self, name: str) -> None:
        del self._why[name], self._since_ms[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._why)

    def __len__(self) -> int:
        return len(self._why)

    def since_ms(self, name: str) -> int:
        """When it came, milliseconds since the epoch. Raises KeyError for a name that is none."""
        return self._since_ms[name]


def earliest(moments: Iterable[int]) -> int:
    """Milliseconds since the epoch; 0 if none of them is noted."""
    return min((moment for moment in moments if moment), default=0)
