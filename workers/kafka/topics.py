"""Every topic of the product: name, partitions, retention. The one place that creates them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code
from aiokafka.protocol.metadata import MetadataRequest

from models.redrive import STAGES
from workers.failures import ConfigurationError
from workers.settings.worker import MEBIBYTE, Settings

DAY_MS = 86_400_000
RAW_MAX_BYTES = 12 * MEBIBYTE
DEAD_MAX_BYTES = 13 * MEBIBYTE
COMPACT_SEGMENT_BYTES = 50 * MEBIBYTE
"""Kafka compacts closed segments only, and with its default they close at 1 GiB: every take-over of a source slot and
every recovery would read that much. Kafka Streams sets 50 MiB, too."""

PINS_TABLE = "schemas"
MEMORY_TABLE = "owners"
RECENT_TABLE = "recent"
OWN_TABLES = (PINS_TABLE, MEMORY_TABLE, RECENT_TABLE)
"""Those of the enrich stage beside its lookups."""


@dataclass(frozen=True, slots=True)
class TopicPlan:
    """One topic as it has to be."""

    name: str
    partitions: int
    config: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TopicState:
    """One topic as it is. Of replicas and those in sync the fewest of any partition count."""

    error_code: int
    """Of Kafka's protocol: 3 = it does not exist, 29 = we may not see it."""
    partitions: int
    replicas: int
    in_sync: int
    leaderless: int
    """Partitions without a leader."""


@dataclass(frozen=True, slots=True)
class Topics:
    """Names of all topics under one prefix."""

    config: str
    slots: str
    checkpoints: str
    raw: Mapping[str, str]
    """By source."""
    events: str
    dead: str
    receipts: str
    redrive: Mapping[str, str] = field(default_factory=dict)
    """By stage: what it reads beside its first source. A stage without one redrives nothing."""
    pauses: str = "cdc.pauses"

    @property
    def handled(self) -> str:
        """What was done with the dead letters, by their ids."""
        return f"{self.dead}-handled"

    @classmethod
    def of(cls, settings: Settings) -> "Topics":
        """Names for these settings."""
        return cls(
            config=settings.topic("config"),
            slots=settings.topic("slots"),
            checkpoints=settings.topic("checkpoints"),
            raw={source.name: settings.topic(f"raw.{source.name}") for source in settings.sources},
            events=settings.topic("events"),
            dead=settings.topic("dead"),
            receipts=settings.topic("receipts"),
            redrive={stage: settings.topic(f"redrive.{stage}") for stage in STAGES},
            pauses=settings.topic("pauses"),
        )


def group_of(settings: Settings, stage: str) -> str:
    """Consumer group, Faust app id and prefix of the transactional ids of a stage."""
    return f"{settings.app}-{stage}"


def tables_of(lookups: Iterable[str]) -> tuple[str, ...]:
    """All tables of the enrich stage."""
    return (*lookups, *OWN_TABLES)


def plan(settings: Settings, lookups: Iterable[str]) -> list[TopicPlan]:
    """All topics; `lookups` are the catalogue's.

    Retention is by time, never by size: a size limit deletes what nobody has read."""
    topics = Topics.of(settings)
    wide, slots = settings.partitions, settings.source_slots

    def keep(days: int, max_bytes: int = RAW_MAX_BYTES) -> dict[str, str]:
        return {
            "cleanup.policy": "delete",
            "retention.ms": str(days * DAY_MS),
            "retention.bytes": "-1",
            "max.message.bytes": str(max_bytes),
        }

    compact = {
        "cleanup.policy": "compact", "max.message.bytes": str(RAW_MAX_BYTES),
        "segment.bytes": str(COMPACT_SEGMENT_BYTES),
    }  # fmt: skip
    changelogs = [f"{group_of(settings, 'enrich')}-{name}-changelog" for name in tables_of(lookups)]
    return [
        TopicPlan(topics.config, 1, compact),
        TopicPlan(topics.pauses, 1, compact),
        TopicPlan(topics.slots, slots, keep(1)),
        TopicPlan(topics.checkpoints, slots, compact),
        *(TopicPlan(name, wide, keep(7)) for name in topics.raw.values()),
        TopicPlan(topics.events, wide, keep(7)),
        TopicPlan(topics.dead, wide, keep(30, DEAD_MAX_BYTES)),
        *(TopicPlan(name, wide, keep(30, DEAD_MAX_BYTES)) for name in topics.redrive.values()),
        TopicPlan(topics.handled, wide, compact),
        TopicPlan(topics.receipts, wide, keep(3)),
        *(TopicPlan(name, wide, compact) for name in changelogs),
    ]


