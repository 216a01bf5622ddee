"""What an audit found, and its document: for scripts, and for the next audit."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from workers.audit.counts import Counted, Edge, Forwarded, ShardKey, Where
from workers.audit.verdicts import Line, Verdict, worst


@dataclass(frozen=True, slots=True)
class Audit:
    """What was found."""

    stages: tuple[str, ...]
    sources: Mapping[str, str]
    """Raw topic by source."""
    lines: tuple[Line, ...]
    raw_edges: dict[tuple[str, int], Edge]
    """By raw topic and partition, for the next audit."""
    foreign: dict[str, int]
    """Records by topic that no stage of this pipeline wrote."""
    totals: dict[Where, Counted]
    """All that is told there, not only since an earlier audit."""
    shards: dict[ShardKey, Forwarded]
    """The same."""
    redriven: tuple[str, ...] = ()
    """Redrive topics."""

    @property
    def verdict(self) -> Verdict:
        """The worst of all lines."""
        return worst(line.verdict for line in self.lines)

    def count(self, verdict: Verdict) -> int:
        """Lines of that verdict."""
        return sum(line.verdict is verdict for line in self.lines)

    def source(self, line: Line) -> str | None:
        """Whose records a line is about; None for publish and for what is redriven, of all sources."""
        return next((name for name, topic in self.sources.items() if topic == line.topic), None)

    def document(self) -> dict[str, Any]:
        """For scripts, and for the next audit."""
        return {
            "verdict": self.verdict.value,
            "stages": list(self.stages),
            "foreign": self.foreign,
            "rawEdges": {
                topic: {str(p): [edge.later, edge.end] for (of, p), edge in self.raw_edges.items() if of == topic}
                for topic in {topic: None for topic, _ in self.raw_edges}
            },
            "lines": [self._line(line) for line in self.lines],
        }

    def _line(self, line: Line) -> dict[str, Any]:
        told = line.counted
        found: dict[str, Any] = {
            "stage": line.stage, "source": self.source(line), "topic": line.topic, "partition": line.partition,
            "verdict": line.verdict.value,
        }  # fmt: skip
        match told:
            case Counted():
                total = self.totals[line.stage, line.topic or "", line.partition].counts
                found |= {
                    "offset": told.offset, "since": told.since, "counts": dict(sorted(told.counts.items())),
                    "total": dict(sorted(total.items())),
                }  # fmt: skip
                found |= {name: [edge.later, edge.end] for name, edge in line.edges.items()}
            case Forwarded():
                sequence, sub_sequence = told.place or ("", 0)
                whole = self.shards.get((told.stream, told.shard), told)
                found |= {
                    "stream": told.name, "arn": told.arn, "shard": told.shard, "state": told.state,
                    "sequence": str(sequence), "subSequence": sub_sequence, "arrival": told.arrival_ms,
                    "records": told.records, "total": whole.records, "markers": line.markers,
                }  # fmt: skip
        checks = [
            {"name": check.name, "verdict": check.verdict.value, "counted": check.counted, "found": check.found,
             "reason": check.reason}
            for check in line.checks
        ]  # fmt: skip
        return found | {"checks": checks}
