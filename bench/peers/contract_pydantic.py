"""Peer: json and pydantic for each record, as one writes it by hand. The bench sees that its events are ours.

It decodes with `json`, validates document, rows, event and what it remembers with pydantic models, and does by hand
what stands between: owner, diff, redaction, columns that are new, names. The tables, their rules and their row models
are the product's; code is not. It is spared a few things: rows in other spellings, other adapters, keys that change,
values that have to be put right, actions of redaction that the four tables do not use.
"""

import hashlib
import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from models.catalogue import Catalogue
from models.raw import RawRecord
from models.records.call_center import CallStatusRecord
from models.records.identity import UsersRecord
from models.records.row import Row
from models.records.telephony import ChannelsRecord, PoolRecord
from models.tables import Redaction, RedactionAction

ROWS: dict[str, type[Row]] = {
    "users": UsersRecord, "channels": ChannelsRecord, "pool": PoolRecord, "call_status": CallStatusRecord,
}  # fmt: skip
OPERATIONS = {"load": "INSERT", "insert": "INSERT", "update": "UPDATE", "delete": "DELETE"}
VERBS = {"INSERT": "created", "UPDATE": "updated", "DELETE": "deleted"}
REMEMBERED = 16
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
REMOVED = object()


def _kebab(name: str) -> str:
    return name.replace("_", "-")


class Metadata(BaseModel):
    """Of a DMS record."""

    model_config = ConfigDict(alias_generator=_kebab)

    operation: str
    schema_name: str
    table_name: str
    record_type: str
    timestamp: str
    commit_timestamp: str | None = None
    transaction_id: int | None = None
    transaction_record_id: int | None = None
    stream_position: str | None = None


class DmsRecord(BaseModel):
    """A data record."""

    data: dict[str, Any]
    before: dict[str, Any] | None = Field(None, alias="before-image")
    metadata: Metadata


class _Camel(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)


class EventEnrichment(_Camel):
    """`metadata.enrichment`."""

    source: str
    stale: bool


class EventMetadata(_Camel):
    """`metadata`."""

    service: str
    environment: str
    version: str
    source: str
    source_schema: str
    source_table: str
    sequence_number: str
    shard_id: str
    sequence: str
    transaction_id: str | None
    correlation_id: str
    processed_at: str
    snapshot: bool
    redacted_fields: list[str]
    enrichment: EventEnrichment


class PydanticEvent(_Camel):
    """`detail`."""

    event_id: str
    event_type: str
    entity_type: str
    entity_id: str
    operation: str
    timestamp: str
    org_id: str | None
    user_id: str | None
    keys: dict[str, Any]
    changes: dict[str, dict[str, Any]]
    changed_fields: list[str]
    metadata: EventMetadata


class Remembered(BaseModel):
    """What is known of a row."""

    org_id: str | None
    user_id: str | None
    changes: list[str]
    updated_ms: int


