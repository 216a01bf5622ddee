"""The configuration record of a stage: what all its workers must agree on, written at its first boot.

It lies in a compacted topic under the name of the group. A worker with another idea of keys, partitions or topics would
read and write other places than its neighbours, so it is refused instead (BootRefused, exit code 3).
"""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from aiokafka.errors import KafkaError
from faust.types import TP

from workers.engine.catch_up import read_to_end
from workers.engine.errors import BootRefused

RECORD_FORMAT = 1


class StageConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Sources and changelogs with their partition counts, and what the stage's owner adds."""

    sources: dict[str, int]
    changelogs: dict[str, int]
    contract: dict[str, str] = {}
    """Names and values that may never differ while both know the name, e.g. the key columns of a table."""
    values: int = 1
    """Format version of the table values this release writes."""
    fingerprint: str = ""
    """Of the rest of the configuration: a difference is told, not refused."""
    v: int = RECORD_FORMAT

    def encode(self) -> bytes:
        """Compact JSON, keys sorted, so that equal records are equal bytes."""
        return msgspec.json.encode(self, order="deterministic")

    @staticmethod
    def decode(raw: bytes) -> "StageConfig":
        """Raises BootRefused if the bytes are no record that this release can read."""
        try:
            found = msgspec.json.decode(raw, type=StageConfig)
        except msgspec.MsgspecError:
            raise BootRefused("the configuration record cannot be read: another product uses this topic") from None
        if found.v > RECORD_FORMAT:
            raise BootRefused(f"the configuration record has format {found.v}; this release knows {RECORD_FORMAT}")
        return found


def conflicts(record: StageConfig, ours: StageConfig) -> list[str]:
    """Differences that nothing but another configuration of this worker resolves."""
    found = [
        f"{topic} has {_count(ours_of, topic)} partitions, the record says {n}"
        for recorded, ours_of in ((record.sources, ours.sources), (record.changelogs, ours.changelogs))
        for topic, n in recorded.items()
        if topic in ours_of and ours_of[topic] != n
    ]
    found += [f"the stage reads {topic}, this worker does not" for topic in record.sources if topic not in ours.sources]
    found += [
        f"{name} is {ours.contract[name]!r} here and {value!r} in the record"
        for name, value in record.contract.items()
        if ours.contract.get(name, value) != value
    ]
    if record.values > ours.values:
        found.append(f"a newer release wrote table values of format {record.values}, this one knows {ours.values}")
    return found


def topics_differ(record: StageConfig, ours: StageConfig) -> list[str]:
    """Differences in topics that are fine as long as no worker with the other idea runs."""
    pairs = ((record.sources, ours.sources), (record.changelogs, ours.changelogs))
    return sorted({topic for one, other in pairs for topic in one.keys() ^ other.keys()})


def merged(record: StageConfig | None, ours: StageConfig) -> StageConfig:
    """The record to write: names that only the older one knows stay in the contract."""
    if record is None:
        return ours
    return msgspec.structs.replace(ours, contract=record.contract | ours.contract)


async def read_config(app: Any) -> StageConfig | None:
    """The record of the app's group; None if there is none or no topic for it. Raises BootRefused, KafkaError."""
    topic = app.options.config_topic
    return None if topic is None else await read_record(app.options.client(f"{app.conf.id}-config"), topic, app.conf.id)


async def read_record(client: dict[str, Any], topic: str, group: str) -> StageConfig | None:
    """The same of any group; the topic exists. `client`: arguments of a client of Kafka."""
    found: dict[bytes | None, bytes | None] = {}

    def apply(record: Any) -> None:
        found[record.key] = record.value

    await read_to_end(client, {TP(topic, 0): 0}, apply)
    value = found.get(group.encode())
    return StageConfig.decode(value) if value is not None else None


def stage_config(app: Any, counts: Mapping[str, int]) -> StageConfig:
    """What this worker has; `counts`: partitions of every topic now."""
    changelogs = [table.changelog_topic_name for table in app.tables.values()]
    return StageConfig(
        sources=_pick(app.source_topics, counts), changelogs=_pick(changelogs, counts), contract=dict(app.contract),
        values=app.table_values, fingerprint=app.fingerprint,
    )  # fmt: skip


def refuse_conflicts(app: Any, record: StageConfig | None, ours: StageConfig) -> None:
    """Raises BootRefused if the record and this worker cannot both be right."""
    found = conflicts(record, ours) if record is not None else []
    if found:
        raise BootRefused(
            f"group {app.conf.id} was set up differently: {'; '.join(found)}. These are fixed for the life of "
            "CDC_APP and CDC_TOPIC_PREFIX: put the setting back, or use another CDC_APP and prefix"
        )


async def check_assignment(app: Any) -> None:
    """At every assignment: partition counts and the record are still those of the boot. Raises BootRefused; a broker
    that does not answer now is met again by whatever comes next."""
    consumer = app.consumer._thread._ensure_consumer()
    now = {topic: len(consumer.partitions_for_topic(topic) or ()) for topic in app.partition_counts}
    moved = [f"{topic} has {now[topic]} partitions, it had {n}" for topic, n in app.partition_counts.items()
             if now[topic] not in (0, n)]  # fmt: skip
    if moved:
        raise BootRefused(
            f"group {app.conf.id}: {'; '.join(moved)}. Keys have other partitions now: re-create the topics and "
            "begin again under another CDC_APP and CDC_TOPIC_PREFIX"
        )
    try:
        record = await read_config(app)
    except KafkaError as error:
        app.log.warning("the configuration record could not be read: %s", type(error).__name__)
        return
    if record is not None:
        ours = stage_config(app, app.partition_counts)
        refuse_conflicts(app, record, ours)
        differing = topics_differ(record, ours)
        if differing:
            raise BootRefused(f"group {app.conf.id} was given other topics meanwhile: {', '.join(differing)}")


def _pick(topics: Iterable[str], counts: Mapping[str, int]) -> dict[str, int]:
    return {topic: counts.get(topic, 0) for topic in sorted(topics)}


def _count(counts: Mapping[str, int], topic: str) -> int:
    return counts.get(topic, 0)
