"""What the resolver counts, for metrics and views: names of lookups and outcomes, never a key or an id (P6)."""

from collections import Counter
from collections.abc import Iterator

from workers.metrics import Distribution

BOUNDS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
"""Seconds."""


class Tally:
    """Since the start of the stage."""

    def __init__(self) -> None:
        self.queries: Counter[tuple[str, str]] = Counter()
        """(lookup, answered | failed | refused)"""
        self.rows: Counter[tuple[str, str]] = Counter()
        """(lookup, found | missing)"""
        self.cached: Counter[tuple[str, str]] = Counter()
        """The same, of searches that an earlier answer ended; a record that runs again counts again."""
        self._spread: dict[str, list[int]] = {}
        self._seconds: dict[str, float] = {}

    def asked(self, lookup: str, outcome: str, seconds: float) -> None:
        """One query has ended."""
        self.queries[lookup, outcome] += 1
        spread = self._spread.setdefault(lookup, [0] * (len(BOUNDS) + 1))
        spread[next((place for place, bound in enumerate(BOUNDS) if seconds <= bound), len(BOUNDS))] += 1
        self._seconds[lookup] = self._seconds.get(lookup, 0.0) + seconds

    def seconds(self) -> Iterator[tuple[str, Distribution]]:
        """How long queries took, by lookup."""
        for lookup, spread in self._spread.items():
            yield lookup, Distribution(BOUNDS, spread, self._seconds[lookup])