async def describe_topics(admin: AIOKafkaAdminClient, names: Iterable[str]) -> dict[str, TopicState]:
    """Every name with what is there. Raises KafkaError.

    aiokafka's own `describe_topics` asks in a way that makes brokers with auto.create.topics.enable create what is
    missing, with one partition."""
    response = await admin._send_request(MetadataRequest(list(names), allow_auto_topic_creation=False))
    states = {}
    for topic in response.to_object()["topics"]:
        partitions = topic["partitions"] if topic["error_code"] == 0 else []
        states[topic["topic"]] = TopicState(
            error_code=topic["error_code"],
            partitions=len(partitions),
            replicas=min((len(partition["replicas"]) for partition in partitions), default=0),
            in_sync=min((len(partition["isr"]) for partition in partitions), default=0),
            leaderless=sum(partition["leader"] < 0 for partition in partitions),
        )
    return states


async def ensure_topics(settings: Settings, lookups: Iterable[str], client: dict[str, Any]) -> None:
    """Check partition counts; with ENVIRONMENT=LOCAL create what is missing.

    Raises ConfigurationError for a missing topic elsewhere or a partition count that differs (P is fixed for the life
    of a prefix: keys would move), KafkaError while the broker is away."""
    admin = AIOKafkaAdminClient(**client)
    await admin.start()
    try:
        wanted = plan(settings, lookups)
        states = await describe_topics(admin, [topic.name for topic in wanted])
        counts = {name: state.partitions for name, state in states.items() if state.partitions}
        missing = [topic for topic in wanted if topic.name not in counts]
        if missing and settings.environment != "LOCAL":
            raise ConfigurationError(
                f"topics do not exist: {', '.join(topic.name for topic in missing)}",
                hint="create them first; only ENVIRONMENT=LOCAL creates topics by itself",
            )
        await _create(admin, missing, settings)
        wrong = [t for t in wanted if counts.get(t.name, t.partitions) != t.partitions]
        if wrong:
            raise ConfigurationError(
                f"partition counts differ: {counts_told((t.name, counts[t.name], t.partitions) for t in wrong)}",
                hint="CDC_PARTITIONS and CDC_SOURCE_SLOTS are fixed for the life of a CDC_TOPIC_PREFIX",
            )
    finally:
        await admin.close()


def counts_told(wrong: Iterable[tuple[str, int, int]]) -> str:
    """Of topics (name, partitions, those of the settings): what is said once is not said of each."""
    names: dict[tuple[int, int], list[str]] = {}
    for name, there, wanted in wrong:
        names.setdefault((there, wanted), []).append(name)
    return "; ".join(
        f"settings say {wanted}, and there are {there} in {', '.join(of)}" for (there, wanted), of in names.items()
    )


async def _create(admin: AIOKafkaAdminClient, missing: list[TopicPlan], settings: Settings) -> None:
    if not missing:
        return
    response = await admin.create_topics(
        [
            NewTopic(
                name=topic.name,
                num_partitions=topic.partitions,
                replication_factor=settings.replication_factor,
                topic_configs=topic.config,
            )
            for topic in missing
        ]
    )
    for name, code, *_ in response.topic_errors:
        error = for_code(code)
        if code and error is not TopicAlreadyExistsError:
            raise KafkaError(f"could not create {name}: {error.__name__}")
