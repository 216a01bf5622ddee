"""The event as it stands in `cdc.events` and as the publisher reads it back."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

import msgspec

from models.enrichment import OwnerSource


class Event(msgspec.Struct, frozen=True, gc=False):
    """One normalized, redacted event. `value` is the detail: camelCase, sorted keys, UTF-8, compact."""

    key: bytes
    """`<entityType>:<entityId>`"""
    event_id: str
    event_type: str
    entity_type: str
    timestamp: str
    value: bytes
    owner: OwnerSource = "record"
    """Where its owner was found."""
    redacted: Sequence[str] = ()
    """Columns that redaction took something from."""


class EnvelopeMetadata(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """How often the event was redriven or replayed, and the trace it belongs to."""

    replay: int = 0
    correlation_id: str | None = None


class EventEnvelope(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """What a publisher needs: Source is `<EVENT_SOURCE>.<entity_type>`, DetailType `detail_type` if there is one, else
    `event_type`, Time `time`."""

    event_id: str
    event_type: str
    entity_type: str
    time: Annotated[datetime, msgspec.Meta(tz=True)] = msgspec.field(name="timestamp")
    """When it was committed: RFC 3339, with a zone."""
    detail_type: str | None = None
    metadata: EnvelopeMetadata = EnvelopeMetadata()


_decoder = msgspec.json.Decoder(EventEnvelope)


def read_envelope(value: bytes) -> EventEnvelope:
    """Read the envelope of an event. Raises ValueError, without quoting the value, if the bytes are no event."""
    try:
        envelope = _decoder.decode(value)
    except (ValueError, RecursionError):
        raise ValueError("not an event of cdc.events") from None
    if not (envelope.event_id and envelope.event_type and envelope.entity_type) or envelope.detail_type == "":
        raise ValueError("not an event of cdc.events")
    return envelope
