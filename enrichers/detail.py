"""The event as it is written: compact JSON, all names sorted, UTF-8.

What all events of an operation of a table have in common is written once, as the text around the rest.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

import msgspec

from models.change import Operation
from models.enrichment import Enrichment
from models.event import Event
from models.raw import RawRecord
from models.routing import id_text
from models.tables import TABLE_CHANGE, TableSpec

ENVELOPE_VERSION: Final = "1.0"
_encode = msgspec.json.Encoder().encode
_encode_sorted = msgspec.json.Encoder(order="sorted").encode


class Extras(msgspec.Struct, frozen=True, gc=False):
    """What few events have. Values are in the form in which they travel; what is empty is left out."""

    images: Mapping[str, Mapping[str, Any]] = {}
    previous_keys: Mapping[str, Any] | None = None
    aliases: Mapping[str, str] = {}
    precision_loss: Collection[str] = ()
    truncated: Collection[str] = ()


class Frame:
    """What the events of one operation of one source table have in common."""

    def __init__(
        self, spec: TableSpec, operation: Operation, adapter: str, schema: str, table: str, *,
        service: str, environment: str, snapshot: bool,
    ) -> None:  # fmt: skip
        """All that an event takes from its table and from the settings."""
        self._event_type = spec.event_type(operation)
        self._entity_type = spec.name
        of_table_change = spec.detail_type_style == "table-change"
        self._detail_type = f'"detailType":{_text(TABLE_CHANGE)},' if of_table_change else ""
        self._types = f'"entityType":{_text(spec.name)},"eventId":"'
        self._event_type_and_keys = f'","eventType":{_text(self._event_type)},"keys":'
        self._environment = f',"environment":{_text(environment)},'
        self._service = f',"service":{_text(service)},'
        flag = "true" if snapshot else "false"
        self._source = (
            f'"snapshot":{flag},"source":{_text(adapter)},"sourceSchema":{_text(schema)},"sourceTable":{_text(table)},'
        )
        self._end = f'"version":{_text(ENVELOPE_VERSION)}}},"operation":{_text(operation.wire)},'
        self._table = f'"table":{_text(table)},' if of_table_change else ""

    def event(
        self, record: RawRecord, *, digest: str, committed_ms: int, timestamp: str, keys: Mapping[str, Any],
        changes: Mapping[str, Mapping[str, Any]], compared: bool, redacted: Sequence[str], owner: Enrichment,
        org_id: Any, user_id: Any, transaction_id: str | None, extras: Extras | None = None,
    ) -> Event:  # fmt: skip
        """The event of one record. `keys` and `changes` are in the form in which they travel, the ids of the owner as
        they may be published. Nothing in it depends on the clock or on the run."""
        entity = entity_id(keys)
        event_id = f"evt_{committed_ms}_{digest}"
        origin = record.origin
        images = aliases = precision = truncated = previous = ""
        if extras is not None:
            images = "".join(f'"{name}":{_json(image)},' for name, image in sorted(extras.images.items()))
            aliases = _member("aliases", extras.aliases)
            precision = _member("precisionLoss", extras.precision_loss)
            truncated = _member("truncatedFields", extras.truncated)
            previous = "" if extras.previous_keys is None else f'"previousKeys":{_json(extras.previous_keys)},'
        shard = f'"shardId":{_text(origin.shard)},' if origin.shard else ""
        transaction = "" if transaction_id is None else f'"transactionId":{_text(transaction_id)},'
        diff = "" if compared else '"diff":"none",'
        replay = f'"replay":{record.replay},' if record.replay else ""
        org = "" if org_id is None else f'"orgId":{_text(org_id)},'
        user = "" if user_id is None else f',"userId":{_text(user_id)}'
        stale = "true" if owner.stale else "false"
        trace = f'"{digest}"' if not record.trace else _text(record.trace)
        text = (
            f'{{{images}"changedFields":{_json(sorted(changes))},"changes":{_json(changes)},{self._detail_type}'
            f'"entityId":{_text(entity)},{self._types}{event_id}{self._event_type_and_keys}{_json(keys)},'
            f'"metadata":{{{aliases}"correlationId":{trace},{diff}'
            f'"enrichment":{{"source":"{owner.source}","stale":{stale}}}{self._environment}{precision}'
            f'"processedAt":"{processed_at(record, committed_ms)}","redactedFields":{_json(redacted)},{replay}'
            f'"sequence":"{record.generation:04d}-{record.offset:020d}","sequenceNumber":{_text(origin.sequence)}'
            f"{self._service}{shard}{self._source}{transaction}{truncated}{self._end}{org}{previous}{self._table}"
            f'"timestamp":"{timestamp}"{user}}}'
        )
        return Event(
            f"{self._entity_type}:{entity}".encode(), event_id, self._event_type, self._entity_type, timestamp,
            text.encode(), owner.source, redacted,
        )  # fmt: skip


def entity_id(keys: Mapping[str, Any]) -> str:
    """Key values joined by `:`, encoded so that no two keys share an id."""
    return ":".join(map(id_text, keys.values()))


def processed_at(record: RawRecord, committed_ms: int) -> str:
    """Kafka timestamp of the raw record; plain files have arrival or commit time."""
    return _moment(record.timestamp_ms or record.origin.arrival_ms or committed_ms)


@lru_cache(maxsize=256)
def _moment(stamp: int) -> str:
    """Many records of a batch share it."""
    return f"{datetime.fromtimestamp(stamp // 1000, UTC).isoformat()[:19]}.{stamp % 1000:03d}Z"


def _text(value: str) -> str:
    return _encode(value).decode()


def _json(value: Any) -> str:
    return _encode_sorted(value).decode()


def _member(name: str, value: Any) -> str:
    return f'"{name}":{_json(value)},' if value else ""
