"""The checkpoints as a worker sees them: its own slots' behind their fence, everybody's as they come."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from models.checkpoint import Boot, Checkpoint, decode_entry
from models.shard import Shard
from workers.engine.catch_up import read_to_end
from workers.engine.follower import Follower
from workers.engine.types import TP


@dataclass(slots=True)
class CheckpointBook:
    """Checkpoints and boot records by stream."""

    checkpoints: dict[tuple[str, str], Checkpoint] = field(default_factory=dict)
    """By (stream, shard)."""
    boots: dict[str, Boot] = field(default_factory=dict)
    active: dict[int, set[tuple[str, str]]] = field(default_factory=lambda: defaultdict(set))
    """By source slot: shards that have not ended."""

    def apply(self, record: Any) -> Checkpoint | None:
        """Take in a record of the topic; what it says of a shard. Raises ValueError for an unreadable one."""
        stream, _, shard = record.key.decode().rpartition("|")
        key = (stream, shard)
        if record.value is None:
            self.boots.pop(stream, None) if not shard else self.checkpoints.pop(key, None)
            self.active[record.partition].discard(key)
            return None
        match decode_entry(record.key, record.value):
            case Boot() as boot:
                self.boots[stream] = boot
                return None
            case Checkpoint() as checkpoint:
                self.checkpoints[key] = checkpoint
                (self.active[record.partition].discard if checkpoint.ended else self.active[record.partition].add)(key)
                return checkpoint

    def of(self, stream: str) -> Iterator[Checkpoint]:
        """The checkpoints of one stream."""
        return (found for (where, _), found in self.checkpoints.items() if where == stream)


async def read_checkpoints(client: dict[str, Any], topic: str, slot: int) -> CheckpointBook:
    """What stands in one slot. Call it after the slot's InitProducerId: only its producer writes there, so up to the
    high watermark everything is decided. Raises ValueError for an unreadable record: a position is not guessed."""
    book = CheckpointBook()
    await read_to_end(client, {TP(topic, slot): 0}, book.apply)
    return book


class CheckpointWatch:
    """Everybody's checkpoints, a moment late: parents may belong to other workers."""

    def __init__(self, client: dict[str, Any], topic: str, slots: int, tell: Callable[[str], None]) -> None:
        self.book = CheckpointBook()
        self.unreadable: set[tuple[int, bytes]] = set()
        """(partition, key) of records of another format: as long as there is one, nothing counts as absent."""
        self._tell = tell
        self._children: dict[tuple[str, str], tuple[Shard, ...]] = {}
        self.follower = Follower(client, topic, slots, self._apply)

    @property
    def complete_as_of(self) -> float:
        """Everything committed before this (monotonic seconds) is in the book."""
        return float("-inf") if self.unreadable else self.follower.complete_as_of

    def past(self, moment: float) -> bool:
        """Everything that was committed before `moment` (monotonic seconds) has been read. Earlier than that, the book
        may hold checkpoints that a reset has taken back since."""
        self.follower.wanted = max(self.follower.wanted, moment)
        return self.follower.complete_as_of >= moment

    def take_children(self, stream: str) -> list[Shard]:
        """What closed shards have told of their children since this was last asked."""
        told = [key for key in self._children if key[0] == stream]
        return [child for key in told for child in self._children.pop(key)]

    def _apply(self, record: Any) -> None:
        where = (record.partition, record.key)
        try:
            checkpoint = self.book.apply(record)
        except (ValueError, AttributeError) as error:
            if where not in self.unreadable:
                self._tell(f"slot {record.partition}: {error}")
            self.unreadable.add(where)
        else:
            self.unreadable.discard(where)
            stream, _, shard = record.key.decode().rpartition("|")
            if checkpoint is None:  # taken back by a reset: it tells of nobody
                self._children.pop((stream, shard), None)
            elif checkpoint.children:
                self._children[stream, shard] = checkpoint.children
