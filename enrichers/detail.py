"""The event as it is written: compact JSON, all names sorted, UTF-8.

Its structs name their fields in the order in which they are written; what is UNSET is left out.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from msgspec import UNSET, UnsetType

ENVELOPE_VERSION: Final = "1.0"
encode_detail = msgspec.json.Encoder(order="deterministic").encode
"""Sorts the names of objects, and leaves structs as they are."""


class Sides(msgspec.Struct, frozen=True, gc=False):
    """Both values of a changed column, as they travel."""

    new: Any
    old: Any


class Extras(msgspec.Struct, frozen=True, gc=False):
    """What few events have, in the form in which it travels."""

    after: Mapping[str, Any] | UnsetType = UNSET
    before: Mapping[str, Any] | UnsetType = UNSET
    previous_keys: Mapping[str, Any] | UnsetType = UNSET
    aliases: Mapping[str, str] | UnsetType = UNSET
    precision_loss: Sequence[str] | UnsetType = UNSET
    truncated: Sequence[str] | UnsetType = UNSET


class Source(msgspec.Struct, frozen=True, gc=False):
    source: str
    stale: bool


class Metadata(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    aliases: Any
    correlation_id: str
    diff: Any
    enrichment: Source
    environment: str
    precision_loss: Any
    processed_at: str
    redacted_fields: Sequence[str]
    replay: Any
    sequence: str
    sequence_number: str
    service: str
    shard_id: Any
    snapshot: bool
    source: str
    source_schema: str
    source_table: str
    transaction_id: Any
    truncated_fields: Any
    version: str


class Detail(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    after: Any
    before: Any
    changed_fields: list[str]
    changes: Mapping[str, Any]
    detail_type: Any
    entity_id: str
    entity_type: str
    event_id: str
    event_type: str
    keys: Mapping[str, Any]
    metadata: Metadata
    operation: str
    org_id: Any
    previous_keys: Any
    table: Any
    timestamp: str
    user_id: Any
