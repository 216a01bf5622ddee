"""The bench's own Kafka: topics, the records to work on, and what came out."""

import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.structs import OffsetAndMetadata

from bench.peers.record import encode, kept, key_of, number_of
from models.routing import partition_of
from sandbox.kafka.broker import KAFKA_JVM, KafkaBroker
from workers.engine.offsets import offset_fetch

BATCH_BYTES = 900_000
PER_TRANSACTION = 1_000
GATE_MS = 300_000
PROPERTIES = {"log.segment.delete.delay.ms": "1000", "log.initial.task.delay.ms": "1000"}

Entry = tuple[bytes, bytes, int]
"""(key, value, partition)."""


Gate = Callable[[], Awaitable[float]]
"""Opens it; returns when it began to open, in seconds since 1970."""


class WrongOutput(Exception):
    """A peer lost, repeated or reordered records: its figures mean nothing."""


@dataclass(frozen=True, slots=True)
class Output:
    """What a peer wrote, checked."""

    last: float
    """When the last record was appended, by the broker's clock; seconds since 1970."""
    markers: int
    """Ends of transactions: one for each of them and partition that it wrote to."""


class Rig:
    """One Kafka with `partitions` partitions per topic."""

    def __init__(self, directory: Path, partitions: int, say: Callable[[str], None]) -> None:
        self.broker = KafkaBroker(directory, properties=PROPERTIES, report=say, jvm=KAFKA_JVM)
        self.partitions = partitions

    @property
    def bootstrap(self) -> str:
        """`host:port`."""
        return self.broker.bootstrap

    def of(self, topic: str) -> list[TopicPartition]:
        """All partitions of a topic."""
        return [TopicPartition(topic, index) for index in range(self.partitions)]

    @contextlib.asynccontextmanager
    async def admin(self) -> AsyncIterator[AIOKafkaAdminClient]:
        """A client for topics."""
        client = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap)
        await client.start()
        try:
            yield client
        finally:
            await client.close()

    async def create(self, *names: str, **config: str) -> None:
        """Topics with the broker's clock in their records; `min_insync_replicas` is `min.insync.replicas`."""
        settings = {"message.timestamp.type": "LogAppendTime"} | {k.replace("_", "."): v for k, v in config.items()}
        async with self.admin() as admin:
            topics = [NewTopic(name, self.partitions, 1, topic_configs=settings) for name in names]
            await admin.create_topics(topics)

    async def remove(self, prefix: str) -> None:
        """Delete every topic whose name begins or ends so, whoever made it."""
        async with self.admin() as admin:
            names = [name for name in await admin.list_topics() if prefix in name]
            if names:
                await admin.delete_topics(names)

    @contextlib.asynccontextmanager
    async def producer(self, **settings: Any) -> AsyncIterator[AIOKafkaProducer]:
        """A started producer."""
        client = AIOKafkaProducer(bootstrap_servers=self.bootstrap, **settings)
        await client.start()
        try:
            yield client
        finally:
            await client.stop()

    @contextlib.asynccontextmanager
    async def consumer(self, **settings: Any) -> AsyncIterator[AIOKafkaConsumer]:
        """A started consumer."""
        client = AIOKafkaConsumer(bootstrap_servers=self.bootstrap, enable_auto_commit=False, **settings)
        await client.start()
        try:
            yield client
        finally:
            await client.stop()

    def entries(self, records: int, rows: int) -> list[Entry]:
        """Records 0 .. `records` - 1 about `rows` rows in turn, for the partitions of their keys."""
        places = [(key_of(row), partition_of(key_of(row), self.partitions)) for row in range(rows)]
        return [(key, encode(n, n % rows), partition) for n in range(records) for key, partition in [places[n % rows]]]

    async def put(self, topic: str, entries: Iterable[Entry]) -> None:
        """Write them now."""
        async with self.producer(max_batch_size=BATCH_BYTES, enable_idempotence=True) as producer:
            await self._put(producer, topic, entries)

    @contextlib.asynccontextmanager
    async def gate(self, topic: str, entries: Iterable[Entry], *, hidden: bool) -> AsyncIterator[Gate]:
        """Put the entries behind a gate: nobody sees them before `open`.

        `hidden`: they are in the topic, in an open transaction, which takes a reader of committed records. Without it
        they are written when the gate opens, for readers of uncommitted ones."""
        settings: dict[str, Any] = {"transaction_timeout_ms": GATE_MS, "transactional_id": f"gate-{topic}"}
        async with self.producer(max_batch_size=BATCH_BYTES, **settings if hidden else {}) as producer:
            if hidden:
                await producer.begin_transaction()
                await self._put(producer, topic, entries)

            async def lift() -> float:
                opened = time.time()
                await (producer.commit_transaction() if hidden else self._put(producer, topic, entries))
                return opened

            yield lift

    async def fill_changelog(self, topic: str, entries: int, *, transactional: bool) -> None:
        """`entries` different keys; transactional as the engine writes it, PER_TRANSACTION records per partition."""
        found = [(key_of(row), kept(encode(row, row)), row % self.partitions) for row in range(entries)]
        settings: dict[str, Any] = {"transactional_id": f"fill-{topic}"} if transactional else {}
        async with self.producer(max_batch_size=BATCH_BYTES, **settings) as producer:
            step = PER_TRANSACTION * self.partitions
            for start in range(0, entries, step):
                async with producer.transaction() if transactional else contextlib.nullcontext():
                    await self._put(producer, topic, found[start : start + step])

    async def _put(self, producer: AIOKafkaProducer, topic: str, entries: Iterable[Entry]) -> None:
        open_batches = [producer.create_batch() for _ in range(self.partitions)]
        for key, value, partition in entries:
            if open_batches[partition].append(key=key, value=value, timestamp=None) is None:
                await producer.send_batch(open_batches[partition], topic, partition=partition)
                open_batches[partition] = producer.create_batch()
                open_batches[partition].append(key=key, value=value, timestamp=None)
        ends = [
            await producer.send_batch(batch, topic, partition=partition)
            for partition, batch in enumerate(open_batches) if batch.record_count()
        ]  # fmt: skip
        for end in ends:
            await end
        await producer.flush()

    async def set_offsets(self, group: str, topic: str) -> None:
        """Commit the beginning of every partition for a group that nobody has joined."""
        async with self.consumer(group_id=group) as consumer:
            consumer.assign(self.of(topic))
            await consumer.commit({tp: OffsetAndMetadata(0, "") for tp in self.of(topic)})

    async def committed(self, topic: str) -> AsyncIterator[list[Any]]:
        """All committed records of a topic, consecutive ones of one partition at a time."""
        async with self.consumer(isolation_level="read_committed", auto_offset_reset="earliest") as consumer:
            consumer.assign(self.of(topic))
            ends = await consumer.end_offsets(self.of(topic))
            waiting = {tp for tp, end in ends.items() if end}
            while waiting:
                for found in (await consumer.getmany(*waiting, timeout_ms=200)).values():
                    yield found
                waiting = {tp for tp in waiting if await consumer.position(tp) < ends[tp]}

    async def length(self, topic: str) -> int:
        """Records of a topic and the markers of transactions between them."""
        async with self.consumer() as consumer:
            return sum((await consumer.end_offsets(self.of(topic))).values())

    async def check(self, topic: str, records: int) -> Output:
        """Read everything that is committed. Raises WrongOutput unless every number came once, in order per key."""
        seen = bytearray(records)
        newest: dict[bytes, int] = {}
        last = 0
        async for found in self.committed(topic):
            for record in found:
                number = number_of(record.value)
                seen[number] += 1
                if newest.get(record.key, -1) >= number:
                    raise WrongOutput(f"{topic}: record {number} came after {newest[record.key]} of its key")
                newest[record.key] = number
                last = max(last, record.timestamp)
        if seen.count(1) != records:
            missing = seen.count(0)
            raise WrongOutput(
                f"{topic}: {missing} of {records} are missing, {records - missing - seen.count(1)} repeated"
            )
        return Output(last / 1_000, await self.length(topic) - records)


class Progress:
    """How far a peer has come."""

    def __init__(self, rig: Rig, consumer: AIOKafkaConsumer, source: str, output: str) -> None:
        self._consumer = consumer
        self._source, self._output = rig.of(source), rig.of(output)

    async def committed(self) -> int:
        """Source offsets its group has committed."""
        return sum(entry.offset for entry in (await offset_fetch(self._consumer, self._source)).values())

    async def written(self) -> int:
        """Records in its output; the markers of transactions count, too."""
        return sum((await self._consumer.end_offsets(self._output)).values())
