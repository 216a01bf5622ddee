"""The detail of an event as it is written: fields in the order of their names, so that nothing is sorted per event but
the columns of the row."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from msgspec import UNSET, UnsetType

ENVELOPE_VERSION: Final = "1.0"


class OwnerFound(msgspec.Struct, gc=False):
    """`metadata.enrichment`: how the owner was found."""

    source: str
    stale: bool


class Metadata(msgspec.Struct, rename="camel", kw_only=True, gc=False):
    """`metadata`."""

    aliases: Mapping[str, str] | UnsetType = UNSET
    correlation_id: str
    diff: str | UnsetType = UNSET
    enrichment: OwnerFound
    environment: str
    precision_loss: Sequence[str] | UnsetType = UNSET
    processed_at: str
    redacted_fields: Sequence[str]
    replay: int | UnsetType = UNSET
    sequence: str
    sequence_number: str
    service: str
    shard_id: str | UnsetType = UNSET
    snapshot: bool
    source: str
    source_schema: str
    source_table: str
    transaction_id: str | UnsetType = UNSET
    truncated_fields: Sequence[str] | UnsetType = UNSET
    version: str


class Detail(msgspec.Struct, rename="camel", kw_only=True, gc=False):
    """What a consumer reads; values are in the form in which they travel (`strict_json.wire`)."""

    after: Any = UNSET
    before: Any = UNSET
    changed_fields: Sequence[str]
    changes: Mapping[str, Mapping[str, Any]]
    detail_type: str | UnsetType = UNSET
    entity_id: str
    entity_type: str
    event_id: str
    event_type: str
    keys: Any
    metadata: Metadata
    operation: str
    org_id: Any = UNSET
    previous_keys: Any = UNSET
    table: str | UnsetType = UNSET
    timestamp: str
    user_id: Any = UNSET


_encoder = msgspec.json.Encoder(order="deterministic")


def written(detail: Detail) -> bytes:
    """Compact JSON, all names sorted, UTF-8: the same detail gives the same bytes in every process."""
    return _encoder.encode(detail)
