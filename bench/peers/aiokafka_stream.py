"""Peer (b): aiohttp and msgspec in front of aiokafka's transactional producer, a record per `send`, exactly once.

What a careful user writes by hand: each transaction takes the pages that have come, and the positions behind them. The
partition key becomes the key of the record. It signs nothing, routes nothing, lists the shards once and begins at the
beginning.
"""

import asyncio
from argparse import Namespace

from aiokafka import AIOKafkaProducer

from bench.peers.stream import StreamReader, arguments

BATCH_BYTES = 256 << 10
LINGER_MS = 5


async def run(given: Namespace) -> None:
    """Until the process is ended."""
    producer = AIOKafkaProducer(
        bootstrap_servers=given.bootstrap, transactional_id=given.group, linger_ms=LINGER_MS,
        max_batch_size=BATCH_BYTES, max_request_size=14 << 20,
    )  # fmt: skip
    await producer.start()
    try:
        async for pages in StreamReader(given).rounds():
            async with producer.transaction():
                for shard, page in pages:
                    for record in page.records:
                        await producer.send(given.output, record.data, key=record.partition_key.encode())
                    position = page.records[-1].sequence_number
                    await producer.send(given.positions, position.encode(), key=shard.encode())
    finally:
        await producer.stop()


if __name__ == "__main__":
    asyncio.run(run(arguments(__doc__).parse_args()))
