"""Peer (c), the ceiling: aiohttp and msgspec in front of confluent-kafka's transactional producer, exactly once.

librdkafka builds and sends the batches in threads of its own, outside of the interpreter. Otherwise like (b).
"""

import asyncio
from argparse import Namespace

from confluent_kafka import Producer

from bench.peers.stream import StreamReader, arguments

LINGER_MS = 5
QUEUE_RECORDS = 1_000_000
QUEUE_KBYTES = 1 << 20
SECONDS = 30.0


async def run(given: Namespace) -> None:
    """Until the process is ended. Raises KafkaException when a transaction fails."""
    producer = Producer({
        "bootstrap.servers": given.bootstrap, "transactional.id": given.group, "linger.ms": LINGER_MS,
        "queue.buffering.max.messages": QUEUE_RECORDS, "queue.buffering.max.kbytes": QUEUE_KBYTES,
    })  # fmt: skip
    producer.init_transactions(SECONDS)
    loop = asyncio.get_running_loop()
    async for pages in StreamReader(given).rounds():
        producer.begin_transaction()
        for shard, page in pages:
            for record in page.records:
                producer.produce(given.output, record.data, key=record.partition_key)
            producer.produce(given.positions, page.records[-1].sequence_number, key=shard)
        # In a thread: pages are read meanwhile.
        await loop.run_in_executor(None, producer.commit_transaction, SECONDS)


if __name__ == "__main__":
    asyncio.run(run(arguments(__doc__).parse_args()))
