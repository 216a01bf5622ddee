"""A Kinesis stream: its shards, and which of them a hash key belongs to."""

import hashlib
from bisect import bisect_right
from dataclasses import dataclass, field

from sandbox.aws.shard import Shard

HASH_KEYS = 1 << 128
KIBIBYTE = 1 << 10


def hash_key(partition_key: str) -> int:
    """MD5 of the key's UTF-8 bytes as an unsigned 128-bit number (Kinesis developer guide)."""
    return int.from_bytes(hashlib.md5(partition_key.encode(), usedforsecurity=False).digest())


@dataclass(slots=True)
class Stream:
    """`created_at` in seconds since 1970; `shards` holds open and closed ones in the order of their index."""

    name: str
    arn: str
    mode: str
    created_at: float
    max_record_kib: int = 1024
    retention_hours: int = 24
    shards: list[Shard] = field(default_factory=list)
    _open: list[Shard] = field(default_factory=list)
    _first_keys: list[int] = field(default_factory=list)

    @property
    def max_record_bytes(self) -> int:
        return self.max_record_kib * KIBIBYTE

    def open_evenly(self, count: int) -> None:
        """Cut the whole hash key space into `count` shards; the last takes what does not divide."""
        width = HASH_KEYS // count
        for index in range(count):
            last = HASH_KEYS - 1 if index == count - 1 else (index + 1) * width - 1
            self.shards.append(Shard(index, index * width, last, self.created_at))
        self.reroute()

    def reroute(self) -> None:
        """Route by the shards that are open now; to be called whenever one opens or closes."""
        self._open = sorted(self.open_shards(), key=lambda shard: shard.first_key)
        self._first_keys = [shard.first_key for shard in self._open]

    def open_shards(self) -> list[Shard]:
        return [shard for shard in self.shards if shard.closed_at is None]

    def route(self, key: int) -> Shard:
        """The open shard whose range holds `key`."""
        return self._open[bisect_right(self._first_keys, key) - 1]

    def shard(self, name: str) -> Shard | None:
        return next((shard for shard in self.shards if shard.name == name), None)

    def children(self, parent: Shard) -> list[Shard]:
        return [shard for shard in self.shards if parent.name in shard.parents]

    def trim_horizon(self, now: float) -> float:
        """What arrived before this moment (seconds since 1970) is no longer served."""
        return now - self.retention_hours * 3600
