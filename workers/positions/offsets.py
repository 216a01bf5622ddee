"""Positions of enrich, publish and archive, which are offsets of their groups, and setting them by hand.

Each partition is one transaction of its slot's producer, and no partition depends on another: what was cut off is run
again. The ledger begins anew where the stage goes on, because its counts are of the offsets from `since` on; what it
knows of its changelogs stays, so that a damaged table is noticed as before. Every source of enrich has offsets of its
own: those of one can be set alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import ProducerFenced
from aiokafka.structs import OffsetAndMetadata

from workers.engine.ledger import Ledger
from workers.engine.offsets import log_bounds
from workers.engine.slot_producer import SlotProducer
from workers.failures import NotFoundError, RefusedError
from workers.kafka.access import KafkaAccess
from workers.kafka.groups import GroupState, committed_offsets
from workers.kafka.logs import Tell
from workers.kafka.topics import Topics, group_of
from workers.positions.look import refuse_members
from workers.positions.topic import CLIENT
from workers.settings.worker import Settings

TRANSACTION_MS = 30_000


@dataclass(frozen=True, slots=True)
class Aim:
    """Where to: for all partitions the start or the end of their logs, or the first record of a time (Kafka's, in
    milliseconds since the epoch; the end if there is none); or `offsets` by partition."""

    kind: Literal["start", "end", "time", "offsets"]
    at_ms: int = 0
    offsets: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StageOffset:
    """One partition that the stage reads."""

    topic: str
    partition: int
    owner: str | None
    committed: OffsetAndMetadata | None
    start: int
    end: int
    """Last stable offset."""
    target: int | None = None
    """None: it stays as it is."""

    @property
    def offset(self) -> int | None:
        """The next one that is read."""
        return self.committed.offset if self.committed is not None else None

    @property
    def since(self) -> int | None:
        """Where the ledger began to count."""
        return Ledger.decode(self.committed.metadata).since if self.committed is not None else None

    @property
    def lag(self) -> int | None:
        """Offsets that are still to be read."""
        return max(0, self.end - self.offset) if self.offset is not None else None

    @property
    def in_log(self) -> bool:
        """Reading can go on exactly there."""
        return self.offset is not None and self.start <= self.offset <= self.end

    @property
    def changed(self) -> bool:
        """It is to be set, and elsewhere."""
        return self.target is not None and self.target != self.offset

    def document(self) -> dict[str, Any]:
        """For scripts."""
        return {
            "topic": self.topic, "partition": self.partition, "owner": self.owner, "offset": self.offset,
            "lag": self.lag, "since": self.since, "start": self.start, "end": self.end, "inLog": self.in_log,
            "target": self.target,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class StageOffsets:
    """All partitions of a stage, or those of one source."""

    stage: str
    topics: tuple[str, ...]
    group: GroupState
    partitions: tuple[StageOffset, ...]

    def document(self) -> dict[str, Any]:
        """For scripts."""
        return {
            "stage": self.stage, "topics": list(self.topics), "group": self.group.state,
            "members": list(self.group.members), "partitions": [row.document() for row in self.partitions],
        }  # fmt: skip


def topics_read(settings: Settings, stage: str, source: str | None = None) -> tuple[str, ...]:
    """What enrich, publish or archive reads; of enrich those of one source alone, if it is named."""
    topics = Topics.of(settings)
    if stage == "archive":
        return (topics.dead,)
    if stage == "publish":
        return (topics.events,)
    return tuple(topic for name, topic in topics.raw.items() if source in (None, name))


async def look_at_offsets(
    settings: Settings, kafka: KafkaAccess, stage: str, aim: Aim | None = None, *, source: str | None = None
) -> StageOffsets:
    """Where every partition stands, and where `aim` would set it; `source` as of `topics_read`.

    Raises NotFoundError for a partition that does not exist, RefusedError for an offset outside of its log, KafkaError.
    """
    topics = topics_read(settings, stage, source)
    group = await kafka.group(group_of(settings, stage))
    tps = [TopicPartition(topic, index) for topic in topics for index in range(settings.partitions)]
    committed = await committed_offsets(kafka.connection, group_of(settings, stage), tps)
    consumer = AIOKafkaConsumer(**kafka.connection.client(CLIENT), isolation_level="read_committed")
    await consumer.start()
    try:
        bounds = await log_bounds(consumer, tps)
        targets = await _targets(consumer, bounds, aim)
    finally:
        await consumer.stop()
    rows = [
        StageOffset(
            tp.topic, tp.partition, group.holders.get((tp.topic, tp.partition)), committed.get(tp), *bounds[tp],
            targets.get(tp),
        )
        for tp in tps
    ]  # fmt: skip
    return StageOffsets(stage, topics, group, tuple(rows))


async def _targets(
    consumer: Any, bounds: Mapping[TopicPartition, tuple[int, int]], aim: Aim | None
) -> dict[TopicPartition, int]:
    if aim is None:
        return {}
    match aim.kind:
        case "start":
            return {tp: start for tp, (start, _) in bounds.items()}
        case "end":
            return {tp: end for tp, (_, end) in bounds.items()}
        case "time":
            found = await consumer.offsets_for_times(dict.fromkeys(bounds, aim.at_ms))
            return {tp: min(found[tp].offset, end) if found.get(tp) else end for tp, (_, end) in bounds.items()}
    by_index = {tp.partition: tp for tp in bounds}  # the caller has seen to it that they are of one topic
    targets = {}
    for index, offset in aim.offsets.items():
        if index not in by_index:
            raise NotFoundError(f"there is no partition {index}", hint=f"there are 0 to {len(by_index) - 1}")
        start, end = bounds[by_index[index]]
        if not start <= offset <= end:
            raise RefusedError(f"partition {index} holds the offsets {start} to {end}, not {offset}")
        targets[by_index[index]] = offset
    return targets


async def write_offsets(settings: Settings, kafka: KafkaAccess, found: StageOffsets, tell: Tell) -> None:
    """Set them. Raises RefusedError if a worker runs or has run meanwhile, KafkaError."""
    group = group_of(settings, found.stage)
    refuse_members(await kafka.group(group), found.stage)
    rows = [row for row in found.partitions if row.target is not None]
    for done, row in enumerate(rows, 1):
        try:
            await _write(kafka, group, row)
        except ProducerFenced:
            raise _gone_on(group) from None
        tell("partitions", done, len(rows))
    refuse_members(await kafka.group(group), found.stage)


async def _write(kafka: KafkaAccess, group: str, row: StageOffset) -> None:
    producer = SlotProducer(
        **kafka.connection.client(CLIENT), transactional_id=f"{group}-{row.partition}",
        transaction_timeout_ms=TRANSACTION_MS,
    )  # fmt: skip
    try:
        await producer.start()  # InitProducerId: whoever had the slot commits nothing any more
        tp = TopicPartition(row.topic, row.partition)
        # P2: read after the fence.
        if (await committed_offsets(kafka.connection, group, [tp])).get(tp) != row.committed or row.target is None:
            raise _gone_on(group)
        known = Ledger.decode(row.committed.metadata) if row.committed is not None else Ledger()
        metadata = Ledger({}, row.target, known.changelogs).encode()
        await producer.begin_transaction()
        await producer.send_offsets_to_transaction({tp: OffsetAndMetadata(row.target, metadata)}, group)
        await producer.commit_transaction()
    finally:
        await producer.stop()


def _gone_on(group: str) -> RefusedError:
    return RefusedError("a worker has worked meanwhile", hint=f"stop all workers of group {group}, then run it again")
