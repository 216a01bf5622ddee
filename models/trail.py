"""The way of one change through the pipeline, as `cdc trace` and the view Trace show it. Masked (P6)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from models.written import Place, stamp


class Ending(StrEnum):
    """Where a trail ends."""

    DELIVERED = "delivered"
    """The bus has taken the event."""
    DROPPED = "dropped"
    """It was left out on purpose."""
    DEAD = "dead"
    """It is a dead letter."""
    WAITING = "waiting"
    """A stage has still to come to it."""
    GONE = "gone"
    """What would tell is older than what Kafka keeps."""

    @property
    def final(self) -> bool:
        """Nothing more is to be expected unless somebody does something."""
        return self is not Ending.WAITING


@dataclass(frozen=True, slots=True)
class Hop:
    """One thing that happened to the change, or was decided of it."""

    name: str
    """`commit`, `stream`, `raw`, `enrich`, `event`, `dead letter`, `redrive`, `receipt`, …"""
    text: str
    at_ms: int | None = None
    """Milliseconds since the epoch; None: it has no time of its own."""
    place: Place | None = None
    details: Mapping[str, Any] = field(default_factory=dict)

    def document(self, since_ms: int | None) -> dict[str, Any]:
        """For programs. `since_ms`: when the hop before happened."""
        took = None if self.at_ms is None or since_ms is None else self.at_ms - since_ms
        return {
            "hop": self.name, "time": stamp(self.at_ms), "timeMs": self.at_ms, "tookMs": took,
            "place": str(self.place) if self.place is not None else None, "text": self.text, **self.details,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Trail:
    """One change. Hops are in the order in which they follow each other."""

    ending: Ending
    told: str
    """Why it ends there, and what to do if something is to be done."""
    hops: tuple[Hop, ...]
    event_id: str = ""
    table: str = ""
    entity: str = ""
    operation: str = ""
    steps: tuple[Mapping[str, Any], ...] = ()
    """What the pure pipeline says of the raw record now: `step`, `text`, and names."""
    notes: tuple[str, ...] = ()

    def document(self) -> dict[str, Any]:
        """For programs."""
        hops, before = [], None
        for hop in self.hops:
            hops.append(hop.document(before))
            before = hop.at_ms if hop.at_ms is not None else before
        return {
            "eventId": self.event_id or None, "table": self.table or None, "entity": self.entity or None,
            "operation": self.operation or None, "ending": self.ending.value, "told": self.told, "hops": hops,
            "steps": list(self.steps), "notes": list(self.notes),
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Trails:
    """The answer to one question."""

    asked: str
    """What the question was taken for."""
    trails: tuple[Trail, ...]
    """Oldest first."""
    more: bool = False
    """There may be earlier ones that fit."""
    searched: str = ""
    """Where was looked, if nothing was found."""

    def document(self) -> dict[str, Any]:
        """For programs."""
        return {
            "asked": self.asked, "more": self.more, "searched": self.searched or None,
            "trails": [trail.document() for trail in self.trails],
        }  # fmt: skip