class PydanticPipeline:
    """Raw record -> bytes of its event; None for a full load."""

    def __init__(self, catalogue: Catalogue, service: str, environment: str) -> None:
        self._specs = {spec.table: spec for spec in catalogue.specs}
        self._service = service
        self._environment = environment
        self._users: dict[str, tuple[str, str, datetime]] = {}
        """User -> organisation, user, since."""
        self._rows: dict[bytes | None, Remembered] = {}
        self._recent: set[str] = set()
        """The last changes of all rows."""
        self._columns: dict[str, dict[str, set[type]]] = {}
        """Table -> column -> types of the values it was seen with."""

    def run(self, record: RawRecord) -> bytes | None:
        """One record."""
        document = json.loads(record.value or b"", parse_float=Decimal, object_pairs_hook=_unique)
        change = DmsRecord.model_validate(document)
        about = change.metadata
        table = about.table_name
        spec, model = self._specs[table], ROWS[table]
        model.model_validate(change.data)
        if change.before is not None:
            model.model_validate(change.before)
        keys = {name: change.data[name] for name in spec.key}
        moment = datetime.fromisoformat(about.commit_timestamp or about.timestamp)
        operation = OPERATIONS[about.operation]
        digest = self._digest(record, about, keys, operation)
        known = self._rows.get(record.key)
        if digest in self._recent or (known is not None and digest in known.changes):
            return None
        self._recent.add(digest)
        self._observe(table, change.data)
        if table == "users":
            self._learn(change.data, moment)
        org, user, source, stale = self._owner(table, change.data, moment)
        committed_ms = int((moment - EPOCH).total_seconds() * 1_000)
        self._rows[record.key] = Remembered(
            org_id=org, user_id=user, changes=[*(known.changes if known is not None else ()), digest][-REMEMBERED:],
            updated_ms=committed_ms if known is None else max(committed_ms, known.updated_ms),
        )  # fmt: skip
        if about.operation == "load":
            return None
        changes, redacted = self._changes(table, change)
        entity_id = ":".join(str(value).replace("%", "%25").replace(":", "%3A") for value in keys.values())
        event = PydanticEvent(
            event_id=f"evt_{committed_ms}_{digest}",
            event_type=f"{spec.entity}.{VERBS[operation]}", entity_type=spec.name, entity_id=entity_id,
            operation=operation, timestamp=moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ"), org_id=org, user_id=user,
            keys=keys, changes=changes, changed_fields=sorted(changes),
            metadata=EventMetadata(
                service=self._service, environment=self._environment, version="1.0", source="dms",
                source_schema=about.schema_name, source_table=table, sequence_number=record.origin.sequence,
                shard_id=record.origin.shard, sequence=f"{record.generation:04d}-{record.offset:020d}",
                transaction_id=str(about.transaction_id), correlation_id=digest,
                processed_at=datetime.fromtimestamp(record.timestamp_ms / 1_000, UTC).isoformat(
                    timespec="milliseconds"
                ).replace("+00:00", "Z"),
                snapshot=False, redacted_fields=sorted(redacted),
                enrichment=EventEnrichment(source=source, stale=stale),
            ),
        )  # fmt: skip
        whole = event.model_dump(by_alias=True, exclude_none=True, exclude={"changes"})
        whole["changes"] = event.changes
        return json.dumps(whole, ensure_ascii=False, separators=(",", ":"), sort_keys=True, default=str).encode()

    def _digest(self, record: RawRecord, about: Metadata, keys: dict[str, Any], operation: str) -> str:
        name = {"INSERT": "CREATE"}.get(operation, operation)
        identity: list[Any]
        if about.stream_position and about.transaction_id is not None and about.transaction_record_id is not None:
            identity = ["change", about.stream_position, str(about.transaction_id), str(about.transaction_record_id)]
        else:
            origin = record.origin
            identity = ["position", origin.stream, origin.shard, origin.sequence, origin.sub_sequence]
        named = [record.source, about.table_name, name, about.schema_name, [str(value) for value in keys.values()]]
        text = json.dumps([*named, identity], ensure_ascii=False, separators=(",", ":"))
        return hashlib.blake2b(text.encode(), digest_size=10).hexdigest()

    def _observe(self, table: str, row: dict[str, Any]) -> None:
        columns = self._columns.setdefault(table, {})
        for name, value in row.items():
            types = columns.setdefault(name, set())
            if value is not None and type(value) not in types:
                types.add(type(value))

    def _learn(self, row: dict[str, Any], moment: datetime) -> None:
        user, org = str(row["ID"]), str(row["HomeOrgID"])
        known = self._users.get(user)
        if known is None or known[0] != org:
            self._users[user] = (org, user, moment)

    def _owner(self, table: str, row: dict[str, Any], moment: datetime) -> tuple[str | None, str | None, str, bool]:
        if table == "channels" and row["OwnerType"] == "User":
            org, user, since = self._users[str(row["OwnerID"])]
            return org, user, "table", since > moment
        org_column, user_column = ("HomeOrgID", "ID") if table == "users" else ("OrgID", "UserID")
        return str(row[org_column]), str(row[user_column]), "record", False

    def _changes(self, table: str, change: DmsRecord) -> tuple[dict[str, dict[str, Any]], list[str]]:
        changes: dict[str, dict[str, Any]] = {}
        redacted = []
        before = change.before or {}
        rules = self._specs[table].redact
        for name, new in change.data.items():
            old = before.get(name)
            if old == new:
                continue
            sides = {"old": old, "new": new}
            rule = rules.get(name)
            if rule is not None:
                redacted.append(name)
                sides = {side: _redacted(value, rule) for side, value in sides.items()}
            if REMOVED not in sides.values():
                changes[name] = sides
        return changes, redacted


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("duplicate key")
    return found


def _redacted(value: Any, rule: Redaction) -> Any:
    if rule.action is RedactionAction.REMOVE:
        return REMOVED
    if rule.action is not RedactionAction.PARTIAL_MASK:
        raise ValueError(rule.action)
    if value is None:
        return None
    text = str(value)
    if rule.style == "email":
        local, _, domain = text.partition("@")
        return f"{local[:1]}**@{domain}"
    if rule.style == "phone":
        digits = "".join(character for character in text if character.isdigit())
        return "+" * text.startswith("+") + "*" * min(len(digits) - 3, 10) + digits[-3:]
    return text[:3] + "*" * min(len(text) - 3, 10)
