"""What a reader of committed records finds in a topic."""

import asyncio
import time
from collections.abc import Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

PATIENCE = 5.0
"""Seconds for a transaction that was committed a moment ago: the broker says so before it stands in every partition.
One that is left open on purpose ends the wait."""


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
        ends = await _stable_ends(consumer, tps)
        found: list[Any] = []
        for tp in tps:
            while await consumer.position(tp) < ends[tp]:
                found += (await consumer.getmany(tp, timeout_ms=200)).get(tp, [])
        return found
    finally:
        await consumer.stop()


async def _stable_ends(consumer: AIOKafkaConsumer, tps: list[TopicPartition]) -> dict[TopicPartition, int]:
    fetcher: Any = consumer._fetcher
    committed = fetcher._isolation_level
    fetcher._isolation_level = 0  # READ_UNCOMMITTED
    written = await consumer.end_offsets(tps)
    fetcher._isolation_level = committed
    deadline = time.monotonic() + PATIENCE
    while (ends := await consumer.end_offsets(tps)) != written and time.monotonic() < deadline:
        await asyncio.sleep(0.02)
    return ends
