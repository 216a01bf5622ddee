"""What the bridge's peers share: their command line, and how one reads a Kinesis stream with aiohttp and msgspec."""

import argparse
import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import msgspec

REGION = "us-east-1"
TARGET = "Kinesis_20131202"


class Record(msgspec.Struct, rename="pascal"):
    """A record of GetRecords; msgspec undoes the base64 of `data`."""

    sequence_number: str
    data: bytes
    partition_key: str


class Page(msgspec.Struct, rename="pascal"):
    """One answer of GetRecords."""

    records: list[Record]
    next_shard_iterator: str | None = None


_decode_page = msgspec.json.Decoder(Page).decode


class StreamReader:
    """Reads all shards at once, each into the one queue: (shard id, page), one page per shard ahead of the writer."""

    def __init__(self, given: argparse.Namespace) -> None:
        self._url = given.endpoint
        self._stream = given.source
        self._limit = given.limit
        self._queue: asyncio.Queue[tuple[str, Page]] = asyncio.Queue(maxsize=1)

    async def rounds(self) -> AsyncIterator[list[tuple[str, Page]]]:
        """Whatever pages are there, again and again: one transaction's worth."""
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            shards = await self._call(session, "ListShards", {"StreamName": self._stream})
            names = [shard["ShardId"] for shard in msgspec.json.decode(shards)["Shards"]]
            self._queue = asyncio.Queue(maxsize=len(names))
            tasks = [asyncio.ensure_future(self._read(session, name)) for name in names]
            while True:
                found = [await self._queue.get()]
                while not self._queue.empty():
                    found.append(self._queue.get_nowait())
                yield found
                for task in tasks:
                    if task.done():
                        task.result()

    async def _read(self, session: aiohttp.ClientSession, shard: str) -> None:
        start = {"StreamName": self._stream, "ShardId": shard, "ShardIteratorType": "TRIM_HORIZON"}
        iterator = msgspec.json.decode(await self._call(session, "GetShardIterator", start))["ShardIterator"]
        while iterator is not None:
            request = {"ShardIterator": iterator, "Limit": self._limit}
            page = _decode_page(await self._call(session, "GetRecords", request))
            iterator = page.next_shard_iterator
            if page.records:
                await self._queue.put((shard, page))

    async def _call(self, session: aiohttp.ClientSession, operation: str, request: dict[str, Any]) -> bytes:
        headers = {"content-type": "application/x-amz-json-1.1", "x-amz-target": f"{TARGET}.{operation}"}
        async with session.post(self._url, data=msgspec.json.encode(request), headers=headers) as response:
            response.raise_for_status()
            return await response.read()


def arguments(purpose: str | None) -> argparse.ArgumentParser:
    """The command line: that of `bench.contestants.Job`, and where the stream is."""
    parser = argparse.ArgumentParser(description=purpose)
    parser.add_argument("--bootstrap", required=True)
    parser.add_argument("--group", required=True, help="application, new for every run")
    parser.add_argument("--source", required=True, help="the stream")
    parser.add_argument("--output", required=True)
    parser.add_argument("--partitions", type=int, default=4)
    parser.add_argument("--work", choices=("bridge",), default="bridge")
    parser.add_argument("--directory", required=True, help="for state on disk")
    parser.add_argument("--endpoint", required=True, help="URL of Kinesis")
    parser.add_argument("--positions", required=True, help="topic for positions")
    parser.add_argument("--limit", type=int, default=5_000, help="records per GetRecords (default 5,000)")
    return parser
