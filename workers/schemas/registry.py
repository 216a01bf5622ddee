"""What the EventBridge schema registry takes: the whole event on the bus as JSON Schema draft 4, as input for
`aws schemas create-schema --cli-input-json`."""

import json
from typing import Any

from workers.schemas.columns import Schema
from workers.schemas.events import EventType, event_schema

DRAFT_4 = "http://json-schema.org/draft-04/schema#"


def bus_schema(event: EventType, source: str) -> Schema:
    """The event as a rule or a target sees it; `source`: the setting EVENT_SOURCE."""
    text: Schema = {"type": "string"}
    properties: dict[str, Schema] = {
        "version": text,
        "id": text,
        "detail-type": {"enum": [event.detail_type]},
        "source": {"enum": [f"{source}.{event.spec.name}"]},
        "account": text,
        "time": {"type": "string", "format": "date-time"},
        "region": text,
        "resources": {"type": "array", "items": text},
        "detail": as_draft_4(event_schema(event)),
    }
    return {"type": "object", "title": event.name, "required": sorted(properties), "properties": properties}


def registry_entry(event: EventType, source: str) -> dict[str, str]:
    """Parameters of CreateSchema, and of UpdateSchema without Type; EventBridge names a schema `source@detail-type`."""
    schema = {"$schema": DRAFT_4, **bus_schema(event, source)}
    return {
        "RegistryName": source,
        "SchemaName": f"{source}.{event.spec.name}@{event.name}",
        "Type": "JSONSchemaDraft4",
        "Description": event_schema(event)["description"],
        "Content": json.dumps(schema, sort_keys=True),
    }


def as_draft_4(schema: Any) -> Any:
    """The same constraints in the words of draft 4; annotations it does not know are left out."""
    if isinstance(schema, list):
        return [as_draft_4(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    found: dict[str, Any] = {}
    for name, value in schema.items():
        match name:
            case "$schema" | "$id":
                continue
            case "const":
                found["enum"] = [value]
            case "properties":
                found[name] = {column: as_draft_4(item) for column, item in value.items()}
            case "required":  # draft 4 takes no empty list
                if value:
                    found[name] = value
            case "enum":
                found[name] = value
            case _:
                found[name] = as_draft_4(value)
    return found
