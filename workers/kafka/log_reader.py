"""Reading topics from the outside, in no group: by offsets and by time, to an end or as they grow, merged by time.

Memory is bounded by BUFFERED_BYTES and what one fetch brings. Only committed records are read.
"""

import asyncio
import heapq
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import islice
from time import monotonic
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import OffsetOutOfRangeError

from workers.engine.offsets import log_bounds
from workers.failures import CommandError
from workers.kafka.connection import KafkaConnection
from workers.kafka.logs import PATIENCE, UNREAD_HINT, Tell, follow_retention

POLL_MS = 200
FETCH_BYTES = 256 << 10
FETCH_MAX_BYTES = 8 << 20
BUFFERED_BYTES = 32 << 20
"""Of values that wait for the partitions they are merged with, all together."""
LEAST_BUFFERED = 64 << 10
SLICE = 100
"""Records that are handed out at once: a worker does other things between two lists."""

Spans = Mapping[TopicPartition, tuple[int, int | None]]
"""Offsets from the first on and before the second; None: for ever."""


@dataclass(slots=True)
class LogReader:
    """One consumer of no group. One `merged` at a time."""

    consumer: Any
    lost: set[TopicPartition] = field(default_factory=set)
    """Partitions of which retention deleted records that were about to be read."""

    async def bounds(self, tps: Collection[TopicPartition]) -> dict[TopicPartition, tuple[int, int]]:
        """Where each log begins, and its last stable offset."""
        found: dict[TopicPartition, tuple[int, int]] = await log_bounds(self.consumer, tps)
        return found

    async def at_time(self, tps: Collection[TopicPartition], time_ms: int) -> dict[TopicPartition, int]:
        """The first offset of each log whose record is not older; the end of the log if there is none."""
        found = await self.consumer.offsets_for_times(dict.fromkeys(tps, max(0, time_ms)))
        missing = [tp for tp in tps if found.get(tp) is None]
        ends = await self.consumer.end_offsets(missing) if missing else {}
        return {tp: found[tp].offset if found.get(tp) is not None else ends[tp] for tp in tps}

    async def one(self, tp: TopicPartition, offset: int) -> Any:
        """The record that stands exactly there; None if it is gone, not there yet, or no record of ours."""
        start, end = (await self.bounds([tp]))[tp]
        if start <= offset < end:
            async for records in self.merged({tp: (offset, offset + 1)}):
                for record in records:
                    return record
        return None

    async def merged(self, spans: Spans, tell: Tell | None = None, doing: str = "records") -> AsyncGenerator[list[Any]]:
        """Lists of records, in the order of Kafka's timestamps as far as they are known by now; within a partition the
        order is that of its offsets. An empty list every POLL_MS while there is nothing new. Ends where all spans have
        an end. Raises KafkaError, CommandError after PATIENCE seconds without progress towards an end."""
        wanted = {tp: span for tp, span in spans.items() if span[1] is None or span[0] < span[1]}
        if not wanted:
            return
        self.consumer.assign(list(wanted))
        for tp, (start, _) in wanted.items():
            self.consumer.seek(tp, start)
        merge = _Merge(self.consumer, wanted, (await self.bounds(list(wanted))), self.lost)
        moved_at = monotonic()
        while merge.unfinished:
            if await merge.read():
                moved_at = monotonic()
            elif not merge.endless and monotonic() - moved_at > PATIENCE:
                raise CommandError(f"{doing}: {merge.slowest} could not be read any further", hint=UNREAD_HINT)
            if tell is not None:
                tell(doing, *merge.progress)
            ripe = merge.ripe()
            while len(part := list(islice(ripe, SLICE))) == SLICE:
                yield part
                await asyncio.sleep(0)
            yield part


