"""Gathers the parts of all shards of a slot, with back-pressure in bytes."""

import asyncio
from collections import deque
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from workers.engine.clock import monotonic
from workers.kinesis.budget import Budget
from workers.kinesis.cursor import Gap, Part
from workers.kinesis.reader import TURNS, ShardReader
from workers.kinesis.source import Source

UNIT_RECORDS = 5_000
UNIT_BYTES = 2 << 20
"""What a unit does not wait for more with."""
BEHIND_RECORDS = 10_000
BEHIND_BYTES = 4 << 20
"""What a unit takes if it is there: a transaction costs the same whatever its size."""

Key = tuple[str, str]
"""(stream ARN, shard id)"""


@dataclass(slots=True)
class _Lane:
    source: Source
    reader: ShardReader
    task: "asyncio.Task[None]"


class Intake:
    """Reads the shards of one slot, each in a task of its own, as long as there is room."""

    def __init__(self, budget: Budget, stopping: asyncio.Event) -> None:
        self.budget = budget
        self._stopping = stopping
        self._waker = asyncio.ensure_future(self._wake())
        self._lanes: dict[Key, _Lane] = {}
        self._parts: deque[tuple[Key, Part]] = deque()
        self.gaps: dict[Key, Gap] = {}
        """Found and not settled, by shard; their readers wait."""
        self._gap_found = False
        self._bytes = self._records = 0
        self._last_take = float("-inf")
        self._news = asyncio.Event()
        self._taken = 0
        self._turn = next(TURNS)

    @property
    def shards(self) -> Iterable[Key]:
        """Everything that is being read."""
        return self._lanes.keys()

    def reader(self, key: Key) -> ShardReader:
        """The reader of a shard."""
        return self._lanes[key].reader

    def turns(self, name: str) -> dict[str, int]:
        """Numbers that move: by `name` that of the loop which looks for shards and commits, by the name of a shard that
        of its reader, unless it waits for room or for an operator."""
        return {name: self._turn} | {
            f"shard {shard} of {lane.source.directory.label}": lane.reader.turn
            for (_, shard), lane in self._lanes.items()
            if not lane.task.done() and not lane.reader.waits
        }

    def source(self, key: Key) -> Source:
        """Of a shard that is being read: not by its stream, which a second source may be by mistake."""
        return self._lanes[key].source

    def add(self, key: Key, source: Source, reader: ShardReader) -> None:
        """Begin to read a shard."""
        self._lanes[key] = _Lane(source, reader, asyncio.ensure_future(self._read(key, reader)))

    async def remove(self, key: Key) -> None:
        """Stop reading a shard; what was read of it and not taken is forgotten."""
        lane = self._lanes.pop(key)
        lane.task.cancel()
        self.gaps.pop(key, None)
        forgotten = [part for where, part in self._parts if where == key]
        self._parts = deque((where, part) for where, part in self._parts if where != key)
        self._count(forgotten, -1)
        await self.budget.release(sum(part.size for part in forgotten))
        await asyncio.gather(lane.task, return_exceptions=True)

    def idle(self, key: Key) -> bool:
        """Everything that was read of a shard has been taken, and no gap is open."""
        return key in self._lanes and key not in self.gaps and all(where != key for where, _ in self._parts)

    def settle(self, key: Key) -> None:
        """A gap is on record: its reader goes on."""
        del self.gaps[key]
        self._lanes[key].reader.go_on()

    async def close(self) -> None:
        """Stop all readers and give their bytes back: before the first wait, which may be cut off."""
        self._waker.cancel()
        ends = [lane.task for lane in self._lanes.values()]
        for end in ends:
            end.cancel()
        self._lanes.clear()
        self.gaps.clear()
        forgotten = [part for _, part in self._parts]
        self._parts.clear()
        self._count(forgotten, -1)
        await self.budget.release(sum(part.size for part in forgotten))
        await self.done()
        await asyncio.gather(*ends, return_exceptions=True)

    async def _wake(self) -> None:
        await self._stopping.wait()
        self._news.set()

    async def _read(self, key: Key, reader: ShardReader) -> None:
        async for found in reader.parts():
            if isinstance(found, Gap):
                self.gaps[key] = found
                self._gap_found = True
            else:
                self._parts.append((key, found))
                self._count([found], 1)
            self._news.set()

    async def wait(self, timeout: float, linger: float) -> None:
        """Until there is a unit's worth, or anything at all if the last unit began `linger` seconds ago, or a new gap,
        or the slot is about to be given up; at most `timeout` seconds. Raises what a reader raised.

        So a lone record leaves at once, and a trickle makes one transaction per `linger` seconds."""
        deadline = monotonic() + timeout
        self._turn = next(TURNS)
        while True:
            for lane in self._lanes.values():
                if lane.task.done() and not lane.task.cancelled() and (error := lane.task.exception()) is not None:
                    raise error
            if self._bytes >= UNIT_BYTES or self._records >= UNIT_RECORDS:
                return
            if self._gap_found or self._stopping.is_set():
                self._gap_found = False  # one that waits for an operator is no reason to hurry the neighbours' units
                return
            until = min(deadline, self._last_take + linger) if self._parts else deadline
            left = until - monotonic()
            if left <= 0:
                return
            self._news.clear()
            try:
                await asyncio.wait_for(self._news.wait(), left)
            except TimeoutError:
                return

    def take(self) -> list[tuple[Key, Part]]:
        """What is there now, at most one unit's worth. Its bytes stay in the budget until `done`."""
        taken: list[tuple[Key, Part]] = []
        records = size = 0
        while self._parts:
            part = self._parts[0][1]
            if taken and (records + len(part.records) > BEHIND_RECORDS or size + part.size > BEHIND_BYTES):
                break
            taken.append(self._parts.popleft())
            records += len(part.records)
            size += part.size
        self._count([part for _, part in taken], -1)
        self._taken += size
        if taken:
            self._last_take = monotonic()
        return taken

    def put_back(self, parts: Collection[tuple[Key, Part]]) -> None:
        """The last of what was taken did not go into the unit: it is what comes next."""
        self._parts.extendleft(reversed([*parts]))
        self._count([part for _, part in parts], 1)
        self._taken -= sum(part.size for _, part in parts)

    async def done(self) -> None:
        """What was taken is committed."""
        size, self._taken = self._taken, 0
        await self.budget.release(size)

    def _count(self, parts: Iterable[Part], sign: int) -> None:
        for part in parts:
            self._bytes += sign * part.size
            self._records += sign * len(part.records)
