"""A slot with thousands of closed shards looks at those that are not dealt with."""

import asyncio
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from models.checkpoint import Checkpoint, ShardState
from models.shard import Shard
from workers.kinesis.slot_work import SlotWork

ARN = "arn"
CLOSED = [Shard(f"closed-{number}", 0, 9) for number in range(2_000)]
READ, NEW = Shard("read", 0, 9), Shard("new", 0, 9)


class Looks(dict[tuple[str, str], Checkpoint]):
    """Checkpoints that count who asks for one."""

    count = 0

    def get(self, key: tuple[str, str], default: Any = None) -> Any:
        self.count += 1
        return super().get(key, default)


def ended(shard: Shard) -> Checkpoint:
    return replace(Checkpoint.first(ARN, shard), state=ShardState.SHARD_END)


def test_what_has_ended_and_is_dealt_with_is_not_looked_at_again() -> None:
    nothing: Any = None
    known = (*CLOSED, READ)
    source: Any = SimpleNamespace(directory=SimpleNamespace(of_slot=lambda _: known))
    intake: Any = SimpleNamespace(shards={(ARN, READ.id)})
    work = SlotWork(nothing, nothing, nothing, SimpleNamespace(index=0), asyncio.Event())  # type: ignore[arg-type]
    work.own.checkpoints = found = Looks({(ARN, shard.id): ended(shard) for shard in known})

    def looked_at() -> list[Shard]:
        return list(work._shards(source, ARN, intake))

    assert looked_at() == [READ]  # its reader has to end
    found.count = 0
    assert looked_at() == [READ]
    assert found.count < 10
    intake.shards = set()
    assert looked_at() == []
    known = (*known, NEW)
    assert looked_at() == [NEW]
    gone = Shard("gone", 0, 0)
    found[ARN, "gone"] = Checkpoint.first(ARN, gone)
    assert looked_at() == [NEW, gone]
