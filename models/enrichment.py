"""Who a change belongs to, and how we know."""

from dataclasses import dataclass
from typing import Literal

OwnerSource = Literal["record", "before", "memory", "table", "database", "missing"]


@dataclass(frozen=True, slots=True)
class Enrichment:
    """Ids of the owner, as text whatever their type in the source."""

    org_id: str | None = None
    user_id: str | None = None
    source: OwnerSource = "record"
    stale: bool = False
    """True if a table entry is younger than the change: the owner of that moment may have been another."""
