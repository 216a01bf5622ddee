"""A Custom Event Bus (v2): what it recognises as a repeat, how much it took, and who subscribed to it."""

from collections import deque
from dataclasses import dataclass, field
from typing import Any

from models.event_pattern import Pattern

DEDUPLICATION_SECONDS = 300.0
"""How long a bus knows a deduplication id within its group."""


@dataclass(frozen=True, slots=True)
class Published:
    """What PutEvents answers for an entry it took. `content` is its Detail's hash."""

    event_id: str
    sequence_number: str | None
    repeat: bool
    content: int


@dataclass(slots=True)
class CustomTally:
    """Entries: received = published + deduplicated. A published event is delivered once per matching subscriber."""

    received: int = 0
    published: int = 0
    deduplicated: int = 0
    altered: int = 0
    """Repeats with another Detail than the first."""
    delivered: int = 0
    undelivered: int = 0


@dataclass(frozen=True, slots=True)
class Subscriber:
    """Delivers what matches all of `patterns` to one target. `wanted` is what the client said of it."""

    name: str
    arn: str
    target: str
    patterns: tuple[Pattern, ...]
    created_at: float
    ordering: str
    wanted: dict[str, Any]

    def matches(self, fields: dict[str, Any]) -> bool:
        return all(pattern.matches(fields) for pattern in self.patterns)


@dataclass(slots=True)
class CustomBus:
    """`created_at` in seconds since 1970."""

    name: str
    arn: str
    created_at: float
    description: str | None = None
    subscribers: dict[str, Subscriber] = field(default_factory=dict)
    tally: CustomTally = field(default_factory=CustomTally)
    _known: dict[tuple[str | None, str], Published] = field(default_factory=dict)
    _ends: deque[tuple[float, tuple[str | None, str]]] = field(default_factory=deque)
    _last: int = 0

    def take(
        self, event_id: str, group: str | None, deduplication_id: str | None, detail: str, now: float
    ) -> Published:
        """A repeat gets the ids of the event it repeats."""
        self.tally.received += 1
        while self._ends and self._ends[0][0] <= now:
            del self._known[self._ends.popleft()[1]]
        content = hash(detail)
        if deduplication_id is not None and (known := self._known.get((group, deduplication_id))) is not None:
            self.tally.deduplicated += 1
            self.tally.altered += known.content != content
            return Published(known.event_id, known.sequence_number, True, content)
        self._last += 1
        sequence_number = None if group is None else f"{self._last:020d}"
        published = Published(event_id, sequence_number, False, content)
        if deduplication_id is not None:
            self._known[group, deduplication_id] = published
            self._ends.append((now + DEDUPLICATION_SECONDS, (group, deduplication_id)))
        self.tally.published += 1
        return published
