"""Runs engine stages inside a test, on the session's real Kafka."""

import asyncio
import contextlib
import itertools
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.protocol.admin import DeleteGroupsRequest

from models.routing import partition_of
from workers.engine.app import StageApp
from workers.engine.ledger import Ledger
from workers.engine.offsets import offset_fetch
from workers.engine.options import EngineOptions

PARTITIONS = 2
WAIT_SECONDS = float(os.environ.get("TEST_WAIT_SECONDS", "60"))
_names = itertools.count()


class Bench:
    """Topics and clients of one test; every name is its own."""

    def __init__(self, bootstrap: str, directory: str) -> None:
        self.bootstrap = bootstrap
        self.directory = directory
        self.prefix = f"t{time.time_ns() % 10**9}x{next(_names)}"

    def topic(self, name: str) -> str:
        return f"{self.prefix}-{name}"

    def options(self, **changes: Any) -> EngineOptions:
        defaults: dict[str, Any] = {
            "bootstrap": self.bootstrap, "partitions": PARTITIONS, "session_timeout": 6.0, "data_dir": self.directory,
        }  # fmt: skip
        return EngineOptions(**(defaults | changes))

    def app(self, stage: str, **changes: Any) -> StageApp:
        return StageApp(self.topic(stage), self.options(**changes))

    async def create(self, *names: str, compact: bool = False, **config: str) -> None:
        settings = {"cleanup.policy": "compact"} if compact else {}
        settings |= {key.replace("_", "."): value for key, value in config.items()}
        async with self._admin() as admin:
            await admin.create_topics([NewTopic(self.topic(n), PARTITIONS, 1, topic_configs=settings) for n in names])

    async def create_changelog(self, stage: str, table: str) -> None:
        await self.create(f"{stage}-{table}-changelog", compact=True)

    async def recreate(self, topic: str) -> None:
        """Delete a compacted topic and make it anew, empty."""
        async with self._admin() as admin:
            await admin.delete_topics([self.topic(topic)])

            async def gone() -> bool:
                return self.topic(topic) not in await admin.list_topics()

            await eventually(gone)
        await self.create(topic, compact=True)

    async def widen(self, topic: str) -> None:
        """Give a topic one partition more."""
        async with self._admin() as admin:
            await admin.create_partitions({self.topic(topic): NewPartitions(PARTITIONS + 1)})

    async def configure(self, topic: str, **config: str) -> None:
        """Change settings of a topic."""
        settings = {key.replace("_", "."): value for key, value in config.items()}
        async with self._admin() as admin:
            await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, self.topic(topic), configs=settings)])

    async def delete_before(self, topic: str, offset: int) -> None:
        """Delete the records below an offset, in all partitions."""
        tps = [TopicPartition(self.topic(topic), index) for index in range(PARTITIONS)]
        async with self._admin() as admin:
            await admin.delete_records({tp: RecordsToDelete(before_offset=offset) for tp in tps})

    async def delete_group(self, stage: str) -> None:
        """Delete a group with all its offsets; it must be empty."""
        consumer = AIOKafkaConsumer(bootstrap_servers=self.bootstrap, group_id=self.topic(stage))
        await consumer.start()
        try:
            await consumer._coordinator.ensure_coordinator_known()
            response = await consumer._coordinator._send_req(DeleteGroupsRequest([self.topic(stage)]))
        finally:
            await consumer.stop()
        assert [code for _, code in response.results] == [0]

    @contextlib.asynccontextmanager
    async def _admin(self) -> AsyncIterator[AIOKafkaAdminClient]:
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap)
        await admin.start()
        try:
            yield admin
        finally:
            await admin.close()

    async def put(self, topic: str, records: Iterable[tuple[bytes, bytes]]) -> None:
        """Produce (key, value) records to the partitions of their keys."""
        producer = AIOKafkaProducer(bootstrap_servers=self.bootstrap, max_request_size=16 << 20)
        await producer.start()
        try:
            for key, value in records:
                await producer.send(self.topic(topic), key=key, value=value, partition=partition_of(key, PARTITIONS))
            await producer.flush()
        finally:
            await producer.stop()

    async def abort(self, topic: str, count: int, key: bytes | None = None) -> None:
        """Leave `count` records of an aborted transaction in each partition: offsets that nobody sees."""
        producer = AIOKafkaProducer(
            bootstrap_servers=self.bootstrap, transactional_id=f"{self.prefix}-abort-{next(_names)}"
        )
        await producer.start()
        try:
            await producer.begin_transaction()
            for index in range(PARTITIONS):
                for _ in range(count):
                    await producer.send(self.topic(topic), b"aborted", key=key, partition=index)
            await producer.flush()
            await producer.abort_transaction()
        finally:
            await producer.stop()

    async def ends(self, topic: str) -> dict[int, int]:
        """Log end of each partition, once no transaction is open."""
        consumer = AIOKafkaConsumer(bootstrap_servers=self.bootstrap)
        await consumer.start()
        try:
            found = await consumer.end_offsets(
                [TopicPartition(self.topic(topic), index) for index in range(PARTITIONS)]
            )
        finally:
            await consumer.stop()
        return {tp.partition: end for tp, end in found.items()}

    async def read(self, topic: str) -> list[Any]:
        """All committed records that are there now, partition by partition."""
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.bootstrap, isolation_level="read_committed", auto_offset_reset="earliest"
        )
        await consumer.start()
        try:
            tps = [TopicPartition(self.topic(topic), index) for index in range(PARTITIONS)]
            consumer.assign(tps)
            ends = await consumer.end_offsets(tps)
            found: dict[TopicPartition, list[Any]] = {tp: [] for tp in tps}
            for tp in tps:
                while await consumer.position(tp) < ends[tp]:
                    found[tp] += (await consumer.getmany(tp, timeout_ms=200)).get(tp, [])
            return [record for tp in tps for record in found[tp]]
        finally:
            await consumer.stop()

    async def committed(self, stage: str, topic: str) -> dict[int, tuple[int, Ledger]]:
        """{partition: (offset, ledger)} of a stage's group."""
        consumer = AIOKafkaConsumer(bootstrap_servers=self.bootstrap, group_id=self.topic(stage))
        await consumer.start()
        try:
            tps = [TopicPartition(self.topic(topic), index) for index in range(PARTITIONS)]
            found = await offset_fetch(consumer, tps)
            return {tp.partition: (entry.offset, Ledger.decode(entry.metadata)) for tp, entry in found.items()}
        finally:
            await consumer.stop()


@contextlib.asynccontextmanager
async def running(*apps: StageApp, wait_ready: bool = True) -> AsyncIterator[None]:
    """Start the apps, wait until they are ready, and stop them in order."""
    for app in apps:
        app.conf.web_enabled = False
    tasks = [asyncio.ensure_future(app.start()) for app in apps]
    try:
        if wait_ready:
            await eventually(lambda: _ready(apps, tasks))
        yield
    finally:
        for app in apps:
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(app.stop(), 20)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _ready(apps: tuple[StageApp, ...], tasks: list[asyncio.Future[Any]]) -> bool:
    for task in tasks:
        if task.done():
            task.result()
    return all(app.ready for app in apps)


async def eventually(condition: Callable[[], Awaitable[bool]], seconds: float = WAIT_SECONDS) -> None:
    """Wait until the condition holds."""
    deadline = time.monotonic() + seconds
    while not await condition():
        assert time.monotonic() < deadline, "the condition did not come true"
        await asyncio.sleep(0.05)
