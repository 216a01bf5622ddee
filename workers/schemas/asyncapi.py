"""An AsyncAPI 3.0 document of what the worker sends: the topic of events, and the bus."""

from collections.abc import Sequence
from typing import Any

from models.strict_json import wire
from workers.kafka.topics import Topics
from workers.schemas.columns import Schema
from workers.schemas.events import EventType, event_schema
from workers.schemas.registry import bus_schema
from workers.settings.worker import Settings

VERSION = "3.0.0"
ON_BUS = "-on-bus"


def asyncapi(events: Sequence[EventType], settings: Settings, version: str) -> dict[str, Any]:
    """`version`: of the worker; the document changes with the tables, not with the machine."""
    topic = Topics.of(settings).events
    return {
        "asyncapi": VERSION,
        "info": {
            "title": "Change events",
            "version": version,
            "description": "Business events made from the change stream of the source tables. Delivered at least once; "
            "the eventId of a repeat is the same, and metadata.sequence orders the events of an entity.",
        },
        "defaultContentType": "application/json",
        "channels": {
            "events": {
                "address": topic,
                "description": "Kafka topic. Key: `<entityType>:<entityId>`.",
                "messages": {event.id: _ref(f"components/messages/{event.id}") for event in events},
                "bindings": {"kafka": {"topic": topic, "partitions": settings.partitions}},
            },
            "bus": {
                "address": settings.event_bus_name,
                "description": "EventBridge bus. Source: "
                f"`{settings.event_source}.<entityType>`, detail type: the event type.",
                "messages": {event.id: _ref(f"components/messages/{event.id}{ON_BUS}") for event in events},
            },
        },
        "operations": {
            f"send-{channel}": {
                "action": "send",
                "channel": _ref(f"channels/{channel}"),
                "messages": [_ref(f"channels/{channel}/messages/{event.id}") for event in events],
            }
            for channel in ("events", "bus")
        },
        "components": {
            "messages": {name: message for event in events for name, message in _messages(event, settings)},
            "schemas": {event.id: _embedded(event_schema(event)) for event in events},
        },
    }


def _messages(event: EventType, settings: Settings) -> list[tuple[str, dict[str, Any]]]:
    told = {"name": event.name, "title": event.name, "summary": event_schema(event)["description"]}
    on_bus = bus_schema(event, settings.event_source)
    on_bus["properties"]["detail"] = _ref(f"components/schemas/{event.id}")
    return [
        (event.id, told | {"payload": _ref(f"components/schemas/{event.id}")}),
        (f"{event.id}{ON_BUS}", told | {"payload": on_bus}),
    ]


def _embedded(schema: Schema) -> dict[str, Any]:
    """Without a dialect and a base of its own: references would no longer find the document."""
    found: dict[str, Any] = wire({name: value for name, value in schema.items() if name not in ("$schema", "$id")})
    return found


def _ref(path: str) -> dict[str, str]:
    return {"$ref": f"#/{path}"}
