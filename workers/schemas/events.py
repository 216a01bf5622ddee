"""JSON Schema (2020-12) of every event type, made from the specs that make the events."""

from collections.abc import Iterable
from dataclasses import dataclass

from enrichers.detail import ENVELOPE_VERSION
from models.change import Operation
from models.tables import TABLE_CHANGE, TableSpec
from workers.schemas.columns import ISO_TIME, Schema, column_schema, published_columns, unknown_schema

DIALECT = "https://json-schema.org/draft/2020-12/schema"
VERBS = {
    Operation.CREATE: "was added", Operation.UPDATE: "was changed", Operation.DELETE: "was removed",
}  # fmt: skip
_TEXT: Schema = {"type": "string"}
_NAMES: Schema = {"type": "array", "items": {"type": "string"}, "uniqueItems": True}


@dataclass(frozen=True, slots=True)
class EventType:
    """One event type of one table."""

    id: str
    """The type, or `<table>-<type>` if several tables have an event type of that name."""
    name: str
    spec: TableSpec
    operations: tuple[Operation, ...]
    """More than one if the spec gives several operations one type."""

    @property
    def detail_type(self) -> str:
        """Of its entries on the bus."""
        return TABLE_CHANGE if self.spec.detail_type_style == "table-change" else self.name


def event_types(specs: Iterable[TableSpec]) -> list[EventType]:
    """All event types, in the order of the tables."""
    found: list[tuple[str, TableSpec, list[Operation]]] = []
    for spec in specs:
        types: dict[str, list[Operation]] = {}
        for operation in VERBS:
            if operation in spec.operations:
                types.setdefault(spec.event_type(operation), []).append(operation)
        found += [(name, spec, operations) for name, operations in types.items()]
    names = [name for name, _, _ in found]
    return [
        EventType(name if names.count(name) == 1 else f"{spec.name}-{name}", name, spec, tuple(operations))
        for name, spec, operations in found
    ]


def event_schema(event: EventType) -> Schema:
    """The `detail` of one event type. Fields that are not named here may be added; none of these goes away."""
    spec = event.spec
    properties: dict[str, Schema] = {
        "eventId": {"type": "string", "pattern": "^evt_[0-9]+_[0-9a-f]{20}$"},
        "eventType": {"const": event.name},
        "entityType": {"const": spec.name},
        "entityId": _TEXT | {"description": "Key values, joined by `:`."},
        "operation": _one_of([operation.wire for operation in event.operations]),
        "timestamp": {"type": "string", "pattern": ISO_TIME, "description": "Commit time."},
        "keys": _keys(spec),
        "changes": _changes(event),
        "changedFields": _NAMES,
        "metadata": _metadata(),
    }
    if spec.detail_type_style == "table-change":
        properties |= {"detailType": {"const": TABLE_CHANGE}, "table": _TEXT}
    required = sorted(properties)
    if spec.owner is not None:
        properties |= {"orgId": _TEXT} if spec.owner.org else {}
        properties |= {"userId": _TEXT} if spec.owner.user else {}
    if Operation.UPDATE in event.operations:
        properties["previousKeys"] = _keys(spec) | {"description": "Only if the key has changed."}
    for name in sorted(spec.published_images):
        properties[name] = _image(spec)
    properties["payloadRef"] = {
        "type": "string",
        "pattern": "^s3://[^/]+/.+$",
        "description": "The whole event, if it was too large; `changes` is empty then.",
    }
    return {
        "$schema": DIALECT,
        "$id": f"urn:cdc-event:{event.id}",
        "title": event.name,
        "description": f"A row of {spec.name} " + " or ".join(VERBS[operation] for operation in event.operations) + ".",
        "type": "object",
        "required": required,
        "properties": dict(sorted(properties.items())),
    }


def event_schemas(specs: Iterable[TableSpec]) -> dict[str, Schema]:
    """Id of the event type -> its schema."""
    return {event.id: event_schema(event) for event in event_types(specs)}


def _one_of(words: list[str]) -> Schema:
    return {"const": words[0]} if len(words) == 1 else {"enum": words}


def _keys(spec: TableSpec) -> Schema:
    columns = {name: column_schema(spec, name, nullable=False) for name in spec.key}
    known: dict[str, Schema] = {name: schema for name, schema in columns.items() if schema is not None}
    return {"type": "object", "required": sorted(known), "properties": known, "additionalProperties": False}


def _changes(event: EventType) -> Schema:
    """Column -> its sides: `new` of a new row, `old` of a deleted one, both of an update with a before image."""
    spec, sides = event.spec, _sides(event)
    columns = {name: _change(column_schema(spec, name) or {}, sides) for name in published_columns(spec)}
    unknown = unknown_schema(spec)
    return {
        "type": "object",
        "properties": columns,
        "additionalProperties": unknown if unknown is False else _change({} if unknown is True else unknown, sides),
    }


def _sides(event: EventType) -> dict[str, bool]:
    """Side -> whether it is always there."""
    always = {Operation.CREATE: {"new"}, Operation.UPDATE: {"new"}, Operation.DELETE: {"old"}}
    possible = {Operation.CREATE: {"new"}, Operation.UPDATE: {"new", "old"}, Operation.DELETE: {"old"}}
    every = set.intersection(*(always[operation] for operation in event.operations))
    some = set.union(*(possible[operation] for operation in event.operations))
    return {side: side in every for side in sorted(some)}


def _change(column: Schema, sides: dict[str, bool]) -> Schema:
    return {
        "type": "object",
        "required": [side for side, always in sides.items() if always],
        "properties": dict.fromkeys(sides, column),
        "additionalProperties": False,
    }


def _image(spec: TableSpec) -> Schema:
    columns = {name: column_schema(spec, name) or {} for name in published_columns(spec)}
    return {"type": "object", "properties": columns, "additionalProperties": unknown_schema(spec)}


def _metadata() -> Schema:
    properties: dict[str, Schema] = {
        "service": _TEXT,
        "environment": _TEXT,
        "version": {"const": ENVELOPE_VERSION},
        "source": _TEXT | {"description": "Adapter: dms, dynamodb, debezium, debezium-flat or dsql."},
        "sourceSchema": _TEXT,
        "sourceTable": _TEXT,
        "sequenceNumber": _TEXT,
        "sequence": {"type": "string", "pattern": "^[0-9]{4,}-[0-9]{20,}$",
                     "description": "Comparable as text, per entity: consumers drop what is older."},
        "correlationId": _TEXT,
        "processedAt": {"type": "string", "pattern": ISO_TIME},
        "snapshot": {"type": "boolean"},
        "redactedFields": _NAMES,
        "enrichment": {
            "type": "object",
            "required": ["source", "stale"],
            "properties": {
                "source": {"enum": ["record", "before", "memory", "table", "database", "missing"]},
                "stale": {"type": "boolean"},
            },
        },
    }  # fmt: skip
    required = sorted(properties)
    properties |= {
        "shardId": _TEXT,
        "transactionId": _TEXT,
        "diff": {"const": "none", "description": "There was no before image: every column is listed."},
        "aliases": {"type": "object", "additionalProperties": _TEXT,
                    "description": "Hash or token -> the same value's under the other key, while there are two."},
        "replay": {"type": "integer", "minimum": 1},
        "precisionLoss": _NAMES,
        "truncatedFields": _NAMES | {"description": "Columns whose texts are cut."},
        "omittedFields": _NAMES | {"description": "Members left out, because the event was too large."},
    }  # fmt: skip
    return {"type": "object", "required": required, "properties": dict(sorted(properties.items()))}
