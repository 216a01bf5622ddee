"""One record of `cdc.events` as an entry of PutEvents, whatever the bus.

Sources: EventBridge API reference, PutEvents; "Calculating PutEvents event entry size".
"""

import re
from dataclasses import dataclass

from models.event import read_envelope
from models.outcome import Failure
from workers.engine.delivery import Undeliverable

MAX_DETAIL_TYPE = 128
TIME_BYTES = 14
_XRAY = re.compile(r"1-[0-9a-f]{8}-[0-9a-f]{24}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Entry:
    """What the bus is told of one event. The same record is always the same entry, byte for byte (P3)."""

    event_id: str
    group: str
    """Key of the entity, `<entityType>:<entityId>`: what is kept in order."""
    source: str
    detail_type: str
    detail: str
    time: float
    """Commit time, seconds since the epoch."""
    size: int
    """Bytes by AWS's formula."""
    replay: int = 0
    """How often the raw record was redriven or replayed: `metadata.replay`."""
    redriven: int = 0
    """How often this record of `cdc.events` was."""
    trace_header: str | None = None
    """Of AWS X-Ray, if the event belongs to one of its traces."""


@dataclass(frozen=True, slots=True)
class EntryRules:
    """`source`: Source is `<source>.<entity type>`. `max_bytes`: of one entry by AWS's formula."""

    source: str
    max_bytes: int


def entry_of(key: bytes | None, value: bytes | None, rules: EntryRules, *, redriven: int = 0) -> Entry | Undeliverable:
    """The entry of one record, or why no bus would ever take it. Never raises."""
    try:
        envelope = read_envelope(value or b"")
        detail, group = (value or b"").decode(), (key or b"").decode()
    except ValueError:
        return Undeliverable(Failure.VALIDATION_ERROR, "the record is no event")
    detail_type = envelope.detail_type or envelope.event_type
    if len(detail_type) > MAX_DETAIL_TYPE:
        return Undeliverable(Failure.EVENTBRIDGE_ERROR, f"the event type has more than {MAX_DETAIL_TYPE} characters")
    source = f"{rules.source}.{envelope.entity_type}"
    size = TIME_BYTES + sum(len(text.encode()) for text in (source, detail_type)) + len(value or b"")
    if size > rules.max_bytes:
        return Undeliverable(Failure.EVENTBRIDGE_ERROR, f"the entry has {size} bytes, {rules.max_bytes} fit a request")
    return Entry(
        envelope.event_id, group, source, detail_type, detail, envelope.time.timestamp(), size,
        replay=envelope.metadata.replay, redriven=redriven, trace_header=trace_header(envelope.metadata.correlation_id),
    )  # fmt: skip


def trace_header(correlation_id: str | None) -> str | None:
    """TraceHeader for the id of an X-Ray trace; None for any other id. Source: AWS X-Ray, "Tracing header"."""
    if correlation_id is None or _XRAY.fullmatch(correlation_id) is None:
        return None
    return f"Root={correlation_id}"
