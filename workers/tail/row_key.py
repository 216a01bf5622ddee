"""A row as people name it, and the partition in which everything about it stands."""

from collections.abc import Mapping
from dataclasses import dataclass

from enrichers.row_view import MASK, RowView
from models.catalogue import Catalogue
from models.routing import partition_of
from models.tables import TableSpec
from workers.kafka.access import KafkaAccess
from workers.kafka.logs import Tell
from workers.kafka.topics import PINS_TABLE, describe_topics, group_of
from workers.lookup_tables.row_names import InvalidRow, row_name
from workers.rebuild.changelogs import read_entries, topic_of
from workers.settings.worker import Settings


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
    name, colon, ids = asked.partition(":")
    spec = table_of(catalogue, name) if colon and not asked.startswith("[") else None
    try:
        row = row_name(asked, catalogue, spec) if spec is None else row_name(f"{spec.name}:{ids}", catalogue)
    except InvalidRow:
        return RowKey(frozenset((asked,)), table=spec.name if spec is not None else "")
    named = frozenset((f"{row.spec.name}:{ids}",)) if spec is not None else frozenset[str]()
    schema = row.schema or row.spec.schema or pins.get(row.spec.name)
    if schema is None:
        return RowKey(named, table=row.spec.name)
    raw = row.key(schema)
    if row.schema is None and any(column in row.spec.redact for column in row.spec.key):
        # It may be the value itself, or what redaction made of it: then the key in Kafka is another one.
        return RowKey(named | {rows.row_key(raw, row.spec.name)}, table=row.spec.name)
    return RowKey(named | {raw.decode(), rows.row_key(raw, row.spec.name)} - {MASK}, raw, row.spec.name)


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
