"""Ours, but for its producers: confluent-kafka's (librdkafka) in place of aiokafka's with our own batches.

To answer one question: what would it bring? The faults that the engine is proven under are not handled here.
"""

import asyncio
import functools
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from aiokafka.structs import RecordMetadata
from confluent_kafka import Producer

from bench.peers import bridge
from models.raw import Origin, raw_headers
from workers.engine import slots
from workers.engine.slots import TRANSACTION_TIMEOUT_MS, Slots
from workers.kinesis import forwarding

SECONDS = 30.0
THREADS = 16
LINGER_MS = 5
QUEUE_RECORDS = 1_000_000
QUEUE_KBYTES = 1 << 20
BATCH_BYTES = 1_000_000


class Records:
    """See PackedBatch: librdkafka packs them."""

    def __init__(self) -> None:
        self.records: list[tuple[bytes | None, bytes | None, Any]] = []

    def append(self, key: bytes | None, value: bytes | None, headers: Any, timestamp: int | None = None) -> int:
        """Whatever comes fits."""
        self.records.append((key, value, headers))
        return 1

    def extend(self, records: Iterator[Any], most: int) -> None:
        """Whatever comes fits."""
        self.records.extend(records)

    def size(self) -> int:
        """Nobody asks librdkafka."""
        return 0

    def close(self) -> None:
        """See PackedBatch."""

    def record_count(self) -> int:
        """See PackedBatch."""
        return len(self.records)


class ConfluentProducer:
    """See UnitProducer. Calls that wait for the broker do so in threads."""

    def __init__(self, servers: str, transactional_id: str, threads: ThreadPoolExecutor) -> None:
        self._threads = threads
        self._topics: dict[str, set[int]] = {}
        self._producer = Producer({
            "bootstrap.servers": servers, "transactional.id": transactional_id, "linger.ms": LINGER_MS,
            "transaction.timeout.ms": TRANSACTION_TIMEOUT_MS, "batch.size": BATCH_BYTES,
            "queue.buffering.max.messages": QUEUE_RECORDS, "queue.buffering.max.kbytes": QUEUE_KBYTES,
        })  # fmt: skip

    async def start(self) -> None:
        """See UnitProducer."""
        await self._aside(self._producer.init_transactions, SECONDS)

    async def partitions_for(self, topic: str) -> set[int]:
        """See UnitProducer."""
        if topic not in self._topics:
            found = await self._aside(self._producer.list_topics, topic, SECONDS)
            self._topics[topic] = set(found.topics[topic].partitions)
        return self._topics[topic]

    async def begin_transaction(self) -> None:
        """See UnitProducer."""
        self._producer.begin_transaction()

    def create_batch(self) -> Records:
        """See UnitProducer."""
        return Records()

    async def send_batch(self, batch: Records, topic: str, *, partition: int) -> "asyncio.Future[RecordMetadata]":
        """Hand the records over. Their offsets are not asked for: the bridge has no use for them, and the commit fails
        if one of them does."""
        produce = self._producer.produce
        for key, value, headers in batch.records:
            if isinstance(headers, list):
                produce(topic, value, key, partition, headers=headers)
            else:  # packed ones: none
                produce(topic, value, key, partition)
        handed: asyncio.Future[RecordMetadata] = asyncio.get_running_loop().create_future()
        handed.set_result(RecordMetadata(topic, partition, None, 0, None, 0, 0))
        return handed

    async def send_offsets_to_transaction(self, offsets: Mapping[Any, Any], group_id: str) -> None:
        """The bridge reads no topic."""
        raise NotImplementedError

    async def commit_transaction(self) -> None:
        """See UnitProducer."""
        await self._aside(self._producer.commit_transaction, SECONDS)

    async def stop(self) -> None:
        """See UnitProducer."""

    async def _aside(self, call: Any, *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._threads, call, *arguments)


class Listed(list[Any]):
    """Headers to which nothing is added any more."""

    def __add__(self, _: Any) -> Any:
        return self


class Front:
    """Headers that lack their sequence number, which is added to them as if they were packed."""

    def __init__(self, listed: list[Any]) -> None:
        self._listed = listed

    def __add__(self, number: bytes) -> Listed:
        found = Listed(self._listed)
        found[2] = ("cdc-sequence", number)
        return found


class ListedHeaders:
    """`ShardHeaders` as `produce` wants them: a list, of which only the sequence number is new for every record."""

    def __init__(self, stream: str, shard: str) -> None:
        self._names = (stream, shard)
        self._listed = functools.lru_cache(self._list)

    def of(self, sequence: str, sub_sequence: int, arrival_ms: int, adapter: str | None, table: str | None) -> Any:
        """Headers of one record."""
        found = self._listed(sub_sequence, arrival_ms, adapter, table).copy()
        found[2] = ("cdc-sequence", sequence)
        return found

    def around(
        self, digits: int, sub_sequence: int, arrival_ms: int, adapter: str | None, table: str | None
    ) -> "tuple[Front, bytes]":
        """What a sequence number is put between."""
        return Front(self._listed(sub_sequence, arrival_ms, adapter, table)), b""

    def _list(self, sub_sequence: int, arrival_ms: int, adapter: str | None, table: str | None) -> Any:
        return raw_headers(Origin(*self._names, "", sub_sequence, arrival_ms), adapter=adapter, table=table)


def new_producer(threads: ThreadPoolExecutor, owner: Slots, index: int) -> ConfluentProducer:
    """In place of `Slots.new_producer`."""
    servers = owner.app.options.producer(f"{owner.app.conf.id}-slot-{index}")["bootstrap_servers"]
    return ConfluentProducer(servers, f"{owner.app.conf.id}-{index}", threads)


if __name__ == "__main__":
    replaced: Any = forwarding
    replaced.ShardHeaders = ListedHeaders
    producers: Any = slots.Slots
    pool = ThreadPoolExecutor(THREADS)
    producers.new_producer = lambda owner, index: new_producer(pool, owner, index)
    bridge.main()
