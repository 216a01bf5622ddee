"""Deletion of records under running workers: harmless below the committed position, a loud gap ahead of it."""

import asyncio
from typing import Any

from sandbox.chaos.plan import Action
from sandbox.chaos.topics import Entry, Topics

AHEAD = 20
"""Records of a partition that are deleted before anybody has read them."""


class Deleter:
    """Deletes records of the source topic; what was committed there is read first, so that the checker knows it."""

    def __init__(self, topics: Topics, topic: str, stage: str) -> None:
        self.topics = topics
        self.topic = topic
        self.stage = stage
        self.saved: list[Entry] = []
        self.ahead: dict[int, tuple[int, int]] = {}
        """{partition: (first, end)} of offsets that were deleted before they were processed."""

    async def delete(self, action: Action) -> tuple[bool, dict[str, Any]]:
        """Delete up to the committed positions, or beyond them; whether the log starts moved."""
        before = await self.topics.log_starts(self.topic)
        committed = {partition: offset for partition, (offset, _) in (await self.topics.committed(self.stage)).items()}
        await asyncio.sleep(0)
        wanted = {partition: offset for partition, offset in committed.items() if offset > before[partition]}
        if not wanted:
            return False, {}
        dump = await self.topics.dump(self.topic, wanted)
        self.saved += dump.rows
        after = await self.topics.delete_before(self.topic, wanted)
        moved = {str(p): [before[p], after[p]] for p in wanted if after[p] > before[p]}
        return bool(moved) and dump.complete, {"kind": action.kind, "moved": moved}
