"""What a reader of committed records finds in a topic."""

from collections.abc import Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition


async def read_committed(client: Mapping[str, Any], topic: str) -> list[Any]:
    """Every committed record, each partition in its order. `client`: connection arguments. A topic that was made a
    moment ago may have no partitions yet."""
    consumer = AIOKafkaConsumer(
        **client, isolation_level="read_committed", auto_offset_reset="earliest", enable_auto_commit=False
    )
    await consumer.start()
    try:
        await consumer._client.set_topics([topic])
        tps = [TopicPartition(topic, index) for index in sorted(consumer.partitions_for_topic(topic) or ())]
        consumer.assign(tps)
        ends = await consumer.end_offsets(tps)
        found: list[Any] = []
        for tp in tps:
            while await consumer.position(tp) < ends[tp]:
                found += (await consumer.getmany(tp, timeout_ms=200)).get(tp, [])
        return found
    finally:
        await consumer.stop()
