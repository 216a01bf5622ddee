"""What these settings are beside what running workers agreed on: the configuration record of each stage."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from workers.app import FACTORIES, stages_of
from workers.engine.configuration import StageConfig, conflicts, read_config, stage_config, topics_differ
from workers.kafka.access import KafkaAccess
from workers.kafka.topics import Topics, describe_topics, group_of
from workers.settings.worker import Settings


@dataclass(frozen=True, slots=True)
class RecordDifference:
    """One way in which a stage of the workers was set up differently."""

    stage: str
    """Empty: not of one stage."""
    what: str
    refused: bool
    """Whether a worker with these settings would be refused; else it would only be told."""
    worker: str = ""
    """Which one differs; empty: what the workers agreed on last."""

    def document(self) -> dict[str, Any]:
        """The difference as JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class RecordComparison:
    """Stages whose record was found, those that never ran, and what differs."""

    compared: tuple[str, ...]
    without_record: tuple[str, ...]
    differences: tuple[RecordDifference, ...]


async def compare_records(settings: Settings, kafka: KafkaAccess) -> RecordComparison:
    """Read the records and compare. Writes nothing; workers may run.

    Raises KafkaError, BootRefused for a record that cannot be read, ConfigurationError."""
    stages = stages_of(settings)
    topic = Topics.of(settings).config
    if not (await describe_topics(kafka.admin, [topic]))[topic].partitions:
        return RecordComparison((), stages, ())
    compared: list[str] = []
    found: list[RecordDifference] = []
    for stage in stages:
        app = FACTORIES[stage](settings)
        record = await read_config(app)
        if record is None:
            continue
        compared.append(stage)
        wanted = {*app.source_topics, *(table.changelog_topic_name for table in app.tables.values())}
        ours = stage_config(app, _planned(settings, wanted))
        found += differences(stage, record, ours, group_of(settings, stage))
    without = tuple(stage for stage in stages if stage not in compared)
    return RecordComparison(tuple(compared), without, tuple(found))


def differences(stage: str, record: StageConfig, ours: StageConfig, group: str) -> Iterator[RecordDifference]:
    """What differs between the record of a stage and the same made of other settings."""
    for text in conflicts(record, ours):
        yield RecordDifference(stage, text, refused=True)
    read = [text for text in topics_differ(record, ours) if text in ours.sources.keys() | ours.changelogs.keys()]
    if read:
        yield RecordDifference(stage, f"group {group} does not use {', '.join(read)} yet", refused=False)
    if record.fingerprint != ours.fingerprint:
        text = f"its tables are others: fingerprint {record.fingerprint}, here {ours.fingerprint}"
        yield RecordDifference(stage, text, refused=False)


def _planned(settings: Settings, topics: Sequence[str] | set[str]) -> dict[str, int]:
    slots = {Topics.of(settings).slots, Topics.of(settings).checkpoints}
    return {topic: settings.source_slots if topic in slots else settings.partitions for topic in topics}
