"""What records of events say of themselves, as far as a trace needs it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from models.raw import HEADER_REDRIVEN, HEADER_SOURCE


class _Enrichment(msgspec.Struct):
    source: str = ""
    stale: bool = False


class _Metadata(msgspec.Struct, rename="camel"):
    sequence: str = ""
    replay: int = 0
    processed_at: str = ""
    enrichment: _Enrichment = msgspec.field(default_factory=_Enrichment)
    redacted_fields: tuple[str, ...] = ()


class EventHead(msgspec.Struct, rename="camel"):
    """Of a record of `cdc.events`."""

    event_id: str
    event_type: str = ""
    entity_type: str = ""
    entity_id: str = ""
    operation: str = ""
    changed_fields: tuple[str, ...] = ()
    org_id: str | None = None
    user_id: str | None = None
    metadata: _Metadata = msgspec.field(default_factory=_Metadata)

    @property
    def raw_offset(self) -> int:
        """Of the raw record it was made of; -1 if it does not say."""
        _, dash, offset = self.metadata.sequence.partition("-")
        return int(offset) if dash and offset.isdecimal() and len(offset) <= 20 else -1


@dataclass(frozen=True, slots=True)
class EventRecord:
    """One record of `cdc.events`, read."""

    head: EventHead
    partition: int
    offset: int
    time_ms: int
    source: str
    """Name; empty if it does not say."""
    redriven: int | None
    """Offset in `cdc.redrive.enrich` of what it was made of."""
    shown: EventHead | None = None
    """What may be shown of `head`; None if that was not asked, or if another program wrote the record (P6)."""

    def is_of(self, source: str, raw_offset: int) -> bool:
        """Whether it was made of this raw record, in the same partition."""
        return self.head.raw_offset == raw_offset and self.source in (source, "")


_event = msgspec.json.Decoder(EventHead)


def shown_head(content: Mapping[str, Any] | None) -> EventHead | None:
    """Of an event as it is masked; None if it cannot be one of ours."""
    try:
        return None if content is None else msgspec.convert(content["event"], EventHead)
    except msgspec.ValidationError:
        return None


def raw_offset_of(value: bytes | None) -> int:
    """Of the raw record that an event was made of; -1 if it does not say. Never raises for data."""
    try:
        return _event.decode(value or b"").raw_offset
    except (msgspec.MsgspecError, RecursionError):
        return -1


def event_record(record: Any) -> EventRecord | None:
    """None if it is no event. Never raises for data."""
    try:
        head = _event.decode(record.value or b"")
    except (msgspec.MsgspecError, RecursionError):
        return None
    headers = dict(record.headers)
    redriven = headers.get(HEADER_REDRIVEN) or b""
    return EventRecord(
        head, record.partition, record.offset, record.timestamp,
        (headers.get(HEADER_SOURCE) or b"").decode("utf-8", "replace"),
        int(redriven) if redriven.isdigit() and len(redriven) < 20 else None,
    )  # fmt: skip
