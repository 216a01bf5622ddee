"""What is told of a record's way: one span per hop, and one per unit of work that links to those of its records.

A span is told when its hop has ended, with ids and times that follow from the record. Nothing of a row, no key (P6).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from models.trace_context import TraceContext, root_of

MOST_LINKS = 128
"""Of one span; OpenTelemetry's own bound."""
MILLISECOND = 1_000_000
"""Nanoseconds."""

Attributes = Mapping[str, str | int]


@dataclass(frozen=True, slots=True)
class Span:
    """A hop that has ended; times in nanoseconds since the epoch. `parent` is a span of the same trace."""

    name: str
    context: TraceContext
    parent: TraceContext | None
    start_ns: int
    end_ns: int
    attributes: Attributes = field(default_factory=dict)
    links: Sequence[TraceContext] = ()
    failed: bool = False


class Exporter(Protocol):
    """Where spans go."""

    def export(self, span: Span) -> None:
        """Never raises and never waits."""

    def close(self) -> None:
        """Send what is left; may take its time."""


@dataclass(frozen=True, slots=True)
class Hop:
    """A record in a unit of work that has not committed; `since_ms`: when it came to the stage."""

    context: TraceContext
    parent: TraceContext | None
    since_ms: int
    attributes: Attributes


@dataclass(frozen=True, slots=True)
class HopSpans:
    """Tells the hops of a stage. `now_ns`: nanoseconds since the epoch."""

    stage: str
    exporter: Exporter
    now_ns: Callable[[], int]

    def committed(self, hops: Sequence[Hop], seconds: float, place: str) -> None:
        """The unit of these has committed, `seconds` after its begin; `place` tells it from any other."""
        self.ended(hops, seconds, place, f"{self.stage} unit")

    def ended(self, hops: Sequence[Hop], seconds: float, place: str, name: str) -> None:
        """Their spans, and the one of all of them together, which is of no record's trace."""
        now = self.now_ns()
        begun = now - int(seconds * 1e9)
        for hop in hops:
            start = min(hop.since_ms * MILLISECOND or begun, now)
            self.exporter.export(Span(self.stage, hop.context, hop.parent, start, now, hop.attributes))
        links = [hop.context for hop in hops[:MOST_LINKS]]
        together = root_of(begun // MILLISECOND, place, *(link.span_id for link in links))
        self.exporter.export(Span(name, together, None, begun, now, {"cdc.traced_records": len(hops)}, links))
