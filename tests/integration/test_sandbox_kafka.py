"""The embedded Kafka serves an unmodified client and keeps its data."""

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from sandbox.kafka.broker import KafkaBroker, lists_a_broker
from sandbox.world import World


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaBroker]:
    """A broker of its own: these tests kill it."""
    with contextlib.closing(KafkaBroker(tmp_path_factory.mktemp("broker") / "kafka")) as broker:
        broker.start()
        yield broker


async def create_topic(bootstrap: str, name: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(name, num_partitions=1, replication_factor=1)])
    finally:
        await admin.close()


async def produce(bootstrap: str, topic: str, *values: bytes) -> None:
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", max_request_size=14 << 20) as producer:
        for value in values:
            await producer.send_and_wait(topic, value)


async def consume(bootstrap: str, topic: str, count: int) -> list[bytes]:
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest", isolation_level="read_committed"
    )
    async with consumer, asyncio.timeout(30):
        return [(await consumer.getone()).value for _ in range(count)]


async def test_records_survive_kill_and_restart_on_the_same_port(kafka: KafkaBroker) -> None:
    before = kafka.bootstrap
    await create_topic(before, "survivors")
    await produce(before, "survivors", b"one", b"two")
    await asyncio.to_thread(kafka.kill)
    assert kafka.pid is None
    await asyncio.to_thread(kafka.start)
    assert kafka.bootstrap == before
    assert await consume(before, "survivors", 2) == [b"one", b"two"]


async def test_a_record_as_large_as_thirteen_mebibytes_passes(kafka: KafkaBroker) -> None:
    await create_topic(kafka.bootstrap, "large")
    await produce(kafka.bootstrap, "large", bytes(13 << 20))
    assert [len(value) for value in await consume(kafka.bootstrap, "large", 1)] == [13 << 20]


async def test_a_committed_transaction_is_seen(kafka: KafkaBroker) -> None:
    await create_topic(kafka.bootstrap, "transactions")
    async with (
        AIOKafkaProducer(bootstrap_servers=kafka.bootstrap, transactional_id="t") as producer,
        producer.transaction(),
    ):
        await producer.send_and_wait("transactions", b"committed")
    assert await consume(kafka.bootstrap, "transactions", 1) == [b"committed"]


async def test_a_topic_nobody_created_does_not_appear(kafka: KafkaBroker) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    await admin.start()
    try:
        await admin.describe_topics(["never-created"])
        assert "never-created" not in await admin.list_topics()
    finally:
        await admin.close()


async def test_a_paused_broker_answers_again_after_resume(kafka: KafkaBroker) -> None:
    port = int(kafka.bootstrap.split(":")[1])
    kafka.pause()
    try:
        assert not await asyncio.to_thread(lists_a_broker, port)
    finally:
        kafka.resume()
    async with asyncio.timeout(30):
        while not await asyncio.to_thread(lists_a_broker, port):
            await asyncio.sleep(0.05)


def test_the_stream_and_the_bus_of_the_environment_exist(world: World) -> None:
    names = world.environment()
    summary = world.aws.client("kinesis").describe_stream_summary(StreamName=names["KINESIS_STREAM_NAME"])
    assert summary["StreamDescriptionSummary"]["OpenShardCount"] == 4
    assert world.aws.client("events").describe_event_bus(Name=names["EVENT_BUS_NAME"])["Name"] == "cdc-events"


def test_a_directory_with_something_else_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "precious").touch()
    with pytest.raises(Exception, match="not a sandbox's"):
        World(tmp_path).start()
    assert [path.name for path in tmp_path.iterdir()] == ["precious"]
