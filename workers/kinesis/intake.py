"""Gathers the pages of all shards of a slot into parts of bounded size, with back-pressure in bytes."""

import asyncio
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from workers.kinesis.reader import Page, Record, ShardReader
from workers.kinesis.shards import Shard

UNIT_RECORDS = 5_000
UNIT_BYTES = 2 << 20


@dataclass(frozen=True, slots=True)
class Part:
    """Consecutive records of one shard that are committed together; `last` if the shard ends after them."""

    shard: Shard
    records: tuple[Record, ...]
    size: int
    last: bool


def parts_of(shard: Shard, page: Page) -> Iterator[Part]:
    """Cut a page into parts. A Kinesis record is never cut, so one larger record is a part of its own."""
    start, size = 0, 0
    for index, record in enumerate(page.records):
        if index > start and (index - start >= UNIT_RECORDS or size + len(record.data) > UNIT_BYTES):
            yield Part(shard, tuple(page.records[start:index]), size, last=False)
            start, size = index, 0
        size += len(record.data)
    yield Part(shard, tuple(page.records[start:]), size, last=page.ended)


class Intake:
    """Reads every shard of one slot in a task of its own, as long as there is room."""

    def __init__(self, readers: list[ShardReader], max_bytes: int) -> None:
        self.readers = readers
        self._max_bytes = max_bytes
        self._parts: deque[Part] = deque()
        self._bytes = 0
        self._change = asyncio.Condition()
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> "Intake":
        self._tasks = [asyncio.ensure_future(self._read(reader)) for reader in self.readers]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _read(self, reader: ShardReader) -> None:
        async for page in reader.pages():
            for part in parts_of(reader.shard, page):
                async with self._change:
                    await self._change.wait_for(lambda: self._bytes < self._max_bytes)
                    self._parts.append(part)
                    self._bytes += part.size
                    self._change.notify_all()

    async def take(self, timeout: float) -> list[Part]:
        """What is there now, at most one unit's worth; waits up to `timeout` seconds for something.

        Raises what a reader raised."""
        for task in self._tasks:
            if task.done() and not task.cancelled() and (error := task.exception()) is not None:
                raise error
        async with self._change:
            if not self._parts:
                try:
                    await asyncio.wait_for(self._change.wait(), timeout)
                except TimeoutError:
                    return []
            taken: list[Part] = []
            records = size = 0
            while self._parts:
                part = self._parts[0]
                if taken and (records + len(part.records) > UNIT_RECORDS or size + part.size > UNIT_BYTES):
                    break
                taken.append(self._parts.popleft())
                records += len(part.records)
                size += part.size
            self._bytes -= size
            self._change.notify_all()
            return taken
