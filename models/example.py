"""An example of a table: records that go in, and how the last of them must end. `cdc check` runs it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from models.outcome import Failure

EVENT_FIELDS = (
    "eventId", "eventType", "entityType", "entityId", "operation", "timestamp", "orgId", "userId", "keys",
    "previousKeys", "changes", "changedFields", "before", "after", "metadata", "detailType", "table",
)  # fmt: skip
"""What stands at the top of an event."""


@dataclass(frozen=True, slots=True)
class Published:
    """An event that has at least these fields with these values; null stands for a field that is not there."""

    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Dropped:
    """No event, for this reason."""

    reason: str


@dataclass(frozen=True, slots=True)
class Buried:
    """A dead letter with this code."""

    code: Failure


Expected = Published | Dropped | Buried


@dataclass(frozen=True, slots=True)
class Example:
    """`records` in the order of the source; the last one ends as `expected`, the others feed lookups and memory."""

    line: int
    """Of tables.yaml, from 1."""
    records: tuple[bytes, ...]
    expected: Expected
    name: str | None = None
