"""Who a change belongs to, and how we know."""

from typing import Literal

import msgspec

OwnerSource = Literal["record", "before", "memory", "table", "database", "missing"]


class Enrichment(msgspec.Struct, frozen=True, gc=False):
    """Ids of the owner, as text whatever their type in the source."""

    org_id: str | None = None
    user_id: str | None = None
    source: OwnerSource = "record"
    stale: bool = False
    """True if a table entry is younger than the change: the owner of that moment may have been another."""
