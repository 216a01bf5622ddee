"""Counters of one stage in this process, since its app started."""

from bisect import bisect_left
from collections import Counter, deque
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from workers.engine.errors import ConfigurationRefused, DataError, EngineError, Fenced
from workers.engine.ledger import DEAD, IN, OUT
from workers.engine.rates import Rates
from workers.engine.unit import UnitOfWork

RECORD = "record"
"""Note of a unit: source records by table and outcome, in a stage that knows their tables; more labels may follow."""
ABORTS = ("data", "configuration", "fenced", "unclear", "cancelled")
"""Why transactions fail. Each is told from 0 on: the first one is an increase for Prometheus, too."""
LETTER = "letter"
"""Note of a unit: dead letters by error code."""
TXN_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0)
"""Seconds: from a broker on this machine to the deadline of a commit."""


@dataclass(slots=True)
class Stats:
    """What the web view and the demo show; counts, seconds, bytes."""

    units: int = 0
    inputs: int = 0
    output_bytes: int = 0
    commit_seconds: float = 0.0
    commit_times: list[int] = field(default_factory=lambda: [0] * (len(TXN_BOUNDS) + 1))
    """Committed units by the bound their seconds are below; the last one has those above all."""
    unit_seconds: float = 0.0
    unit_times: list[int] = field(default_factory=lambda: [0] * (len(TXN_BOUNDS) + 1))
    """The same for the seconds from the begin of a unit on."""
    aborted: int = 0
    aborts: Counter[str] = field(default_factory=lambda: Counter(dict.fromkeys(ABORTS, 0)))
    """The same by reason."""
    fenced: int = 0
    reinits: int = 0
    rejoins: int = 0
    bisections: int = 0
    gaps: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    notes: Counter[tuple[str, ...]] = field(default_factory=Counter)
    """What bodies noted in units that committed, by name and labels."""
    engine_pauses: deque[float] = field(default_factory=lambda: deque(maxlen=100))
    """Of each rebalance the seconds that were ours: until everything had stopped, and from the assignment on."""
    rebalance_pauses: deque[float] = field(default_factory=lambda: deque(maxlen=100))
    rates: Rates = field(default_factory=Rates)
    """`in`, `out`, `dead` and `drop`, of units that committed."""

    def committed(self, unit: UnitOfWork, seconds: float, whole: float) -> None:
        """Add a unit that has just committed, after so many seconds; `whole`: since it began."""
        self.units += 1
        self.unit_seconds += whole
        self.unit_times[bisect_left(TXN_BOUNDS, whole)] += 1
        self.commit_seconds += seconds
        self.commit_times[bisect_left(TXN_BOUNDS, seconds)] += 1
        self.notes.update(unit.notes)
        self.output_bytes += unit.output_bytes
        ended = Counter({OUT: unit.source_records} if unit.source_records else {})
        taken = unit.source_records
        for advance in unit.advances.values():
            for outcome, n in advance.counts.items():
                if outcome == IN:
                    taken += n
                else:
                    ended[outcome] += n
        self.inputs += taken
        self.outcomes.update(ended)
        out, dead = ended[OUT], ended[DEAD]
        self.rates.note({IN: taken, OUT: out, DEAD: dead, "drop": max(0, taken - out - dead)})

    def abort(self, error: BaseException) -> None:
        """Count a unit whose transaction failed. `error`: as `sort_error` has it, or a cancellation."""
        self.aborted += 1
        match error:
            case DataError():
                self.aborts["data"] += 1
            case ConfigurationRefused():
                self.aborts["configuration"] += 1
            case Fenced():
                self.aborts["fenced"] += 1
            case EngineError():
                self.aborts["unclear"] += 1
            case _:
                self.aborts["cancelled"] += 1

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        plain = asdict(replace(self, rates=Rates()))
        del plain["rates"]
        return plain | {
            "outcomes": dict(self.outcomes),
            "aborts": dict(self.aborts),
            "notes": {"|".join(name): count for name, count in self.notes.items()},
            "engine_pauses": [round(seconds, 3) for seconds in self.engine_pauses],
            "rebalance_pauses": [round(seconds, 3) for seconds in self.rebalance_pauses],
        }
