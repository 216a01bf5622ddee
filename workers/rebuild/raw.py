"""Raw records of all partitions, in the order in which Kafka got them."""

import heapq
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from workers.kafka_connection import KafkaConnection
from workers.rebuild.changelogs import CLIENT

POLL_MS = 200
BUFFERED = 5_000
"""Records a partition may be ahead of the others in memory."""

Tell = Callable[[str, int, int], None]
"""(what is being done, steps done, steps in all)"""


@dataclass(frozen=True, slots=True)
class RawRange:
    """The offsets `start` .. `end - 1` of a raw partition: from what retention left up to the stage's position."""

    tp: TopicPartition
    start: int
    end: int
    whole: bool
    """Nothing that the stage has read is missing."""


async def in_order(
    connection: KafkaConnection, ranges: Mapping[int, RawRange], tell: Tell, doing: str
) -> AsyncIterator[Any]:
    """Merge by Kafka's timestamps; within a partition the order of its offsets is kept, whatever its timestamps say.

    Lookups are read across partitions, so their owners should come first here, too, if they came first then. Raises
    KafkaError, OffsetOutOfRangeError when retention deletes what is about to be read."""
    wanted = {found.tp: found for found in ranges.values() if found.start < found.end}
    if not wanted:
        return
    consumer = AIOKafkaConsumer(
        **connection.client(CLIENT), isolation_level="read_committed", auto_offset_reset="none",
        enable_auto_commit=False, max_partition_fetch_bytes=1 << 20,
    )  # fmt: skip
    await consumer.start()
    try:
        consumer.assign(list(wanted))
        for tp, found in wanted.items():
            consumer.seek(tp, found.start)
        async for record in _merge(consumer, wanted, tell, doing):
            yield record
    finally:
        await consumer.stop()


async def _merge(
    consumer: Any, wanted: Mapping[TopicPartition, RawRange], tell: Tell, doing: str
) -> AsyncIterator[Any]:
    buffers: dict[TopicPartition, deque[Any]] = {tp: deque() for tp in wanted}
    reading = set(wanted)
    total = sum(found.end - found.start for found in wanted.values())
    reached = {tp: found.start for tp, found in wanted.items()}
    while reading or any(buffers.values()):
        short = [tp for tp in reading if len(buffers[tp]) < BUFFERED]
        for tp, records in (await consumer.getmany(*short, timeout_ms=POLL_MS) if short else {}).items():
            buffers[tp].extend(record for record in records if record.offset < wanted[tp].end)
        for tp in short:
            reached[tp] = min(await consumer.position(tp), wanted[tp].end)
            if reached[tp] >= wanted[tp].end:
                reading.discard(tp)
                consumer.pause(tp)
        tell(doing, sum(reached[tp] - found.start for tp, found in wanted.items()), total)
        heads = [(buffers[tp][0].timestamp, tp) for tp in wanted if buffers[tp]]
        heapq.heapify(heads)
        # The next one is known only while every partition that is still read shows its next record.
        while heads and all(buffers[tp] for tp in reading):
            tp = heads[0][1]
            yield buffers[tp].popleft()
            if buffers[tp]:
                heapq.heapreplace(heads, (buffers[tp][0].timestamp, tp))
            else:
                heapq.heappop(heads)
