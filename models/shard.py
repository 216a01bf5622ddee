"""A Kinesis shard: its hash range, its parents, and the source slot that owns it."""

from dataclasses import dataclass

HASH_SPACE_BITS = 128


@dataclass(frozen=True, slots=True)
class Shard:
    """As ListShards or the ChildShards of GetRecords describe it; the hash range has inclusive ends."""

    id: str
    first_hash: int
    last_hash: int
    parents: tuple[str, ...] = ()
    """One after a split, two after a merge: the adjacent one, too."""

    def source_slot(self, slots: int) -> int:
        """The slot that owns the shard: by the midpoint of its hash range, so that the children of a shard usually
        stay near it and a uniform stream spreads evenly."""
        middle = (self.first_hash + self.last_hash) // 2
        return (middle * slots) >> HASH_SPACE_BITS
