"""Normalize: the event envelope, the same bytes for the same raw record whenever and wherever it is made."""

from collections.abc import Mapping
from dataclasses import field
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import blake2b
from typing import Any

import msgspec

from enrichers.compiled import CompiledTable
from enrichers.transform import iso
from models.change import Change
from models.enrichment import Enrichment
from models.event import Event
from models.raw import RawRecord
from models.routing import id_text, key_text
from models.sources.binary import is_tagged
from models.strict_json import PLAIN, encode, wire
from models.tables import TABLE_CHANGE

ENVELOPE_VERSION = "1.0"


class Content(msgspec.Struct, frozen=True, gc=False):
    """What is left of a change after redaction: all that an event may say of the row."""

    keys: Mapping[str, Any]
    previous_keys: Mapping[str, Any] | None
    changes: Mapping[str, Any]
    images: Mapping[str, Mapping[str, Any]]
    redacted: tuple[str, ...]
    org_id: Any
    user_id: Any
    compared: bool
    aliases: Mapping[str, str] = field(default_factory=dict)
    """Hash or token -> the same value's under the other key version, while there are two (docs/decisions/0030)."""


def change_digest(change: Change, table: CompiledTable, record: RawRecord) -> str:
    """20 hex digits that name the change: the same for every delivery of it, different for any other.

    The source's own identity if it gives one, else the position in the stream; for plain files (no stream) their
    position and the bytes. A redacted key takes no part: its hash would let anybody try values (P6). An identity that
    is unique only together with the key does not serve then.
    """
    if change.identity is not None and not (change.identity_needs_key and table.key_is_redacted):
        identity: list[Any] = ["change", *change.identity]
    elif record.origin.stream or record.origin.shard:
        origin = record.origin
        identity = ["position", origin.stream, origin.shard, origin.sequence, origin.sub_sequence]
    else:
        content = blake2b(record.value or b"", digest_size=16).hexdigest()
        identity = ["file", record.origin.sequence, content]
    keys = None if table.key_is_redacted else [_key_part(value) for value in change.keys.values()]
    named = [record.source, change.name, change.operation.value, change.schema, keys, identity]
    return blake2b(encode(named), digest_size=10).hexdigest()


def _key_part(value: Any) -> Any:
    return value if is_tagged(value) else key_text(value)


def entity_id(keys: Mapping[str, Any]) -> str:
    """Key values joined by `:`, encoded so that no two keys share an id."""
    return ":".join(map(id_text, keys.values()))


def normalize(
    change: Change,
    content: Content,
    enrichment: Enrichment,
    table: CompiledTable,
    record: RawRecord,
    *,
    digest: str,
    service: str,
    environment: str,
) -> Event:
    """Build the event. Nothing in it depends on the clock or on the run."""
    spec = table.spec
    timestamp = iso(change.committed_at)
    event_id = f"evt_{change.committed_ms}_{digest}"
    event_type = spec.event_type(change.operation)
    entity = entity_id(content.keys)
    metadata: dict[str, Any] = {
        "service": service,
        "environment": environment,
        "version": ENVELOPE_VERSION,
        "source": change.adapter,
        "sourceSchema": change.schema,
        "sourceTable": change.table,
        "sequenceNumber": record.origin.sequence,
        "sequence": f"{record.generation:04d}-{record.offset:020d}",
        "correlationId": record.trace or digest,
        "processedAt": _processed_at(record, change),
        "snapshot": change.snapshot,
        "redactedFields": list(content.redacted),
        "enrichment": {"source": enrichment.source, "stale": enrichment.stale},
    }
    if record.origin.shard:
        metadata["shardId"] = record.origin.shard
    if change.transaction_id is not None:
        metadata["transactionId"] = change.transaction_id
    if not content.compared:
        metadata["diff"] = "none"
    if content.aliases:
        metadata["aliases"] = dict(content.aliases)
    if change.imprecise and (named := _published(change.imprecise, table)):
        metadata["precisionLoss"] = named
    if change.truncated and (named := _published(change.truncated, table)):
        metadata["truncatedFields"] = named
    if record.replay:
        metadata["replay"] = record.replay
    detail: dict[str, Any] = {
        "eventId": event_id,
        "eventType": event_type,
        "entityType": spec.name,
        "entityId": entity,
        "operation": change.operation.wire,
        "timestamp": timestamp,
        "keys": wire(content.keys),
        "changes": {
            name: {side: value if type(value) in PLAIN else wire(value) for side, value in sides.items()}
            for name, sides in content.changes.items()
        },
        "changedFields": sorted(content.changes),
        "metadata": metadata,
    }
    if content.org_id is not None:
        detail["orgId"] = content.org_id
    if content.user_id is not None:
        detail["userId"] = content.user_id
    if content.previous_keys is not None:
        detail["previousKeys"] = wire(content.previous_keys)
    for name, image in content.images.items():
        detail[name] = wire(image)
    if spec.detail_type_style == "table-change":
        detail["detailType"] = TABLE_CHANGE
        detail["table"] = change.table
    return Event(
        key=f"{spec.name}:{entity}".encode(),
        event_id=event_id,
        event_type=event_type,
        entity_type=spec.name,
        timestamp=timestamp,
        value=encode(detail),
    )


def _published(columns: tuple[str, ...], table: CompiledTable) -> list[str]:
    """Those that the table lets out at all."""
    spec, included = table.spec, table.includes
    drops = spec.unknown_columns == "drop"
    return [name for name in columns if (included is None or name in included) and (not drops or name in spec.known)]


def _processed_at(record: RawRecord, change: Change) -> str:
    """Kafka timestamp of the raw record; plain files have arrival or commit time."""
    stamp = record.timestamp_ms or record.origin.arrival_ms or change.committed_ms
    return f"{_second(stamp // 1000)}.{stamp % 1000:03d}Z"


@lru_cache(maxsize=256)
def _second(seconds: int) -> str:
    """Many records of a batch share it."""
    return datetime.fromtimestamp(seconds, UTC).isoformat()[:19]
