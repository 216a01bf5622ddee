"""Whether tables are whole: their changelogs beside what the stage has written down, and beside what raw says."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from enrichers.state import NewerFormatError
from workers.engine.offsets import log_bounds
from workers.failures import ConfigurationError
from workers.kafka.access import KafkaAccess
from workers.kafka.groups import committed_offsets
from workers.kafka.logs import Tell
from workers.kafka.topics import RECENT_TABLE, Topics, group_of
from workers.rebuild.changelogs import CLIENT, find_damage, look_at_changelogs, topic_of
from workers.rebuild.image import Part
from workers.rebuild.plan import plan_rebuild, tables_of
from workers.rebuild.restore import Mended, Rebuild
from workers.settings.worker import Settings

STAGE = "enrich"


@dataclass(frozen=True, slots=True)
class Finding:
    """One table in one partition that is not as it should be. `differing`: entries that raw makes otherwise."""

    table: str
    partition: int
    why: str
    differing: int = 0

    def document(self) -> dict[str, Any]:
        """For programs."""
        return {"table": self.table, "partition": self.partition, "why": self.why, "differing": self.differing}


@dataclass(frozen=True, slots=True)
class Verification:
    """What was found, and how far it was looked."""

    findings: tuple[Finding, ...]
    parts: int
    """Partitions of tables that were looked at."""
    raw_records: int | None = None
    """How many raw records they were compared with; None: raw was not asked."""
    cut: tuple[int, ...] = ()
    """Partitions of which raw does not reach back to the first record: of older rows it says nothing."""


async def verify_changelogs(
    settings: Settings, kafka: KafkaAccess, tables: Collection[str], tell: Tell
) -> Verification:  # fmt: skip
    """Changelogs that were truncated, made anew, or hold what cannot be read. Workers may run. Raises CommandError,
    KafkaError."""
    group, indexes = group_of(settings, STAGE), range(settings.partitions)
    topics = Topics.of(settings)
    sources = [TopicPartition(t, i) for t in (*topics.raw.values(), topics.redrive[STAGE]) for i in indexes]
    # First what was committed, then the logs: these only grow, so that a commit in between is no loss.
    offsets = await committed_offsets(kafka.connection, group, sources)
    logs = {(table, i): TopicPartition(topic_of(group, table), i) for table in tables for i in indexes}
    consumer = AIOKafkaConsumer(**kafka.connection.client(CLIENT), isolation_level="read_committed")
    await consumer.start()
    try:
        bounds = await log_bounds(consumer, list(logs.values()))
    finally:
        await consumer.stop()
    try:
        looked = await look_at_changelogs(
            kafka.connection, group, {part: bounds[tp] for part, tp in logs.items()}, tell
        )
    except NewerFormatError as error:
        raise ConfigurationError(str(error), hint="verify with the newest release that has run") from None
    damage = find_damage(looked, offsets)
    return Verification(tuple(Finding(*part, why) for part, why in sorted(damage.items())), len(logs))


async def verify_with_raw(
    settings: Settings, kafka: KafkaAccess, tables: Collection[str], tell: Tell
) -> Verification:  # fmt: skip
    """The same, and every entry that raw records make otherwise. No worker of the stage may run: the tables must stand
    still. Raises RefusedError while one does, ConfigurationError, CommandError, KafkaError."""
    # What is in `recent` depends on what came in between: the same changes may be packed into other blocks.
    forced = [name for name in tables_of(settings) if name in tables and name != RECENT_TABLE]
    rebuild = await plan_rebuild(settings, kafka, forced, discard=False, tell=tell)
    damage = find_damage(rebuild.changelogs, rebuild.offsets)
    found = [_judged(part, damage) for part in rebuild.mended]
    return Verification(
        tuple(finding for finding in found if finding is not None and finding.table in tables),
        len(tables) * settings.partitions, rebuild.records, _cut(rebuild),
    )  # fmt: skip


def _judged(part: Mended, damage: dict[Part, str]) -> Finding | None:
    differing = len(part.put) + len(part.removed)
    why = damage.get((part.table, part.partition))
    if why is None and not differing:
        return None
    return Finding(part.table, part.partition, why or "it holds other entries than raw records make", differing)


def _cut(rebuild: Rebuild) -> tuple[int, ...]:
    return tuple(sorted({found.tp.partition for found in rebuild.ranges.values() if not found.whole}))
