"""Answers of Kinesis as they come over the wire (JSON 1.1, service model 2013-12-02)."""

from collections.abc import Iterable
from operator import attrgetter, itemgetter
from typing import Any

import msgspec

from models.shard import Shard
from models.sources.kpl import MAGIC


class Record(msgspec.Struct, rename="pascal", gc=False):
    """A record of GetRecords. AUTO record distribution leaves the partition key out.

    The garbage collector, which would look at ten thousands of them again and again, has nothing to find in them."""

    sequence_number: str
    data: bytes
    partition_key: str = ""
    approximate_arrival_timestamp: float = 0.0

    @property
    def arrival_ms(self) -> int:
        """Milliseconds since the epoch."""
        return round(self.approximate_arrival_timestamp * 1000)


_data = attrgetter("data")
_beginning = itemgetter(slice(len(MAGIC)))


def data_bytes(records: Iterable[Record]) -> int:
    """Bytes of their data."""
    return sum(map(len, map(_data, records)))


def any_aggregate(records: Iterable[Record]) -> bool:
    """Whether one of them begins like an aggregate of the KPL."""
    return MAGIC in map(_beginning, map(_data, records))


class HashKeyRange(msgspec.Struct, rename="pascal"):
    """Decimal strings of up to 39 digits, both ends inclusive."""

    starting_hash_key: str
    ending_hash_key: str


class ChildShard(msgspec.Struct, rename="pascal"):
    """What the last page of a closed shard says of its children."""

    shard_id: str
    parent_shards: tuple[str, ...]
    hash_key_range: HashKeyRange


class Page(msgspec.Struct, rename="pascal"):
    """One answer of GetRecords."""

    records: list[Record]
    next_shard_iterator: str | None = None
    millis_behind_latest: int = 0
    child_shards: tuple[ChildShard, ...] = ()

    @property
    def sound(self) -> bool:
        """Whether every number is one: a wrong one would end the reader."""
        numbers = [record.sequence_number for record in self.records]
        for child in self.child_shards:
            numbers += msgspec.structs.astuple(child.hash_key_range)
        return all(numbers) and (not numbers or "".join(numbers).encode("utf-8", "replace").isdigit())

    @property
    def ended(self) -> bool:
        """The shard is closed and this was its last page."""
        return self.next_shard_iterator is None

    @property
    def children(self) -> tuple[Shard, ...]:
        """Of a shard that has ended; an emulator may leave them out."""
        return tuple(
            Shard(
                child.shard_id, int(child.hash_key_range.starting_hash_key), int(child.hash_key_range.ending_hash_key),
                child.parent_shards,
            )
            for child in self.child_shards
        )  # fmt: skip


class ShardIterator(msgspec.Struct, rename="pascal"):
    """The answer of GetShardIterator."""

    shard_iterator: str


def shard_of(described: dict[str, Any]) -> Shard:
    """From a Shard structure of ListShards."""
    found = (described.get("ParentShardId"), described.get("AdjacentParentShardId"))
    return Shard(
        id=described["ShardId"],
        first_hash=int(described["HashKeyRange"]["StartingHashKey"]),
        last_hash=int(described["HashKeyRange"]["EndingHashKey"]),
        parents=tuple(parent for parent in found if parent),
    )
