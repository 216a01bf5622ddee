"""Reads one shard in order, politely: iterators, pages, throttles. Positions belong to the slot that commits them."""

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import msgspec

from models.checkpoint import Checkpoint
from workers.aws.client import JsonClient
from workers.aws.errors import AwsError, AwsThrottled, AwsUnavailable
from workers.kinesis.shards import Shard

SHARD_BYTES_PER_SECOND = 2 << 20
"""AWS limit of one shard, shared by all its readers."""
MAX_BACKOFF = 10.0
FIRST_BACKOFF = 0.2


class Record(msgspec.Struct, rename="pascal"):
    """A record of GetRecords. AUTO record distribution leaves the partition key out."""

    sequence_number: str
    data: bytes
    partition_key: str = ""
    approximate_arrival_timestamp: float = 0.0

    @property
    def arrival_ms(self) -> int:
        """Milliseconds since the epoch."""
        return round(self.approximate_arrival_timestamp * 1000)


class Page(msgspec.Struct, rename="pascal"):
    """One answer of GetRecords."""

    records: list[Record]
    next_shard_iterator: str | None = None
    millis_behind_latest: int = 0

    @property
    def ended(self) -> bool:
        """The shard is closed and this was its last page."""
        return self.next_shard_iterator is None


class _Iterator(msgspec.Struct, rename="pascal"):
    shard_iterator: str


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """Bounds of one reader: records per call, seconds between calls."""

    stream: str
    limit: int
    interval: float


class ShardReader:
    """An endless sequence of pages, starting after a checkpoint (or at TRIM_HORIZON without one)."""

    def __init__(self, client: JsonClient, options: ReadOptions, shard: Shard, checkpoint: Checkpoint | None) -> None:
        self._client = client
        self._options = options
        self.shard = shard
        self._after = checkpoint.sequence if checkpoint else ""
        self.millis_behind = 0
        self.throttles = 0

    async def pages(self) -> AsyncIterator[Page]:
        """Pages with records, and the last one of a closed shard. Throttles and outages are waited out here; raises
        AwsError for what waiting does not cure."""
        iterator: str | None = None
        failures = 0
        while True:
            try:
                if iterator is None:
                    iterator = await self._iterator()
                page = await self._read(iterator)
            except (AwsThrottled, AwsUnavailable) as error:
                failures += 1
                self.throttles += isinstance(error, AwsThrottled)
                await asyncio.sleep(_backoff(failures))
                continue
            except AwsError as error:
                if error.code != "ExpiredIteratorException":
                    raise
                iterator = None  # rebuilt from the last record that was handed on
                continue
            failures = 0
            iterator = page.next_shard_iterator
            self.millis_behind = page.millis_behind_latest
            size = sum(len(record.data) for record in page.records)
            if page.records:
                self._after = page.records[-1].sequence_number
            if page.records or page.ended:
                yield page
            if page.ended:
                return
            await asyncio.sleep(max(self._options.interval, size / SHARD_BYTES_PER_SECOND))

    async def _iterator(self) -> str:
        request: dict[str, Any] = {"StreamName": self._options.stream, "ShardId": self.shard.id}
        if self._after:
            request |= {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "StartingSequenceNumber": self._after}
        else:
            request["ShardIteratorType"] = "TRIM_HORIZON"
        answer = await self._client.call("GetShardIterator", msgspec.json.encode(request))
        return msgspec.json.decode(answer, type=_Iterator).shard_iterator

    async def _read(self, iterator: str) -> Page:
        request = {"ShardIterator": iterator, "Limit": self._options.limit}
        answer = await self._client.call("GetRecords", msgspec.json.encode(request))
        return msgspec.json.decode(answer, type=Page)


def _backoff(failures: int) -> float:
    return random.random() * min(MAX_BACKOFF, FIRST_BACKOFF * 2.0 ** min(failures, 16))
