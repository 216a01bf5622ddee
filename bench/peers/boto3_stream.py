"""Peer (a): boto3 in a thread per shard in front of aiokafka's idempotent producer, at least once.

What most people write: read a page, send its records, wait for the acknowledgements, write the position to a file.
"""

import asyncio
import os
from argparse import Namespace
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
from aiokafka import AIOKafkaProducer
from botocore.config import Config

from bench.peers.stream import REGION, arguments

BATCH_BYTES = 256 << 10
LINGER_MS = 5


async def forward(producer: AIOKafkaProducer, output: str, records: list[dict[str, Any]]) -> None:
    """Returns when the broker has all of them."""
    sent = [await producer.send(output, one["Data"], key=one["PartitionKey"].encode()) for one in records]
    await asyncio.gather(*sent)


def read(
    given: Namespace, client: Any, shard: str, producer: AIOKafkaProducer, loop: asyncio.AbstractEventLoop
) -> None:
    """One shard, in a thread of its own, for ever."""
    position = Path(given.directory) / f"{shard}.position"
    answer = client.get_shard_iterator(StreamName=given.source, ShardId=shard, ShardIteratorType="TRIM_HORIZON")
    iterator = answer["ShardIterator"]
    while iterator is not None:
        page = client.get_records(ShardIterator=iterator, Limit=given.limit)
        iterator = page.get("NextShardIterator")
        if not page["Records"]:
            continue
        asyncio.run_coroutine_threadsafe(forward(producer, given.output, page["Records"]), loop).result()
        temporary = position.with_suffix(".new")
        temporary.write_text(page["Records"][-1]["SequenceNumber"], encoding="ascii")
        os.replace(temporary, position)  # noqa: PTH105


async def run(given: Namespace) -> None:
    """Until the process is ended."""
    client = boto3.client(
        "kinesis", endpoint_url=given.endpoint, region_name=REGION, aws_access_key_id="bench",
        aws_secret_access_key="bench", config=Config(max_pool_connections=64),
    )  # fmt: skip
    shards = [shard["ShardId"] for shard in client.list_shards(StreamName=given.source)["Shards"]]
    producer = AIOKafkaProducer(
        bootstrap_servers=given.bootstrap, enable_idempotence=True, linger_ms=LINGER_MS, max_batch_size=BATCH_BYTES,
        max_request_size=14 << 20,
    )  # fmt: skip
    await producer.start()
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(len(shards)) as threads:
        await asyncio.gather(
            *(loop.run_in_executor(threads, read, given, client, shard, producer, loop) for shard in shards)
        )


if __name__ == "__main__":
    asyncio.run(run(arguments(__doc__).parse_args()))
