"""Raw records of all sources and partitions, in the order in which Kafka got them."""

import heapq
from collections import deque
from collections.abc import AsyncGenerator, Iterator, Mapping
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import OffsetOutOfRangeError

from workers.failures import CommandError
from workers.kafka_connection import KafkaConnection
from workers.kafka_logs import FETCH_BYTES, PATIENCE, UNREAD_HINT, Tell, follow_retention
from workers.rebuild.changelogs import CLIENT

POLL_MS = 200
BUFFERED_BYTES = 4 << 20
"""Of values: how far a partition may be ahead of the others in memory."""


@dataclass(slots=True)
class RawRange:
    """The offsets `start` .. `end - 1` of a raw partition: from what retention left up to the stage's position."""

    tp: TopicPartition
    start: int
    end: int
    whole: bool
    """Nothing that the stage has read is missing. Retention may end that while we read."""


async def in_order(
    connection: KafkaConnection, ranges: Mapping[TopicPartition, RawRange], tell: Tell, doing: str,
    patience: float = PATIENCE, client_id: str = CLIENT,
) -> AsyncGenerator[Any]:  # fmt: skip
    """Merge by Kafka's timestamps; within a partition the order of its offsets is kept, whatever its timestamps say.

    Lookups are read across partitions and sources, so their owners should come first here, too, if they came first
    then. Raises KafkaError, CommandError after `patience` seconds without progress."""
    wanted = {tp: found for tp, found in ranges.items() if found.start < found.end}
    if not wanted:
        return
    consumer = AIOKafkaConsumer(
        **connection.client(client_id), isolation_level="read_committed", auto_offset_reset="none",
        enable_auto_commit=False, max_partition_fetch_bytes=FETCH_BYTES,
    )  # fmt: skip
    await consumer.start()
    try:
        consumer.assign(list(wanted))
        for tp, found in wanted.items():
            consumer.seek(tp, found.start)
        merge = _Merge(consumer, wanted)
        moved_at = monotonic()
        while merge.unfinished:
            if await merge.read():
                moved_at = monotonic()
            elif monotonic() - moved_at > patience:
                raise CommandError(f"{doing}: {merge.slowest} could not be read any further", hint=UNREAD_HINT)
            tell(doing, merge.done, merge.total)
            for record in merge.ripe():
                yield record
    finally:
        await consumer.stop()


@dataclass(slots=True)
class _Buffer:
    range: RawRange
    reached: int
    records: deque[Any] = field(default_factory=deque)
    size: int = 0

    def take(self) -> Any:
        record = self.records.popleft()
        self.size -= len(record.value or b"")
        return record


class _Merge:
    def __init__(self, consumer: Any, wanted: Mapping[TopicPartition, RawRange]) -> None:
        self._consumer = consumer
        self._buffers = {tp: _Buffer(found, found.start) for tp, found in wanted.items()}
        self._reading = set(wanted)

    @property
    def total(self) -> int:
        """Offsets in all."""
        return sum(buffer.range.end - buffer.range.start for buffer in self._buffers.values())

    @property
    def done(self) -> int:
        """Offsets that were read."""
        return sum(max(0, buffer.reached - buffer.range.start) for buffer in self._buffers.values())

    @property
    def unfinished(self) -> bool:
        """Something is still to be read, or handed on."""
        return bool(self._reading) or any(buffer.records for buffer in self._buffers.values())

    @property
    def slowest(self) -> str:
        """One of the partitions that are waited for."""
        tp = next((tp for tp in sorted(self._reading) if not self._buffers[tp].records), min(self._buffers))
        return f"{tp.topic}/{tp.partition}, at {self._buffers[tp].reached},"

    async def read(self) -> bool:
        """Fill the buffers; whether there was progress."""
        short = [tp for tp in self._reading if self._buffers[tp].size < BUFFERED_BYTES]
        if not short:
            return True
        try:
            batches = await self._consumer.getmany(*short, timeout_ms=POLL_MS)
        except OffsetOutOfRangeError as error:
            for tp in await follow_retention(self._consumer, error.args[0]):
                self._buffers[tp].range.whole = False
            return True
        for tp, records in batches.items():
            buffer = self._buffers[tp]
            taken = [record for record in records if record.offset < buffer.range.end]
            buffer.records.extend(taken)
            buffer.size += sum(len(record.value or b"") for record in taken)
        progress = False
        for tp in short:
            buffer = self._buffers[tp]
            before, buffer.reached = buffer.reached, min(await self._consumer.position(tp), buffer.range.end)
            progress = progress or buffer.reached != before
            if buffer.reached >= buffer.range.end:
                self._reading.discard(tp)
                self._consumer.pause(tp)
                progress = True
        return progress

    def ripe(self) -> Iterator[Any]:
        """Records in order, as long as every partition that is still read shows its next one."""
        if not all(self._buffers[tp].records for tp in self._reading):
            return
        heads = [(buffer.records[0].timestamp, tp) for tp, buffer in self._buffers.items() if buffer.records]
        heapq.heapify(heads)
        while heads:
            tp = heads[0][1]
            buffer = self._buffers[tp]
            yield buffer.take()
            if buffer.records:
                heapq.heapreplace(heads, (buffer.records[0].timestamp, tp))
            elif tp in self._reading:
                return
            else:
                heapq.heappop(heads)
