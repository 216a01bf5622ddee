"""Where changes got lost: how many of each hop's records there are, and what the ledgers say."""

import asyncio
import re
from collections import Counter
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from workers.engine.ledger import Ledger
from workers.engine.offsets import offset_fetch

NAME = re.compile(rb'"UserName":\s*(?:\{"new":\s*)?"(u\d+v\d+)"')


async def _topic(bootstrap: str, topic: str) -> tuple[int, Counter[str]]:
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap, isolation_level="read_committed", auto_offset_reset="earliest"
    )
    await consumer.start()
    try:
        await consumer._client.set_topics([topic])
        tps = [TopicPartition(topic, index) for index in consumer.partitions_for_topic(topic) or ()]
        consumer.assign(tps)
        ends = await consumer.end_offsets(tps)
        names: Counter[str] = Counter()
        count = 0
        for tp in tps:
            while await consumer.position(tp) < ends[tp]:
                for record in (await consumer.getmany(tp, timeout_ms=200)).get(tp, []):
                    count += 1
                    names.update(found.decode() for found in NAME.findall(record.value or b""))
        return count, names
    finally:
        await consumer.stop()


async def _ledger(bootstrap: str, group: str, topic: str) -> dict[str, Any]:
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id=group)
    await consumer.start()
    try:
        await consumer._client.set_topics([topic])
        tps = [TopicPartition(topic, index) for index in consumer.partitions_for_topic(topic) or ()]
        found = await offset_fetch(consumer, tps)
        return {str(tp.partition): (entry.offset, Ledger.decode(entry.metadata).counts) for tp, entry in found.items()}
    finally:
        await consumer.stop()


def describe_hops(environment: dict[str, str], expected: set[str]) -> str:
    """A few lines for the failure message of a journey."""

    async def gather() -> str:
        bootstrap = environment["KAFKA_BOOTSTRAP_SERVERS"]
        prefix, app = environment["CDC_TOPIC_PREFIX"], environment["CDC_APP"]
        lines = []
        for topic in ("raw.core", "events", "dead", "receipts"):
            count, names = await _topic(bootstrap, prefix + topic)
            line = f"{topic}: {count} records"
            if names:
                absent = sorted(expected - names.keys())
                twice = [name for name, n in names.items() if n > 1]
                line += f", {len(absent)} changes absent {absent[:8]}, {len(twice)} more than once {twice[:8]}"
            lines.append(line)
        for stage, topic in (("enrich", "raw.core"), ("publish", "events")):
            lines.append(f"{stage}: {await _ledger(bootstrap, f'{app}-{stage}', prefix + topic)}")
        return "\n".join(lines)

    return asyncio.run(gather())
