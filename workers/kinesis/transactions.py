"""What one source slot writes: records, positions and losses, each with its checkpoint in the same transaction."""

from collections import deque
from dataclasses import replace

from models.checkpoint import Boot, Checkpoint
from workers.engine.app import StageApp
from workers.engine.errors import StaleBatch
from workers.engine.slot import Slot
from workers.engine.unit import UnitOfWork
from workers.kinesis.checkpoints import CheckpointBook
from workers.kinesis.cursor import Part
from workers.kinesis.forwarding import Loss, forward_aside, record_loss
from workers.kinesis.intake import Intake, Key
from workers.kinesis.source import Bridge, Source

COVER_MS = 60_000
"""An idle shard's checkpoint moves on this often: its age tells whether anything can have been missed."""


class Transactions:
    """`own` moves behind a commit, never before it."""

    def __init__(self, app: StageApp, bridge: Bridge, slot: Slot) -> None:
        self.own = CheckpointBook()
        """The committed checkpoints of the slot."""
        self.stopped: dict[Key, str] = {}
        """Shards that wait for an operator."""
        self._app = app
        self._bridge = bridge
        self._slot = slot

    async def commit(self, intake: Intake) -> bool:
        """Commit what has been read; whether the slot goes on."""
        taken = intake.take()
        covered = self._covered(intake, {key for key, _ in taken})
        if not taken and not covered:
            return True
        try:
            async with UnitOfWork(self._slot, new_work=True) as unit:
                moved = await self._forward(unit, intake, taken) | covered
                for checkpoint in moved.values():  # one per shard, however many parts
                    unit.send(self._bridge.topics.checkpoints, checkpoint.key, checkpoint.encode())
        except StaleBatch:
            return False
        self._moved(moved)
        await intake.done()
        return True

    async def _forward(self, unit: UnitOfWork, intake: Intake, taken: list[tuple[Key, Part]]) -> dict[Key, Checkpoint]:
        """Put what fits into the unit, and let go of it: its bytes are not held twice while the unit commits. An
        aggregate of the KPL becomes many times as large as it was."""
        moved: dict[Key, Checkpoint] = {}
        rest = deque(taken)
        taken.clear()
        while rest and not unit.full:
            key, part = rest.popleft()
            before = moved.get(key) or self.own.checkpoints.get(key)
            source = intake.source(key)
            found = await forward_aside(unit, source.to, key[0], part, before)
            moved[key] = replace(found, source=source.name)
        intake.put_back(rest)
        return moved

    def _covered(self, intake: Intake, taken: set[Key]) -> dict[Key, Checkpoint]:
        """Idle shards whose checkpoint has become old, or who have none yet."""
        found: dict[Key, Checkpoint] = {}
        for key in intake.shards:
            checkpoint = self.own.checkpoints.get(key)
            if (checkpoint is not None and checkpoint.ended) or key in taken or not intake.idle(key):
                continue
            cursor = intake.reader(key).cursor
            if cursor.covered_ms - (checkpoint.covered_ms if checkpoint is not None else 0) >= COVER_MS:
                begun = checkpoint or Checkpoint.first(key[0], cursor.shard)
                found[key] = replace(begun.covering(cursor.covered_ms), source=intake.source(key).name)
        return found

    def _moved(self, moved: dict[Key, Checkpoint]) -> None:
        self.own.checkpoints.update(moved)
        for source in self._bridge.sources:
            source.directory.tell(
                child for (stream, _), found in moved.items() if stream == source.arn for child in found.children
            )

    async def boot(self, boot: Boot) -> bool:
        """Write down where a stream begins; whether that was done."""
        try:
            async with UnitOfWork(self._slot, new_work=True) as unit:
                unit.send(self._bridge.topics.checkpoints, boot.key, boot.encode())
        except StaleBatch:
            return False
        self.own.boots[boot.stream] = boot
        return True

    async def settle_gaps(self, intake: Intake) -> None:
        """Lose what the readers found to be gone."""
        for key, gap in list(intake.gaps.items()):
            if await self.lose(intake.source(key), key, Loss(gap.shard, gap.since_ms, gap.why)):
                intake.settle(key)

    async def lose(self, source: Source, key: Key, loss: Loss) -> bool:
        """Stop the shard, or put the loss on record and go on; whether it goes on."""
        stream, shard = key
        on_gap = self._bridge.on_gap
        if key not in self.stopped:
            self._app.log.critical(
                "GAP in shard %s of %s: %s, on_gap=%s", shard, source.directory.label, loss.why, on_gap
            )
            self._app.slots.stats.gaps += 1
        if on_gap == "stop":
            self.stopped[key] = loss.why
            self._app.blockers[f"{stream}|{shard}"] = loss.why
            return False
        try:
            async with UnitOfWork(self._slot, new_work=True) as unit:
                now = self._bridge.now_of(source)
                found = record_loss(unit, source.to, stream, loss, self.own.checkpoints.get(key), now)
                checkpoint = replace(found, source=source.name)
                unit.send(self._bridge.topics.checkpoints, checkpoint.key, checkpoint.encode())
        except StaleBatch:
            return False
        self._moved({key: checkpoint})
        return True

    def leave(self) -> None:
        """The slot is given up: what stood in the way of being ready is somebody else's now."""
        for stream, shard in self.stopped:
            self._app.blockers.pop(f"{stream}|{shard}", None)
