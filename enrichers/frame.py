"""The frame of an event: what the events of one operation of one table have in common, and what a record adds."""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

from msgspec import UNSET, UnsetType
from msgspec.structs import astuple

from enrichers.detail import ENVELOPE_VERSION, Detail, Extras, Metadata, Source, encode_detail
from models.change import Operation
from models.enrichment import Enrichment
from models.event import Event
from models.raw import RawRecord
from models.routing import id_text
from models.tables import TABLE_CHANGE, TableSpec

_ABSENT: Final = UNSET
_Source: Final = Source
_Metadata: Final = Metadata
_Detail: Final = Detail
_Event: Final = Event
_encode: Final = encode_detail
_GENERATION_DIGITS: Final = 4
_OFFSET_DIGITS: Final = 20
"""With so many the numbers of a raw record sort as texts."""
_ZEROS: Final = tuple("0" * count for count in range(_OFFSET_DIGITS + 1))


class Frame:
    """What the events of one operation of one source table have in common."""

    def __init__(
        self, spec: TableSpec, operation: Operation, adapter: str, schema: str, table: str, *,
        service: str, environment: str, snapshot: bool,
    ) -> None:  # fmt: skip
        """All that an event takes from its table and from the settings."""
        self._event_type = spec.event_type(operation)
        self._entity_type = spec.name
        self._operation = operation.wire
        of_table_change = spec.detail_type_style == "table-change"
        self._detail_type = TABLE_CHANGE if of_table_change else UNSET
        self._table = table if of_table_change else UNSET
        self._place = (adapter, schema, table)
        self._service = service
        self._environment = environment
        self._snapshot = snapshot

    def event(
        self, record: RawRecord, digest: str, committed_ms: int, timestamp: str, keys: dict[str, Any],
        changes: dict[str, Any], redacted: Sequence[str], owner: Enrichment, *, compared: bool, org_id: Any,
        user_id: Any, transaction_id: str | UnsetType, extras: Extras | None = None,
    ) -> Event:  # fmt: skip
        """The event of one record. `keys` and `changes` are in the form in which they travel, the ids of the owner as
        they may be published. Nothing in it depends on the clock or on the run."""
        after = before = previous_keys = aliases = imprecise = truncated = _ABSENT
        if extras is not None:
            after, before, previous_keys, aliases, imprecise, truncated = astuple(extras)
        entity = entity_id(keys)
        event_id = f"evt_{committed_ms}_{digest}"
        origin, operation, owner_source = record.origin, self._operation, owner.source
        generation, offset = str(record.generation), str(record.offset)
        entity_type, event_type = self._entity_type, self._event_type
        adapter, schema, table = self._place
        metadata = _Metadata(
            aliases, record.trace or digest, _ABSENT if compared else "none", _Source(owner_source, owner.stale),
            self._environment, imprecise, processed_at(record, committed_ms), redacted,
            record.replay or _ABSENT,
            f"{_zeros(_GENERATION_DIGITS, generation)}{generation}-{_zeros(_OFFSET_DIGITS, offset)}{offset}",
            origin.sequence, self._service, origin.shard or _ABSENT, self._snapshot, adapter, schema, table,
            transaction_id, truncated, ENVELOPE_VERSION,
        )  # fmt: skip
        detail = _Detail(
            after, before, sorted(changes), changes, self._detail_type, entity, entity_type, event_id,
            event_type, keys, metadata, operation, _ABSENT if org_id is None else org_id, previous_keys,
            self._table, timestamp, _ABSENT if user_id is None else user_id,
        )  # fmt: skip
        return _Event(
            f"{entity_type}:{entity}".encode(), event_id, event_type, entity_type, timestamp, _encode(detail),
            owner_source, redacted,
        )  # fmt: skip


def _zeros(digits: int, number: str) -> str:
    return _ZEROS[max(digits - len(number), 0)]


def entity_id(keys: dict[str, Any]) -> str:
    """Key values joined by `:`, encoded so that no two keys share an id."""
    return ":".join([id_text(value) for value in keys.values()])


def processed_at(record: RawRecord, committed_ms: int) -> str:
    """Kafka timestamp of the raw record; plain files have arrival or commit time."""
    return _moment(record.timestamp_ms or record.origin.arrival_ms or committed_ms)


def _text(stamp: int) -> str:
    return f"{datetime.fromtimestamp(stamp // 1000, UTC).isoformat()[:19]}.{stamp % 1000:03d}Z"


_moment: Final = lru_cache(maxsize=256)(_text)
"""Many records of a batch share it."""
