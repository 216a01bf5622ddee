"""The seam between traffic and wire formats: what happened to a row, and who writes it down as bytes."""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Protocol

from models.change import EPOCH, Operation

Row = dict[str, Any]
"""Column -> None, bool, int, Decimal, or text; times and JSON documents are text."""


@dataclass(frozen=True, slots=True)
class RowChange:
    """One change of one row, whatever source it happens in."""

    number: int
    """Place in the order of the source, from 0: its transactions and log positions are counted by it."""
    table: str
    key: str
    """Name of the key column."""
    operation: Operation
    before: Row | None
    after: Row | None
    """None for a delete; of that, `before` is the last image."""
    at: datetime
    snapshot: bool = False
    """A row that was there before the source was followed."""
    stream_key: str = ""
    """Value of the key the stream distributes by, as text."""


class Encoder(Protocol):
    """One wire format. `models.sources.adapters.decode` gives back what it was told, as far as the format can tell."""

    adapter: str
    schema: str
    """Schema of all tables; empty where there are none."""
    moves_keys: bool
    """A changed key is an update of the row; else it is a delete and a create."""
    has_loads: bool
    """Rows that were there before are marked as such; else they are changes like others."""
    unordered: bool
    """Changes of a row may come after later ones."""
    has_tombstones: bool
    """A record without a byte follows a delete."""

    def change(self, change: RowChange) -> bytes:
        """A record of a change."""

    def control(self, number: int, table: str, at: datetime) -> bytes | None:
        """A record about a table; None if there is no such thing."""

    def transaction(self, number: int) -> str:
        """The transaction an event of this change names; empty if the source tells none."""


def compact(document: Any) -> bytes:
    """JSON without spaces; decimals as numbers."""
    return json.dumps(document, separators=(",", ":"), default=_number).encode()


def pretty(document: Any) -> bytes:
    """JSON with tabs and a final newline."""
    return json.dumps(document, indent="\t", default=_number).encode() + b"\n"


def stamp(at: datetime) -> str:
    """A time as text, in UTC with microseconds."""
    return f"{at:%Y-%m-%dT%H:%M:%S.%f}Z"


def microseconds(at: datetime) -> int:
    """Since 1970."""
    return (at - EPOCH) // timedelta(microseconds=1)


def _number(value: Any) -> float:
    if isinstance(value, Decimal):
        return float(value)
    raise TypeError(f"a row holds no {type(value).__name__}")
