"""Records of the future, by which `cdc check` knows that a clock is wrong: Kafka itself tells no time."""

from datetime import UTC, datetime, timedelta

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from workers.checks.clock import check_record_times


async def test_records_that_are_stamped_later_than_now_are_told_by_their_topic(kafka_bootstrap: str) -> None:
    now = datetime.now(UTC)
    client = {"bootstrap_servers": kafka_bootstrap}
    admin = AIOKafkaAdminClient(**client)
    await admin.start()
    try:
        await admin.create_topics([NewTopic("clocked", 2, 1), NewTopic("clocked-right", 1, 1)])
    finally:
        await admin.close()
    async with AIOKafkaProducer(**client) as producer:
        ahead = int((now + timedelta(minutes=10)).timestamp() * 1000)
        await producer.send_and_wait("clocked", b"{}", partition=1, timestamp_ms=ahead)
        await producer.send_and_wait("clocked-right", b"{}")
    topics = {"clocked": 2, "clocked-right": 1}
    found = await check_record_times(client, topics, lambda: now, 30)
    assert [(finding.id, finding.subject) for finding in found] == [("clock.kafka", "clocked")]
    assert await check_record_times(client, topics, lambda: now + timedelta(minutes=10), 30) == []
    assert await check_record_times(client, {}, lambda: now, 30) == []
