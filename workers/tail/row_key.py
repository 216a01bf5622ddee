"""A row as people name it, and the partition in which everything about it stands."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from enrichers.row_view import RowView
from models.catalogue import Catalogue
from models.routing import entity_key, partition_of
from models.sources.binary import TAG
from models.strict_json import JsonError, decode
from models.tables import TableSpec
from workers.kafka_access import KafkaAccess
from workers.kafka_logs import Tell
from workers.rebuild.changelogs import read_entries, topic_of
from workers.settings import Settings
from workers.topics import PINS_TABLE, describe_topics, group_of

EVENT_ID = re.compile(r"evt_([0-9]{1,15})_([0-9a-f]{20})", re.ASCII)
BYTES = "%b64"


@dataclass(frozen=True, slots=True)
class RowKey:
    """`names`: as the row, or the event, is named in records. `raw`: its key in Kafka, if that is known."""

    names: frozenset[str]
    raw: bytes | None = None
    table: str = ""
    """Unique name of its table, if it is known."""

    def partition(self, partitions: int) -> int | None:
        """The one partition of raw, events, receipts and dead letters where it stands; None: any."""
        return None if self.raw is None else partition_of(self.raw, partitions)


def table_of(catalogue: Catalogue, name: str) -> TableSpec | None:
    """By its unique name, else by the name it has at its source."""
    return catalogue.named(name) or next((spec for spec in catalogue.specs if spec.table == name), None)


def row_key(text: str, catalogue: Catalogue, rows: RowView, pins: Mapping[str, str]) -> RowKey:
    """`users:7` as in events, `["core","users",7]` as in Kafka, or an eventId. What is none of them is looked for as it
    stands. `pins`: schema by table."""
    asked = text.strip()
    if asked.startswith("["):
        return _of_kafka(asked)
    name, colon, ids = asked.partition(":")
    spec = table_of(catalogue, name) if colon else None
    if spec is None:
        return RowKey(frozenset((asked,)))
    named = frozenset((f"{spec.name}:{ids}",))
    schema = spec.schema or pins.get(spec.name)
    values = [_value(part) for part in ids.split(":")]
    if schema is None or len(values) != len(spec.key):
        return RowKey(named, table=spec.name)
    raw = spec.row_key(schema, values)
    if any(column in spec.redact for column in spec.key):
        # It may be the value itself, or what redaction made of it: then the key in Kafka is another one.
        return RowKey(named | {rows.row_key(raw, spec.name)}, table=spec.name)
    return RowKey(named | {raw.decode()}, raw, spec.name)


def _of_kafka(text: str) -> RowKey:
    try:
        parts = decode(text.encode())
    except JsonError:
        return RowKey(frozenset((text,)))
    if not isinstance(parts, list) or len(parts) < 3 or not all(isinstance(part, str) for part in parts[:2]):
        return RowKey(frozenset((text,)))
    raw = entity_key(parts[0], parts[1], parts[2:])
    return RowKey(frozenset((raw.decode(),)), raw)


def _value(part: str) -> object:
    """What `models.routing.id_text` made a part of an id of."""
    if part.startswith(BYTES):
        return {TAG: _plain(part.removeprefix(BYTES))}
    return _plain(part)


def _plain(part: str) -> str:
    return part.replace("%3A", ":").replace("%3a", ":").replace("%25", "%")


def needs_pin(text: str, catalogue: Catalogue) -> bool:
    """Whether the schema that a worker has pinned has to be known to find the partition of this row."""
    spec = table_of(catalogue, text.strip().partition(":")[0]) if ":" in text else None
    return spec is not None and spec.schema is None


async def read_pins(settings: Settings, kafka: KafkaAccess, catalogue: Catalogue, tell: Tell) -> dict[str, str]:
    """Schema by table, as workers have pinned them; none before the first worker. Raises KafkaError, CommandError."""
    group, partitions = group_of(settings, "enrich"), settings.partitions
    topic = topic_of(group, PINS_TABLE)
    if (await describe_topics(kafka.admin, [topic]))[topic].partitions != partitions:
        return {}
    parts = [(PINS_TABLE, index) for index in range(partitions)]
    image = await read_entries(kafka.connection, group, parts, partitions, tell)
    found = {spec.name: image.pinned_schema(spec.name) for spec in catalogue.specs}
    return {name: schema for name, schema in found.items() if schema is not None}
