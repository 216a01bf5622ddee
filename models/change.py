"""A change of one source row, in the words of the domain and independent of the wire format it came in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

import msgspec

from models.raw import Origin

Row = Mapping[str, Any]
"""Column -> value. Values: None, bool, exact int, Decimal, str, list, dict."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MAX_MICROSECONDS = 253_402_300_800 * 1_000_000
"""Since 1970, to the year 10000: no time a source or a broker means."""


class DatabaseActionEnum(StrEnum):
    """What happened to the row."""

    CREATE = "CREATE"
    UPDATE = "UPDATE"
    DELETE = "DELETE"
    UNKNOWN = "UNKNOWN"

    @property
    def wire(self) -> str:
        """The word of the event contract: INSERT, UPDATE or DELETE."""
        return "INSERT" if self is DatabaseActionEnum.CREATE else self.value


Operation = DatabaseActionEnum
"""What the code calls it."""


class SourceRow(msgspec.Struct, frozen=True, gc=False):
    """What a decoder read out of one record, before any table rule looked at it."""

    adapter: str
    schema: str
    table: str
    operation: Operation
    row: Row | None
    """After image; for a delete the last image. None if the record carries none."""
    before: Row | None
    """Before image as delivered: may hold all columns, only the changed ones, or only the key."""
    committed_at: str | None
    identity: tuple[str, ...] | None
    """The source's own name of this change, stable over redelivery; None if it gives none."""
    transaction_id: str | None = None
    snapshot: bool = False
    whole_images: bool = False
    """Both images of an update hold the whole row: a column missing in one was added, or taken away."""
    identity_needs_key: bool = False
    """The identity names no more than the transaction, which changes a row once, or an entry of the log, which may hold
    several rows."""
    order: int | None = None
    """By which the changes of one row follow each other, if the source delivers them in any order; in its own unit."""
    declared: Sequence[Any] | None = None
    """Fields of the row's schema as they came with the record, for sources that send one: `{"field", "type", …}`."""

    @property
    def place(self) -> str:
        """`schema.table`, or the table alone where there are no schemas."""
        return f"{self.schema}.{self.table}" if self.schema else self.table


@dataclass(frozen=True, slots=True)
class Control:
    """A record about a table, not about a row: DDL of the source."""

    operation: str
    schema: str
    table: str
    adapter: str = ""
    told_at: str | None = None
    """When the source wrote it; DDL has no commit time, and no order with the rows around it."""
    columns: Mapping[str, str] | None = None
    """Column -> type in the source's words; None if the record does not tell any."""
    whole: bool = False
    """`columns` are all the table has now; else only those that were added or changed."""
    dropped: tuple[str, ...] = ()
    primary_key: tuple[str, ...] = ()


class Change(msgspec.Struct, frozen=True, gc=False):
    """A valid change of a known table: columns carry the spelling of its spec, typed values are of their type."""

    name: str
    schema: str
    table: str
    operation: Operation
    keys: Row
    previous_keys: Row | None
    before: Row | None
    after: Row | None
    committed_at: datetime
    identity: tuple[str, ...] | None
    origin: Origin
    adapter: str
    snapshot: bool = False
    transaction_id: str | None = None
    identity_needs_key: bool = False
    order: int | None = None
    """See SourceRow."""
    imprecise: tuple[str, ...] = ()
    """Columns whose integer came as a double too large to be exact."""
    truncated: tuple[str, ...] = ()
    """Columns whose value the source has most likely cut off."""

    @property
    def committed_ms(self) -> int:
        """Commit time, milliseconds since the epoch."""
        return milliseconds(self.committed_at)


def milliseconds(moment: datetime) -> int:
    """Milliseconds since the epoch, rounded down, without a float on the way."""
    passed = moment - EPOCH
    return (passed.days * 86_400 + passed.seconds) * 1_000 + passed.microseconds // 1_000


def moment_text(microseconds: int) -> str | None:
    """ISO 8601 with microseconds, of a time since 1970; None before that, and beyond the year 9999."""
    if not 0 <= microseconds < MAX_MICROSECONDS:
        return None
    return (EPOCH + timedelta(microseconds=microseconds)).isoformat(timespec="microseconds")
