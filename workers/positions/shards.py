"""Where every shard of a stream stands, as the bridge would judge it. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, assert_never

from models.checkpoint import UNKNOWN_COVER_MS, Boot, Checkpoint
from models.position import Position
from models.shard import Shard
from workers.kinesis.lineage import Begin, Blocked, Ended, Orphaned, Resume, Unbooted, Vanished, decide


class State(StrEnum):
    """As it can be seen from the outside. Whether a worker has stopped a shard, it says itself (web view, log)."""

    READING = "READING"
    IDLE = "IDLE"
    """It could be read, but nobody holds its slot."""
    NOT_BEGUN = "NOT_BEGUN"
    """Nothing of it stands in raw, and it may begin."""
    BLOCKED = "BLOCKED"
    """Its parents are not read to their end."""
    ENDED = "ENDED"
    LOST = "LOST"
    """It, or a parent, left the stream before it was read to its end."""


@dataclass(frozen=True, slots=True)
class ShardStatus:
    """One shard."""

    shard: str
    slot: int
    state: State
    owner: str | None
    """Client id of the worker that holds the slot."""
    parents: tuple[str, ...]
    waits_for: tuple[str, ...] = ()
    """The parents that block it, or are lost."""
    position: Position | None = None
    behind_ms: int | None = None
    """Since everything before that is forwarded; None: it has ended, waits, or nobody knows."""
    share: float | None = None
    """Of the retention; at 1 records are deleted unread. None: not known."""
    arrival_ms: int = 0
    """Of the last record, milliseconds since the epoch; 0: none, or not known."""
    records: int = 0
    gaps: int = 0
    listed: bool | None = None
    """Whether AWS lists it; None: AWS was not asked."""

    @property
    def overdue(self) -> bool:
        """Records are lost, or are being lost."""
        return self.state is State.LOST or (self.share is not None and self.share >= 1)

    def document(self) -> dict[str, Any]:
        """For scripts."""
        return {
            "shard": self.shard, "slot": self.slot, "state": self.state.value, "owner": self.owner,
            "parents": list(self.parents), "waitsFor": list(self.waits_for),
            "sequence": str(self.position.sequence) if self.position is not None else "",
            "subSequence": self.position.sub_sequence if self.position is not None else 0,
            "behindMs": self.behind_ms, "shareOfRetention": self.share, "arrival": self.arrival_ms,
            "records": self.records, "gaps": self.gaps, "listed": self.listed,
        }  # fmt: skip


@dataclass(slots=True)
class Scene:
    """Everything known of one stream. `listed`: None if AWS could not be asked. Times: milliseconds."""

    boot: Boot | None
    placed: Mapping[str, tuple[int, Checkpoint]]
    listed: Mapping[str, Shard] | None
    retention_ms: int | None
    owners: Mapping[int, str]
    slots: int
    now_ms: int

    def checkpoint(self, shard: str) -> Checkpoint | None:
        """See lineage.Known."""
        found = self.placed.get(shard)
        return found[1] if found is not None else None

    def vanished(self, shard: str) -> bool:
        """See lineage.Known: by one listing, which the bridge itself would not believe yet."""
        return self.listed is not None and shard not in self.listed

    def known(self) -> dict[str, Shard]:
        """Every shard that something tells of: the listing, the boot record, parents of theirs, checkpoints."""
        found = {name: Shard(name, 0, 0, checkpoint.parents) for name, (_, checkpoint) in self.placed.items()}
        found |= {child.id: child for _, checkpoint in self.placed.values() for child in checkpoint.children}
        found |= {shard.id: shard for shard in (self.boot.shards if self.boot is not None else ())}
        return found | dict(self.listed or {})


def judge(scene: Scene, *, everything: bool = False) -> list[ShardStatus]:
    """All shards, by name; without those that have ended and left the stream unless `everything`."""
    found = []
    for name, shard in sorted(scene.known().items()):
        status = _judged(scene, shard)
        gone = scene.listed is not None and name not in scene.listed
        unread = name in scene.placed or (scene.boot is not None and name in scene.boot.names)
        if everything or not gone or (unread and status.state is not State.ENDED):
            found.append(status)
    return found


def _judged(scene: Scene, shard: Shard) -> ShardStatus:
    own = scene.checkpoint(shard.id)
    slot = scene.placed[shard.id][0] if shard.id in scene.placed else shard.source_slot(scene.slots)
    owner = scene.owners.get(slot)
    covered = 0
    waits: tuple[str, ...] = ()
    decision = decide(shard, own, scene)
    match decision:
        case Ended():
            state = State.ENDED
        case Resume(checkpoint):
            state, covered = State.READING if owner is not None else State.IDLE, checkpoint.covered_ms
        case Begin(since_ms=since_ms):
            state, covered = State.NOT_BEGUN, since_ms
        case Unbooted():
            state = State.NOT_BEGUN
        case Blocked(parents):
            state, waits = State.BLOCKED, parents
        case Vanished(since_ms):
            state, covered = State.LOST, since_ms
        case Orphaned(parents, since_ms):
            state, waits, covered = State.LOST, parents, since_ms
        case _:
            assert_never(decision)
    behind = max(0, scene.now_ms - covered) if covered > UNKNOWN_COVER_MS else None
    return ShardStatus(
        shard.id, slot, state, owner, shard.parents, waits,
        position=own.position if own is not None else None, behind_ms=behind,
        share=behind / scene.retention_ms if behind is not None and scene.retention_ms else None,
        arrival_ms=own.arrival_ms if own is not None else 0, records=own.records if own is not None else 0,
        gaps=own.gaps if own is not None else 0,
        listed=shard.id in scene.listed if scene.listed is not None else None,
    )  # fmt: skip
