"""What the pipeline remembers between records: the protocol it reads, and the effects it asks for.

The agent applies the effects in the transaction that carries the event, so that memory and output never disagree (P2).
Values carry a format version: a release reads what its successor of the same version adds, and stops at a newer one.
"""

from enum import Enum
from typing import Final, Protocol, TypeVar

import msgspec

Entry = TypeVar("Entry")

FORMAT = 1
REMEMBERED_CHANGES: Final = 16


class NewerFormatError(Exception):
    """A later release wrote this table value. The worker must not take it for a miss: it is not ready."""


class UnreadableEntryError(Exception):
    """The bytes of a table value are no entry at all: the table is damaged, and a miss would hide it."""


class LookupEntry(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The ids of one row of a table that others look up."""

    org_id: str | None = None
    user_id: str | None = None
    since_ms: int = 0
    """Commit time of the change that made the row's ids these, milliseconds."""
    v: int = FORMAT

    def encode(self) -> bytes:
        """Bytes for the table's changelog."""
        return _encode(self)

    @staticmethod
    def decode(raw: bytes) -> "LookupEntry":
        """Read a table value. Raises NewerFormatError or UnreadableEntryError."""
        return read_entry(_entry, raw)


class RowMemory(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What is known of a row from its own earlier changes."""

    org_id: str | None = None
    user_id: str | None = None
    changes: tuple[str, ...] = ()
    """Ids of the last changes, oldest first, at most 16: a change among them was sent again by the source."""
    updated_ms: int = 0
    """Commit time of the last change, milliseconds; entries older than 30 days may be forgotten."""
    order: int | None = None
    """Of the latest change, where the source delivers the changes of a row in any order (docs/decisions/0028)."""
    v: int = FORMAT

    def encode(self) -> bytes:
        """Bytes for the table's changelog."""
        return _encode(self)

    @staticmethod
    def decode(raw: bytes) -> "RowMemory":
        """Read a table value. Raises NewerFormatError or UnreadableEntryError."""
        return read_entry(_memory, raw)


class Answer(Enum):
    """What is known of a row behind the lookup tables, in the database, if it is not an entry."""

    NO_DATABASE = "no database stands behind this lookup"
    UNASKED = "the database has to be asked"
    NO_ROW = "the database has no such row"
    AWAY = "the database does not answer, and the tables' own policies are to decide"


class State(Protocol):
    """What the agent lets the pipeline read. Reads see the effects of earlier records of the same unit."""

    def lookup(self, name: str, row: bytes) -> LookupEntry | None:
        """Entry of a lookup; `row` is the raw key (entity key) of the providing row, which addresses its partition."""

    def memory(self, row: bytes) -> RowMemory | None:
        """Memory of a row; only ever asked for the key of the record at hand."""

    def is_recent(self, digest: str) -> bool:
        """Whether a change (20 hex digits) is among the last ones of the slot, whatever row or table it was of."""

    def pinned_schema(self, spec_name: str) -> str | None:
        """The schema a spec without one was first seen with."""

    def database(self, name: str, schema: str, key: str) -> LookupEntry | Answer:
        """What the database says of a row that the lookup lacks; `key` is the text of its key."""

    def seen(self, spec_name: str) -> bytes | None:
        """What the records of this partition showed of a table: an encoded `Seen`."""

    def history(self, spec_name: str) -> bytes | None:
        """What was reported of a table's columns, as far as this worker knows by now: an encoded `History`."""


class Remember(msgspec.Struct, frozen=True, gc=False):
    """Write a lookup entry for the row of this record; None removes it."""

    lookup: str
    row: bytes
    entry: LookupEntry | None


class Memorize(msgspec.Struct, frozen=True, gc=False):
    """Write the memory of the row of this record; None removes it."""

    row: bytes
    memory: RowMemory | None


class Note(msgspec.Struct, frozen=True, gc=False):
    """Add a change (20 hex digits) to the last ones of the slot."""

    digest: str


class Pin(msgspec.Struct, frozen=True, gc=False):
    """Bind a spec without schema to the first schema it was seen with."""

    name: str
    schema: str


class Observe(msgspec.Struct, frozen=True, gc=False):
    """Write what the records of this partition showed of a table; `entry` is an encoded `Seen`."""

    name: str
    entry: bytes


Effect = Remember | Memorize | Note | Pin | Observe


class _Version(msgspec.Struct):
    v: int = 1


_encode = msgspec.json.Encoder().encode
_version = msgspec.json.Decoder(_Version)
_entry = msgspec.json.Decoder(LookupEntry)
_memory = msgspec.json.Decoder(RowMemory)


def read_entry(decoder: msgspec.json.Decoder[Entry], raw: bytes) -> Entry:
    """Decode, unless a later release wrote it: its version counts before its shape does."""
    try:
        value = decoder.decode(raw)
        version = value.v  # type: ignore[attr-defined]
    except (msgspec.MsgspecError, UnicodeDecodeError):
        version = _claimed_version(raw)
        if version <= FORMAT:
            raise UnreadableEntryError("a table holds an entry that cannot be read") from None
    if version > FORMAT:
        raise NewerFormatError(f"a table value of format {version}; this release knows up to {FORMAT}")
    return value


def _claimed_version(raw: bytes) -> int:
    try:
        return _version.decode(raw).v
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return 0
