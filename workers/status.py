"""Where every stage stands: committed offsets, lag, counts, and who works on it."""

import asyncio
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from aiokafka import TopicPartition

from workers.audit.counts import Counted, Forwarded
from workers.audit.evidence import CLIENT, read_shards, source_of
from workers.aws.errors import AwsError
from workers.engine.standstill import read_standstills
from workers.eventbridge.bus_sight import Sight, look_at_bus
from workers.eventbridge.buses import Buses
from workers.kafka.access import KafkaAccess
from workers.kafka.groups import GroupState, committed_offsets
from workers.kafka.logs import ends
from workers.kafka.topics import Topics, group_of
from workers.settings.worker import Settings

STAGES = ("bridge", "enrich", "publish")
BUS_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class PartitionStatus:
    """One partition that a stage reads."""

    topic: str
    source: str | None
    """Whose raw topic that is; None for the events of all sources, and for what is redriven."""
    partition: int
    counted: Counted | None
    """None: no committed offset."""
    end: int
    """Last stable offset."""

    redriven: bool = False
    """It is one of a redrive topic."""

    @property
    def lag(self) -> int | None:
        """Offsets, transaction markers among them, that are still to be read."""
        return max(0, self.end - self.counted.offset) if self.counted is not None else None


@dataclass(frozen=True, slots=True)
class ShardStatus:
    """One shard that the bridge reads, or has read."""

    told: Forwarded
    source: str | None
    """None: no source is that stream."""
    topic: str | None
    """Raw topic of the source."""


@dataclass(frozen=True, slots=True)
class BusStatus:
    """The bus that publish sends to. `trouble`: code of why it could not be looked at."""

    name: str
    sight: Sight | None
    trouble: str = ""

    @property
    def told(self) -> str:
        """In a word."""
        if self.sight is None:
            return f"not seen ({self.trouble})"
        if not self.sight.exists:
            return "missing"
        return "there" if self.sight.takes_events else self.sight.state


@dataclass(frozen=True, slots=True)
class StandstillStatus:
    """Where a stage stands still until an operator has decided."""

    topic: str
    partition: int
    since_ms: int
    why: str


@dataclass(frozen=True, slots=True)
class StageStatus:
    """One stage."""

    stage: str
    group: GroupState
    partitions: tuple[PartitionStatus, ...] = ()
    shards: tuple[ShardStatus, ...] = ()
    """Of the bridge, whose positions are checkpoints."""
    bus: BusStatus | None = None
    """Of publish."""
    standstills: tuple[StandstillStatus, ...] = ()

    def document(self) -> dict[str, Any]:
        """For scripts."""
        found: dict[str, Any] = {"stage": self.stage, "group": self.group.state, "members": list(self.group.members)}
        found["partitions"] = [
            {
                "source": row.source,
                "topic": row.topic,
                "partition": row.partition,
                "offset": row.counted.offset if row.counted is not None else None,
                "lag": row.lag,
                "since": row.counted.since if row.counted is not None else None,
                "counts": dict(sorted(row.counted.counts.items())) if row.counted is not None else {},
            }
            for row in self.partitions
        ]
        found["standstills"] = [
            {"topic": row.topic, "partition": row.partition, "since": row.since_ms, "why": row.why}
            for row in self.standstills
        ]  # fmt: skip
        found["shards"] = [
            {"source": row.source, "topic": row.topic, "slot": row.told.slot, "stream": row.told.name,
             "arn": row.told.arn, "shard": row.told.shard, "state": row.told.state, "records": row.told.records,
             "arrival": row.told.arrival_ms}
            for row in self.shards
        ]  # fmt: skip
        if self.bus is not None:
            takes = None if self.bus.sight is None else self.bus.sight.takes_events
            found["bus"] = {"name": self.bus.name, "takes_events": takes, "trouble": self.bus.trouble}
        return found


def needed_topics(settings: Settings, stages: Collection[str], *, audit: bool) -> dict[str, int]:
    """{topic: partitions} that the command reads."""
    topics, wide = Topics.of(settings), settings.partitions
    raw = dict.fromkeys(topics.raw.values(), wide)
    found: dict[str, int] = {topics.config: 1} if {"enrich", "publish"} & set(stages) else {}
    if "bridge" in stages:
        found |= {topics.checkpoints: settings.source_slots} | raw
    if "enrich" in stages:
        found |= raw | {topics.redrive["enrich"]: wide}
        found |= {topics.events: wide, topics.dead: wide} if audit else {}
    if "publish" in stages:
        found |= {topics.events: wide, topics.redrive["publish"]: wide}
        found |= {topics.receipts: wide, topics.dead: wide} if audit else {}
    if "archive" in stages:
        found |= {topics.dead: wide}
    return found


async def look(settings: Settings, kafka: KafkaAccess, stages: Collection[str]) -> list[StageStatus]:
    """One look at every stage. Raises KafkaError, CommandError."""
    topics = Topics.of(settings)
    sources = {"enrich": (*topics.raw.values(), topics.redrive["enrich"]),
               "publish": (topics.events, topics.redrive["publish"]), "archive": (topics.dead,)}  # fmt: skip
    names = {topic: name for name, topic in topics.raw.items()}
    told = {}
    if {"enrich", "publish"} & set(stages):
        told = await read_standstills(kafka.connection.client(CLIENT), topics.config)
    found = []
    for stage in stages:
        group = await kafka.group(group_of(settings, stage))
        if stage == "bridge":
            shards = await read_shards(kafka.connection, topics.checkpoints, settings.source_slots)
            ordered = sorted(shards.values(), key=lambda shard: (shard.slot, shard.stream, shard.shard))
            found.append(StageStatus(stage, group, shards=tuple(_shard(settings, topics, told) for told in ordered)))
            continue
        tps = [TopicPartition(topic, index) for topic in sources[stage] for index in range(settings.partitions)]
        offsets = await committed_offsets(kafka.connection, group_of(settings, stage), tps)
        stable = await ends(kafka.connection, CLIENT, tps, stable=True)
        rows = [
            PartitionStatus(
                tp.topic,
                names.get(tp.topic),
                tp.partition,
                Counted.of(offsets[tp].offset, offsets[tp].metadata) if tp in offsets else None,
                stable[tp],
                tp.topic in topics.redrive.values(),
            )
            for tp in tps
        ]
        bus = await _bus(settings) if stage == "publish" else None
        stands_still = tuple(
            StandstillStatus(tp.topic, tp.partition, one.since_ms, one.why)
            for (of, tp), one in sorted(told.items())
            if of == group_of(settings, stage) and tp in offsets and offsets[tp].offset < one.end
        )
        found.append(StageStatus(stage, group, tuple(rows), standstills=stands_still, bus=bus))
    return found


async def _bus(settings: Settings) -> BusStatus:
    """One try: a look at the stages does not wait for AWS."""
    name = settings.event_bus_name
    try:
        buses = Buses(settings.model_copy(update={"max_retry_attempts": 1}), ())
        async with asyncio.timeout(BUS_SECONDS):
            return BusStatus(name, await look_at_bus(buses.by_address[name].session, name))
    except TimeoutError:
        return BusStatus(name, None, "Timeout")
    except AwsError as error:
        return BusStatus(name, None, error.code)


def _shard(settings: Settings, topics: Topics, told: Forwarded) -> ShardStatus:
    source = source_of(told.stream, settings.sources)
    name = source.name if source is not None else None
    return ShardStatus(told, name, topics.raw[name] if name is not None else None)
