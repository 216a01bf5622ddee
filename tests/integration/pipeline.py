"""The product's own stages inside a test, on topics that nobody else uses."""

import asyncio
import itertools
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.structs import OffsetAndMetadata

from models.routing import entity_key, partition_of
from sandbox.world import World
from tests.integration.reading import read_committed
from tests.integration.stage import eventually
from tests.journey.traffic import Outside
from tests.journey.worker_process import own_environment
from workers.contract import read_catalogue
from workers.engine.ledger import Ledger
from workers.kafka.connection import KafkaConnection, kafka_connection
from workers.kafka.groups import committed_offsets
from workers.kafka.topics import Topics, ensure_topics, group_of
from workers.settings.worker import Settings, load_settings

PARTITIONS = 2
SLOTS = 8
_names = itertools.count()


class Pipeline:
    """Settings, topics and clients of one test."""

    def __init__(self, world: World, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        names = own_environment(world.environment(), f"p{id(self) % 10**6}x{next(_names)}")
        self.environment = names | {
            "CDC_DATA_DIR": str(directory), "CDC_PARTITIONS": str(PARTITIONS), "CDC_SOURCE_SLOTS": str(SLOTS),
        }  # fmt: skip
        for name, value in self.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.chdir(directory)
        self.settings: Settings = load_settings()
        self.topics = Topics.of(self.settings)
        self.raw = self.topics.raw["core"]
        self.connection: KafkaConnection = kafka_connection(self.settings)
        self.client = self.connection.client("test")

    def outside(self) -> Outside:
        """Stream and bus, made."""
        outside = Outside(self.environment)
        outside.make(shards=2)
        return outside

    def make_bus(self) -> None:
        """The bus alone, without rules."""
        Outside(self.environment).client("events").create_event_bus(Name=self.settings.event_bus_name)

    async def make_topics(self) -> None:
        await ensure_topics(self.settings, read_catalogue(self.settings).lookups, self.client)

    def group(self, stage: str) -> str:
        return group_of(self.settings, stage)

    def changelog(self, table: str) -> str:
        return f"{self.group('enrich')}-{table}-changelog"

    # raw records

    async def put(
        self, topic: str, records: Iterable[tuple[bytes | None, bytes | None]], *, partition: int | None = None,
        headers: list[tuple[str, bytes]] | None = None,
    ) -> None:  # fmt: skip
        """Produce (key, value), to the partitions of their keys."""
        producer = AIOKafkaProducer(**self.client)
        await producer.start()
        try:
            for key, value in records:
                where = partition if partition is not None else partition_of(key or b"", PARTITIONS)
                await producer.send(topic, key=key, value=value, partition=where, headers=headers)
            await producer.flush()
        finally:
            await producer.stop()

    async def abort(self, topic: str, records: int, partition: int) -> None:
        """Records of a transaction that is aborted."""
        producer = AIOKafkaProducer(**self.client, transactional_id=f"{topic}-abort")
        await producer.start()
        try:
            await producer.begin_transaction()
            for _ in range(records):
                await producer.send(topic, b"aborted", partition=partition)
            await producer.flush()
            await producer.abort_transaction()
        finally:
            await producer.stop()

    async def read(self, topic: str) -> list[Any]:
        """All committed records, partition by partition."""
        return await read_committed(self.client, topic)

    async def table(self, name: str) -> dict[bytes, bytes]:
        """What a fresh worker would recover."""
        found: dict[bytes, bytes] = {}
        for record in await self.read(self.changelog(name)):
            if record.value is None:
                found.pop(record.key, None)
            else:
                found[record.key] = record.value
        return found

    # what operators and accidents do

    async def offsets(self, stage: str, topic: str) -> dict[int, tuple[int, Ledger]]:
        """{partition: (offset, ledger)}"""
        tps = [TopicPartition(topic, index) for index in range(PARTITIONS)]
        found = await committed_offsets(self.connection, self.group(stage), tps)
        return {tp.partition: (entry.offset, Ledger.decode(entry.metadata)) for tp, entry in found.items()}

    async def set_offset(self, stage: str, topic: str, partition: int, offset: int, metadata: str = "") -> None:
        """As kafka-consumer-groups --reset-offsets does; the stage must not run."""
        consumer = AIOKafkaConsumer(**self.client, group_id=self.group(stage), enable_auto_commit=False)
        await consumer.start()
        try:
            tp = TopicPartition(topic, partition)
            consumer.assign([tp])
            await consumer.commit({tp: OffsetAndMetadata(offset, metadata)})
        finally:
            await consumer.stop()

    async def set_policy(self, topic: str, policy: str) -> None:
        """Of a changelog: `delete` is the mistake that makes Kafka forget entries."""
        admin = AIOKafkaAdminClient(**self.client)
        await admin.start()
        try:
            resource = ConfigResource(ConfigResourceType.TOPIC, topic, configs={"cleanup.policy": policy})
            await admin.alter_configs([resource])
        finally:
            await admin.close()

    async def delete_before(self, topic: str, offsets: dict[int, int]) -> None:
        """As retention does."""
        admin = AIOKafkaAdminClient(**self.client)
        await admin.start()
        try:
            await admin.delete_records(
                {TopicPartition(topic, index): RecordsToDelete(before_offset=o) for index, o in offsets.items()}
            )
        finally:
            await admin.close()

    async def recreate(self, topic: str) -> None:
        """Delete a compacted topic and make it anew, empty."""
        admin = AIOKafkaAdminClient(**self.client)
        await admin.start()
        try:
            await admin.delete_topics([topic])

            async def gone() -> bool:
                return topic not in await admin.list_topics()

            await eventually(gone)
            await admin.create_topics([NewTopic(topic, PARTITIONS, 1, topic_configs={"cleanup.policy": "compact"})])

            async def there() -> bool:
                return topic in await admin.list_topics()

            await eventually(there)
        finally:
            await admin.close()

    async def has_read(self, stage: str, topic: str, records: int) -> None:
        """Wait until the stage has counted so many inputs."""

        async def read() -> bool:
            offsets = await self.offsets(stage, topic)
            return sum(ledger.counts.get("in", 0) for _, ledger in offsets.values()) >= records

        await eventually(read)


ORDERS = """
version: 1
tables:
  - table: orders
    entity: order
    key: [order_id]
    columns: {order_id: int, user_id: int}
    owner:
      org: [{lookup: users, by: user_id}]
      user: [{column: user_id}]
    on_missing_owner: wait:5s
"""
"""A tables.yaml: `order` rows belong to whom their `user` does."""


def order(number: int, user_id: int) -> tuple[bytes, bytes]:
    """Key and value of a row of ORDERS."""
    return row("orders", number, "insert", {"order_id": number, "user_id": user_id}, schema="shop")


def user(number: int, operation: str = "insert", **columns: Any) -> tuple[bytes, bytes]:
    """(key, value) of a raw record of the users table."""
    return row("users", number, operation, {"HomeOrgID": 3, "UserName": f"u{number}", "Status": "ACTIVE"} | columns)


def row(
    table: str, number: int, operation: str, columns: dict[str, Any], *, schema: str = "core", at: int = 0
) -> tuple[bytes, bytes]:
    """(key, value) of a raw record, `at` seconds after the hour."""
    metadata = {
        "operation": operation, "record-type": "data", "schema-name": schema, "table-name": table,
        "timestamp": f"2026-01-15T10:{at // 60:02d}:{at % 60:02d}Z",
    }  # fmt: skip
    document = {"data": {"ID": number} | columns, "metadata": metadata}
    return entity_key(schema, table, (number,)), json.dumps(document).encode()


def run(work: Any) -> Any:
    """For tests of commands, which run an event loop of their own."""
    return asyncio.run(work)
