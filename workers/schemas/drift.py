"""What the enrich stage remembers of the columns of source tables, read from its changelog."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from enrichers.observe import read_history, read_seen
from enrichers.schema_memory import History, Seen, history_key, report, seen_key, together, treatment
from enrichers.state import NewerFormatError, UnreadableEntryError
from models.catalogue import Catalogue
from models.routing import partition_of
from models.tables import TableSpec
from workers.engine.configuration import read_record
from workers.engine.errors import BootRefused
from workers.failures import CommandError, ConfigurationError
from workers.kafka.access import CLIENT, KafkaAccess
from workers.kafka.logs import Tell
from workers.kafka.topics import PINS_TABLE, Topics, describe_topics, group_of
from workers.rebuild.changelogs import read_entries, topic_of
from workers.rebuild.image import TableImage
from workers.settings.worker import Settings

STAGE = "enrich"
NOT_SAID = "no worker has said which tables it runs with"


@dataclass(frozen=True, slots=True)
class TableSchema:
    """One source table."""

    spec: TableSpec
    seen: Seen
    history: History
    """What was reported, and what a worker will report next."""


async def read_schemas(
    settings: Settings, kafka: KafkaAccess, specs: Collection[TableSpec], tell: Tell
) -> list[TableSchema]:
    """Raises ConfigurationError if a later release wrote them, CommandError, KafkaError."""
    group, partitions = group_of(settings, STAGE), settings.partitions
    await kafka.require({topic_of(group, PINS_TABLE): partitions})
    parts = [(PINS_TABLE, index) for index in range(partitions)]
    try:
        image = await read_entries(kafka.connection, group, parts, partitions, tell)
        return [found for spec in specs if (found := _schema(spec, image, partitions)) is not None]
    except NewerFormatError as error:
        raise ConfigurationError(str(error), hint="use the newest release that has run") from None
    except UnreadableEntryError as error:
        raise CommandError(str(error), hint="`cdc table rebuild` restores it") from None


async def judged_elsewhere(settings: Settings, kafka: KafkaAccess, catalogue: Catalogue) -> str | None:
    """Why the workers may treat columns otherwise than these tables say; None: they run with the same ones.

    The last worker of enrich that started has left the fingerprint of its tables in Kafka (docs/decisions/0017).
    Raises ConfigurationError if a later release wrote that, KafkaError."""
    topic = Topics.of(settings).config
    if not (await describe_topics(kafka.admin, [topic]))[topic].partitions:
        return NOT_SAID
    try:
        record = await read_record(kafka.connection.client(CLIENT), topic, group_of(settings, STAGE))
    except BootRefused as error:
        raise ConfigurationError(str(error), hint="use the newest release that has run") from None
    if record is None or not record.fingerprint:
        return NOT_SAID
    if record.fingerprint == catalogue.fingerprint:
        return None
    return f"the workers run with other tables (fingerprint {record.fingerprint}, here {catalogue.fingerprint})"


def _schema(spec: TableSpec, image: TableImage, partitions: int) -> TableSchema | None:
    own, key = seen_key(spec.name), history_key(spec.name)
    raw = [image.parts[PINS_TABLE, index].get(own) for index in range(partitions)]
    seen = together(read_seen(value) for value in raw if value is not None)
    reported = image.parts[PINS_TABLE, partition_of(key, partitions)].get(key)
    history = report(spec, read_history(reported) if reported is not None else None, seen)
    return TableSchema(spec, seen, history) if seen.columns or history.changes else None


def changes_of(schema: TableSchema, *, same_tables: bool = True) -> Iterator[dict[str, Any]]:
    """One plain document per reported change, oldest first; names and types only. `same_tables`: whether the workers
    run with the tables that say how a column is treated."""
    for change in schema.history.changes:
        yield {
            "table": schema.spec.name,
            "column": change.column,
            "change": change.change,
            "was": change.was or None,
            "now": change.now or None,
            "at": moment(change.at_ms),
            "treatment": treatment(schema.spec, change),
            "sameTables": same_tables,
            "version": change.version,
        }


def columns_of(schema: TableSchema, *, same_tables: bool = True) -> Iterator[dict[str, Any]]:
    """The same per column that was ever seen."""
    for name, column in sorted(schema.seen.columns.items()):
        declared = schema.spec.columns.get(name)
        yield {
            "table": schema.spec.name,
            "column": name,
            "configured": declared.value if declared is not None else "any" if name in schema.spec.known else None,
            "sameTables": same_tables,
            "type": column.types[-1][1] if column.types else None,
            "kinds": sorted(column.kinds),
            "refused": sorted(column.refused),
            "present": column.present,
            "firstSeen": moment(column.first_ms),
            "lastSeen": moment(column.last_ms),
            "version": schema.history.version,
        }


def moment(milliseconds: int) -> str:
    """UTC, to the second."""
    return f"{datetime.fromtimestamp(milliseconds / 1000, UTC):%Y-%m-%dT%H:%M:%SZ}"
