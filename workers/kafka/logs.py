"""Reading whole partitions from the outside, to a fixed end, while others write to them."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import OffsetOutOfRangeError

from workers.failures import CommandError
from workers.kafka.connection import KafkaConnection

PATIENCE = 30.0
"""Seconds without progress after which the rest of a log counts as unread."""
UNREAD_HINT = "a transaction may be open that nobody ends, or the partition has no leader; see docs/runbook.md"
POLL_MS = 300
FETCH_BYTES = 1 << 20

Apply = Callable[[Any], None]
Tell = Callable[[str, int, int], None]
"""(topic, or what is being done; steps done; steps in all)"""


@dataclass(frozen=True, slots=True)
class Log:
    """One partition that was read: from `start` to `reached`; `end` is where it should have been read to."""

    topic: str
    partition: int
    start: int
    reached: int
    end: int
    holed: bool = False
    """Retention deleted records that were about to be read: `start` lies behind the hole."""

    @property
    def missing(self) -> int:
        """Offsets that could not be read: somebody holds a transaction open, or there is no leader."""
        return max(0, self.end - self.reached)

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}"


async def ends(
    connection: KafkaConnection, client_id: str, tps: Iterable[TopicPartition], *, stable: bool
) -> dict[TopicPartition, int]:
    """High watermarks, or last stable offsets: below those every transaction has ended. Raises KafkaError."""
    consumer = AIOKafkaConsumer(
        **connection.client(client_id), isolation_level="read_committed" if stable else "read_uncommitted"
    )
    await consumer.start()
    try:
        found: dict[TopicPartition, int] = await consumer.end_offsets(list(tps))
        return found
    finally:
        await consumer.stop()


async def read_logs(
    connection: KafkaConnection, client_id: str, goals: Mapping[TopicPartition, int], apply: Apply, tell: Tell,
    patience: float = PATIENCE,
) -> dict[TopicPartition, Log]:  # fmt: skip
    """Call `apply` for every committed record from the start of each log up to `goals` (offsets, exclusive). Raises
    KafkaError."""
    tps = list(goals)
    consumer = AIOKafkaConsumer(
        **connection.client(client_id), isolation_level="read_committed", auto_offset_reset="none",
        enable_auto_commit=False, max_partition_fetch_bytes=FETCH_BYTES,
    )  # fmt: skip
    await consumer.start()
    try:
        consumer.assign(tps)
        starts: dict[TopicPartition, int] = await consumer.beginning_offsets(tps)
        reading = _Reading(consumer, goals, dict(starts), dict(starts))
        for tp in tps:
            consumer.seek(tp, starts[tp])
        await reading.run(apply, tell, patience)
    finally:
        await consumer.stop()
    return {tp: reading.log(tp) for tp in tps}


def refuse_unread(logs: Iterable[Log]) -> None:
    """Raises CommandError if one of them was not read to its end."""
    for log in logs:
        if log.missing:
            raise CommandError(f"{log} could not be read from {log.reached} on", hint=UNREAD_HINT)


async def follow_retention(consumer: Any, lost: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
    """Records were deleted while they were read: go on where each log begins now. Returns these offsets."""
    begins: dict[TopicPartition, int] = await consumer.beginning_offsets(list(lost))
    for tp, start in begins.items():
        consumer.seek(tp, start)
    return begins


@dataclass(slots=True)
class _Reading:
    consumer: Any
    goals: Mapping[TopicPartition, int]
    starts: dict[TopicPartition, int]
    reached: dict[TopicPartition, int]
    holed: set[TopicPartition] = field(default_factory=set)

    def log(self, tp: TopicPartition) -> Log:
        start, goal, reached = self.starts[tp], self.goals[tp], self.reached[tp]
        if start > goal:
            return Log(tp.topic, tp.partition, start, start, start)
        return Log(tp.topic, tp.partition, start, min(reached, goal), goal, tp in self.holed)

    async def run(self, apply: Apply, tell: Tell, patience: float) -> None:
        waiting = {tp for tp in self.goals if self.reached[tp] < self.goals[tp]}
        moved_at = monotonic()
        while waiting and monotonic() - moved_at < patience:
            try:
                batches = await self.consumer.getmany(*waiting, timeout_ms=POLL_MS)
            except OffsetOutOfRangeError as error:
                self.starts |= await follow_retention(self.consumer, error.args[0])
                self.holed |= set(error.args[0])
                continue
            for tp, records in batches.items():
                goal = self.goals[tp]
                for record in records:
                    if record.offset < goal:
                        apply(record)
            for tp in list(waiting):
                position = await self.consumer.position(tp)
                if position != self.reached[tp]:
                    self.reached[tp], moved_at = position, monotonic()
                if position >= self.goals[tp]:
                    waiting.discard(tp)
                    self.consumer.pause(tp)
            self._tell(tell)

    def _tell(self, tell: Tell) -> None:
        for topic in {tp.topic for tp in self.goals}:
            of_topic = [tp for tp in self.goals if tp.topic == topic]
            done = sum(min(self.reached[tp], self.goals[tp]) - min(self.starts[tp], self.goals[tp]) for tp in of_topic)
            tell(topic, max(0, done), sum(max(0, self.goals[tp] - self.starts[tp]) for tp in of_topic))
