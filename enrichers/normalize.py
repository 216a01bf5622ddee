"""Normalize: the event envelope, the same bytes for the same raw record whenever and wherever it is made."""

from collections.abc import Mapping, Sequence
from dataclasses import field
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import blake2b
from typing import Any

import msgspec
from msgspec import UNSET

from enrichers.compiled import CompiledTable
from enrichers.detail import ENVELOPE_VERSION, Detail, Metadata, OwnerFound, written
from enrichers.transform import iso
from models.change import Change, Operation
from models.enrichment import Enrichment
from models.event import Event
from models.raw import RawRecord
from models.routing import id_text, key_text
from models.sources.binary import is_tagged
from models.strict_json import encode, wire
from models.tables import TABLE_CHANGE

NOT_COMPARED = "none"
"""`metadata.diff` of an event that lists every column."""


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
    else:
        identity = position_of(record)
    keys = None if table.key_is_redacted else [_key_part(value) for value in change.keys.values()]
    return digest_of(record.source, change.name, change.operation, change.schema, keys, identity)


def digest_of(
    source: str, name: str, operation: Operation, schema: str, keys: list[Any] | None, identity: Sequence[Any]
) -> str:
    """The same from its parts."""
    named = [source, name, operation.value, schema, keys, identity]
    return blake2b(encode(named), digest_size=10).hexdigest()


def position_of(record: RawRecord) -> list[Any]:
    """What names a change whose source gives it no name."""
    origin = record.origin
    if origin.stream or origin.shard:
        return ["position", origin.stream, origin.shard, origin.sequence, origin.sub_sequence]
    return ["file", origin.sequence, blake2b(record.value or b"", digest_size=16).hexdigest()]


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
    images = {name: wire(image) for name, image in content.images.items()}
    of_table_change = spec.detail_type_style == "table-change"
    detail = Detail(
        event_id=event_id,
        event_type=event_type,
        entity_type=spec.name,
        entity_id=entity,
        operation=change.operation.wire,
        timestamp=timestamp,
        keys=wire(content.keys),
        previous_keys=UNSET if content.previous_keys is None else wire(content.previous_keys),
        changes={name: {side: wire(value) for side, value in sides.items()} for name, sides in content.changes.items()},
        changed_fields=sorted(content.changes),
        org_id=UNSET if content.org_id is None else content.org_id,
        user_id=UNSET if content.user_id is None else content.user_id,
        before=images.get("before", UNSET),
        after=images.get("after", UNSET),
        detail_type=TABLE_CHANGE if of_table_change else UNSET,
        table=change.table if of_table_change else UNSET,
        metadata=Metadata(
            version=ENVELOPE_VERSION,
            service=service,
            environment=environment,
            source=change.adapter,
            source_schema=change.schema,
            source_table=change.table,
            sequence_number=record.origin.sequence,
            sequence=sequence_of(record),
            shard_id=record.origin.shard or UNSET,
            transaction_id=UNSET if change.transaction_id is None else change.transaction_id,
            correlation_id=record.trace or digest,
            processed_at=processed_at(record, change.committed_ms),
            snapshot=change.snapshot,
            redacted_fields=content.redacted,
            enrichment=OwnerFound(enrichment.source, enrichment.stale),
            diff=UNSET if content.compared else NOT_COMPARED,
            aliases=content.aliases or UNSET,
            precision_loss=_published(change.imprecise, table) or UNSET,
            truncated_fields=_published(change.truncated, table) or UNSET,
            replay=record.replay or UNSET,
        ),
    )
    return Event(
        key=f"{spec.name}:{entity}".encode(),
        event_id=event_id,
        event_type=event_type,
        entity_type=spec.name,
        timestamp=timestamp,
        value=written(detail),
    )


def sequence_of(record: RawRecord) -> str:
    """Place of a raw record among those of its partition, comparable as text."""
    return f"{record.generation:04d}-{record.offset:020d}"


def _published(columns: tuple[str, ...], table: CompiledTable) -> list[str]:
    """Those that the table lets out at all."""
    spec, included = table.spec, table.includes
    drops = spec.unknown_columns == "drop"
    return [name for name in columns if (included is None or name in included) and (not drops or name in spec.known)]


def processed_at(record: RawRecord, committed_ms: int) -> str:
    """Kafka timestamp of the raw record; plain files have arrival or commit time."""
    stamp = record.timestamp_ms or record.origin.arrival_ms or committed_ms
    return f"{_second(stamp // 1000)}.{stamp % 1000:03d}Z"


@lru_cache(maxsize=256)
def _second(seconds: int) -> str:
    """Many records of a batch share it."""
    return datetime.fromtimestamp(seconds, UTC).isoformat()[:19]
