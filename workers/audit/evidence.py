"""Reads what the audit judges: committed offsets, checkpoints and whole topics, in an order that stays sound while
workers run.

A unit commits its offsets together with its outputs. So the offsets are read first, then the ends of the logs, and
every log is read up to there: whatever the offsets speak of stands below these ends, and what is committed later
belongs to no input below the offsets.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from time import monotonic
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import OffsetOutOfRangeError

from models.checkpoint import Checkpoint
from workers.audit.counts import Forwarded
from workers.audit.verdicts import Log
from workers.engine.catch_up import read_to_end
from workers.engine.types import TP
from workers.failures import CommandError
from workers.kafka_connection import KafkaConnection

PATIENCE = 30.0
"""Seconds without progress after which the rest of a log counts as unread: somebody holds a transaction open."""
POLL_MS = 300
CLIENT = "cdc-status"

Apply = Callable[[Any], None]
Tell = Callable[[str, int, int], None]
"""(topic, offsets read, offsets to read)"""


async def ends(
    connection: KafkaConnection, tps: Iterable[TopicPartition], *, stable: bool
) -> dict[TopicPartition, int]:
    """High watermarks, or last stable offsets: below those every transaction has ended. Raises KafkaError."""
    consumer = AIOKafkaConsumer(
        **connection.client(CLIENT), isolation_level="read_committed" if stable else "read_uncommitted"
    )
    await consumer.start()
    try:
        found: dict[TopicPartition, int] = await consumer.end_offsets(list(tps))
        return found
    finally:
        await consumer.stop()


async def read_shards(
    connection: KafkaConnection, topic: str, slots: int, patience: float = PATIENCE
) -> dict[tuple[str, str], Forwarded]:
    """The checkpoints of all shards, by stream and shard. Raises CommandError for one that cannot be read."""
    found: dict[bytes, Forwarded] = {}

    def apply(record: Any) -> None:
        if record.value is None:
            found.pop(record.key, None)
        else:
            found[record.key] = Forwarded.of(Checkpoint.decode(record.value), record.partition)

    try:
        starts = {TP(topic, slot): 0 for slot in range(slots)}
        await asyncio.wait_for(read_to_end(connection.client(CLIENT), starts, apply), patience)
    except ValueError as error:
        raise CommandError(f"{topic}: {error}", hint="another release or product writes there") from None
    except TimeoutError:
        raise CommandError(
            f"{topic} could not be read to its end within {patience:.0f} s",
            hint="a transaction may be open that nobody ends; see docs/runbook.md",
        ) from None
    return {(shard.stream, shard.shard): shard for shard in found.values()}


async def read_logs(
    connection: KafkaConnection,
    goals: Mapping[TopicPartition, int],
    apply: Apply,
    tell: Tell,
    patience: float = PATIENCE,
) -> dict[TopicPartition, Log]:
    """Call `apply` for every committed record from the start of each log up to `goals` (offsets, exclusive). Raises
    KafkaError."""
    tps = list(goals)
    consumer = AIOKafkaConsumer(
        **connection.client(CLIENT), isolation_level="read_committed", auto_offset_reset="none",
        enable_auto_commit=False, max_partition_fetch_bytes=1 << 20,
    )  # fmt: skip
    await consumer.start()
    try:
        consumer.assign(tps)
        starts: dict[TopicPartition, int] = await consumer.beginning_offsets(tps)
        reached = dict(starts)
        for tp in tps:
            consumer.seek(tp, starts[tp])
        await _read(consumer, goals, apply, tell, starts, reached, patience)
    finally:
        await consumer.stop()
    return {
        tp: Log(tp.topic, tp.partition, starts[tp], min(reached[tp], goals[tp]), goals[tp])
        if starts[tp] <= goals[tp]
        else Log(tp.topic, tp.partition, starts[tp], starts[tp], starts[tp])
        for tp in tps
    }


async def _read(
    consumer: Any,
    goals: Mapping[TopicPartition, int],
    apply: Apply,
    tell: Tell,
    starts: dict[TopicPartition, int],
    reached: dict[TopicPartition, int],
    patience: float,
) -> None:
    waiting = {tp for tp in goals if reached[tp] < goals[tp]}
    moved_at = monotonic()
    while waiting and monotonic() - moved_at < patience:
        try:
            batches = await consumer.getmany(*waiting, timeout_ms=POLL_MS)
        except OffsetOutOfRangeError as error:
            await _follow_retention(consumer, error.args[0], starts)
            continue
        for tp, records in batches.items():
            goal = goals[tp]
            for record in records:
                if record.offset < goal:
                    apply(record)
        for tp in list(waiting):
            position = await consumer.position(tp)
            if position != reached[tp]:
                reached[tp], moved_at = position, monotonic()
            if position >= goals[tp]:
                waiting.discard(tp)
                consumer.pause(tp)
        for topic in {tp.topic for tp in goals}:
            of_topic = [tp for tp in goals if tp.topic == topic]
            done = sum(min(reached[tp], goals[tp]) - min(starts[tp], goals[tp]) for tp in of_topic)
            tell(topic, done, sum(max(0, goals[tp] - starts[tp]) for tp in of_topic))


async def _follow_retention(consumer: Any, lost: Iterable[TopicPartition], starts: dict[TopicPartition, int]) -> None:
    """Records were deleted while they were read: go on where the log begins now, and know that they were not seen."""
    for tp, start in (await consumer.beginning_offsets(list(lost))).items():
        starts[tp] = max(starts[tp], start)
        consumer.seek(tp, start)