@asynccontextmanager
async def log_reader(
    connection: KafkaConnection, client_id: str, *, max_wait_ms: int = POLL_MS, fetch_bytes: int = FETCH_BYTES
) -> AsyncIterator[LogReader]:
    """Connect. Raises KafkaError.

    `fetch_bytes`: of one partition in one answer. `max_wait_ms`: how long a broker may hold an answer back until there
    is something to say. It answers one request of a connection after the other, so whoever asks many things in turn
    waits as long for each."""
    consumer = AIOKafkaConsumer(
        **connection.client(client_id), isolation_level="read_committed", auto_offset_reset="none",
        enable_auto_commit=False, max_partition_fetch_bytes=fetch_bytes, fetch_max_bytes=FETCH_MAX_BYTES,
        fetch_max_wait_ms=max_wait_ms,
    )  # fmt: skip
    await consumer.start()
    try:
        yield LogReader(consumer)
    finally:
        await consumer.stop()


@dataclass(slots=True)
class _Buffer:
    start: int
    end: int | None
    known_end: int
    reached: int
    records: deque[Any] = field(default_factory=deque)
    size: int = 0

    @property
    def finished(self) -> bool:
        return self.end is not None and self.reached >= self.end

    @property
    def goal(self) -> int:
        """Where it ends as far as is known by now."""
        return max(self.start, self.known_end if self.end is None else self.end)

    @property
    def holds_back(self) -> bool:
        """Its next record is not known, and there is one."""
        return not self.records and not self.finished and self.reached < self.known_end

    def take(self) -> Any:
        record = self.records.popleft()
        self.size -= len(record.value or b"")
        return record


class _Merge:
    def __init__(
        self,
        consumer: Any,
        spans: Spans,
        bounds: Mapping[TopicPartition, tuple[int, int]],
        lost: set[TopicPartition],
    ) -> None:
        self._consumer = consumer
        self._lost = lost
        self._buffers = {tp: _Buffer(*span, bounds[tp][1], span[0]) for tp, span in spans.items()}
        self._room = max(LEAST_BUFFERED, BUFFERED_BYTES // len(self._buffers))
        self.endless = any(end is None for _, end in spans.values())

    @property
    def unfinished(self) -> bool:
        return any(not buffer.finished or buffer.records for buffer in self._buffers.values())

    @property
    def progress(self) -> tuple[int, int]:
        """Offsets read, offsets in all."""
        spans = [(b.reached - b.start, b.goal - b.start) for b in self._buffers.values()]
        return sum(min(max(0, done), total) for done, total in spans), sum(total for _, total in spans)

    @property
    def slowest(self) -> str:
        tp = next((tp for tp, buffer in self._buffers.items() if not buffer.finished), min(self._buffers))
        return f"{tp.topic}/{tp.partition}, at {self._buffers[tp].reached},"

    async def read(self) -> bool:
        """Fill the buffers; whether there was progress."""
        short = [tp for tp, b in self._buffers.items() if not b.finished and b.size < self._room]
        if not short:
            return True
        try:
            batches = await self._consumer.getmany(*short, timeout_ms=POLL_MS)
        except OffsetOutOfRangeError as error:
            self._lost.update(await follow_retention(self._consumer, error.args[0]))
            batches = {}
        for tp, records in batches.items():
            buffer = self._buffers[tp]
            taken = [record for record in records if buffer.end is None or record.offset < buffer.end]
            buffer.records.extend(taken)
            buffer.size += sum(len(record.value or b"") for record in taken)
        progress = False
        for tp in short:
            buffer = self._buffers[tp]
            before, buffer.reached = buffer.reached, await self._consumer.position(tp)
            buffer.known_end = max(buffer.known_end, self._consumer.last_stable_offset(tp) or 0)
            progress = progress or buffer.reached != before
            if buffer.finished:
                self._consumer.pause(tp)
        return progress

    def ripe(self) -> Iterator[Any]:
        """Records in order, as long as every partition that has more shows its next one."""
        if any(buffer.holds_back for buffer in self._buffers.values()):
            return
        heads = [(buffer.records[0].timestamp, tp) for tp, buffer in self._buffers.items() if buffer.records]
        heapq.heapify(heads)
        while heads:
            tp = heads[0][1]
            buffer = self._buffers[tp]
            yield buffer.take()
            if buffer.records:
                heapq.heapreplace(heads, (buffer.records[0].timestamp, tp))
            elif buffer.holds_back:
                return
            else:
                heapq.heappop(heads)
