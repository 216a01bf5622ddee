"""What a stage has written, as people are shown it: one record of a raw topic, of events, receipts or dead letters."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Any

from models.change import EPOCH


class Writer(StrEnum):
    """Whose record it is."""

    BRIDGE = "bridge"
    """`cdc.raw.<source>`."""
    ENRICH = "enrich"
    """`cdc.events`."""
    PUBLISH = "publish"
    """`cdc.receipts`."""
    DEAD = "dead"
    """`cdc.dead`, whichever stage it was."""


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where a record stands. Written `<topic>/<partition>:<offset>`."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}:{self.offset}"

    @classmethod
    def parse(cls, text: str) -> "Place":
        """Raises ValueError."""
        topic, slash, numbers = text.rpartition("/")
        partition, _, offset = numbers.partition(":")
        if not slash or not all(part.isascii() and part.isdecimal() and len(part) < 20 for part in (partition, offset)):
            raise ValueError("not TOPIC/PARTITION:OFFSET, like cdc.events/3:1841")
        return cls(topic, int(partition), int(offset))


@dataclass(frozen=True, slots=True)
class Written:
    """One record, masked (P6). What nobody can read has empty names, and `broken` says why."""

    writer: Writer
    place: Place
    time_ms: int
    """Kafka timestamp, milliseconds since the epoch."""
    size: int
    """Bytes of the value."""
    table: str = ""
    operation: str = ""
    entity: str = ""
    """`<entityType>:<entityId>` as in the events of the row; `***` where it is not known how to redact it."""
    event_id: str = ""
    said: str = ""
    """The rest in a few words."""
    broken: str = ""
    body: Mapping[str, Any] = field(default_factory=dict)
    """All that may be shown of it: JSON values, under `change`, `event`, `receipt` or `letter`."""

    def document(self) -> dict[str, Any]:
        """For programs and filters."""
        names = {"table": self.table, "operation": self.operation, "entity": self.entity, "eventId": self.event_id}
        return {
            "stage": self.writer.value, "topic": self.place.topic, "partition": self.place.partition,
            "offset": self.place.offset, "time": stamp(self.time_ms), "timeMs": self.time_ms,
            "bytes": self.size, **{name: text or None for name, text in names.items()}, "said": self.said,
            **({"broken": self.broken} if self.broken else {}), **self.body,
        }  # fmt: skip

    def asked(self) -> dict[str, Any]:
        """What filters are asked of: the document, in which the members of an event stand at the top, too."""
        event = self.body.get("event")
        return {**event, **self.document()} if isinstance(event, dict) else self.document()


def stamp(milliseconds: int | None) -> str | None:
    """ISO 8601 in UTC, to the millisecond; None for None, for 0, and for what is no time of this calendar."""
    if not milliseconds:
        return None
    try:
        return (EPOCH + timedelta(milliseconds=milliseconds)).isoformat(timespec="milliseconds")[:23] + "Z"
    except OverflowError:
        return None
