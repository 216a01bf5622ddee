"""Deletion of records under running workers: harmless below the committed position, a loud gap ahead of it."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping
from time import monotonic
from typing import Any

from sandbox.chaos.topics import Entry, Topics

WAIT_SECONDS = 20.0


class Deleter:
    """Deletes records of the source topic; what was committed there is read first, so that the checker knows it."""

    def __init__(self, topics: Topics, topic: str, stage: str) -> None:
        self.topics = topics
        self.topic = topic
        self.stage = stage
        self.saved: list[Entry] = []
        self.skipped: dict[int, list[tuple[int, int]]] = defaultdict(list)
        """{partition: [(first, end)]}: offsets that were deleted before they were processed."""

    async def behind(self) -> tuple[bool, dict[str, Any]]:
        """Delete up to the committed positions, as soon as one lies within its log; whether the log starts moved."""
        deadline = monotonic() + WAIT_SECONDS
        while True:
            fired, proof = await self._delete(await self._positions())
            if fired or monotonic() > deadline:
                return fired, proof
            await asyncio.sleep(0.5)

    async def ahead(self) -> tuple[bool, dict[str, Any]]:
        """Delete half of what nobody has processed yet. No worker may run meanwhile."""
        positions, ends = await self._positions(), await self.topics.log_ends(self.topic)
        wanted = {index: at + (ends[index] - at) // 2 for index, at in positions.items() if ends[index] - at > 1}
        fired, proof = await self._delete(wanted)
        for index, end in wanted.items():
            self.skipped[index].append((positions[index], end))
        return fired, proof | {"skipped": {str(index): [positions[index], end] for index, end in wanted.items()}}

    async def _positions(self) -> dict[int, int]:
        return {partition: offset for partition, (offset, _) in (await self.topics.committed(self.stage)).items()}

    async def _delete(self, wanted: Mapping[int, int]) -> tuple[bool, dict[str, Any]]:
        before = await self.topics.log_starts(self.topic)
        wanted = {index: offset for index, offset in wanted.items() if offset > before[index]}
        if not wanted:
            return False, {"log_starts": before}
        dump = await self.topics.dump(self.topic, wanted)
        self.saved += dump.rows
        after = await self.topics.delete_before(self.topic, wanted)
        moved = {str(index): [before[index], after[index]] for index in wanted if after[index] > before[index]}
        return len(moved) == len(wanted) and dump.complete, {"log_starts": moved}
