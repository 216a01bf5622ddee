"""Counters of one stage in this process, since its app started."""

from collections import Counter, deque
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workers.engine.unit import UnitOfWork


@dataclass(slots=True)
class Stats:
    """What the web view and the demo show; counts, seconds, bytes."""

    units: int = 0
    inputs: int = 0
    output_bytes: int = 0
    commit_seconds: float = 0.0
    aborted: int = 0
    reinits: int = 0
    rejoins: int = 0
    bisections: int = 0
    gaps: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    engine_pauses: deque[float] = field(default_factory=lambda: deque(maxlen=100))
    """Of each rebalance the seconds that were ours: until everything had stopped, and from the assignment on."""
    rebalance_pauses: deque[float] = field(default_factory=lambda: deque(maxlen=100))

    def committed(self, unit: "UnitOfWork", seconds: float) -> None:
        """Add a unit that has just committed."""
        self.units += 1
        self.commit_seconds += seconds
        self.output_bytes += unit.output_bytes
        self.inputs += unit.source_records
        if unit.source_records:
            self.outcomes["out"] += unit.source_records
        for advance in unit.advances.values():
            for outcome, n in advance.counts.items():
                if outcome == "in":
                    self.inputs += n
                else:
                    self.outcomes[outcome] += n

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self) | {
            "outcomes": dict(self.outcomes),
            "engine_pauses": [round(seconds, 3) for seconds in self.engine_pauses],
            "rebalance_pauses": [round(seconds, 3) for seconds in self.rebalance_pauses],
        }
