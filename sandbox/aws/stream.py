"""A Kinesis stream: its shards, which of them a hash key belongs to, and the changes it is going through."""

import hashlib
import math
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from sandbox.aws.rates import StreamRates
from sandbox.aws.shard import Shard

HASH_KEYS = 1 << 128
KIBIBYTE = 1 << 10
TRIM_SECONDS = 60.0  # how long expired records may stay in memory; they are not served meanwhile
KMS_TAIL = ',"EncryptionType":"KMS"'

Step = Callable[[float], None]  # one part of a change; gets the moment at which it happens, in seconds since 1970


def hash_key(partition_key: str) -> int:
    """MD5 of the key's UTF-8 bytes as an unsigned 128-bit number (Kinesis developer guide)."""
    return int.from_bytes(hashlib.md5(partition_key.encode(), usedforsecurity=False).digest())


@dataclass(slots=True)
class Stream:
    """`created_at` in seconds since 1970; `shards` holds open and closed ones in the order of their index.

    Time passes for a stream only in `settle`: call it before use whenever the clock has reached `due`.
    """

    name: str
    arn: str
    mode: str
    created_at: float
    max_record_kib: int = 1024
    retention_hours: int = 24
    spread: bool = False  # record distribution AUTO: the service chooses the shard
    key_id: str | None = None  # the KMS key, if records are encrypted
    tail: str = ""  # what encryption adds to the JSON text of a record
    rates: StreamRates | None = None
    shards: list[Shard] = field(default_factory=list)
    due: float = -math.inf
    _steps: deque[tuple[float, Step]] = field(default_factory=deque)
    _opened: int = 0
    _turn: int = 0
    _by_name: dict[str, Shard] = field(default_factory=dict)
    _open: list[Shard] = field(default_factory=list)
    _first_keys: list[int] = field(default_factory=list)

    @property
    def status(self) -> str:
        return "UPDATING" if self._steps else "ACTIVE"

    @property
    def retention_seconds(self) -> int:
        return self.retention_hours * 3600

    @property
    def max_record_bytes(self) -> int:
        return self.max_record_kib * KIBIBYTE

    def open_evenly(self, count: int) -> None:
        """Cut the whole hash key space into `count` shards; the last takes what does not divide."""
        width = HASH_KEYS // count
        for index in range(count):
            last = HASH_KEYS - 1 if index == count - 1 else (index + 1) * width - 1
            self.open(index * width, last, self.created_at)
        self.reroute()

    def open(self, first_key: int, last_key: int, now: float, parents: tuple[str, ...] = ()) -> None:
        """Add a shard; `reroute` afterwards."""
        shard = Shard(self._opened, first_key, last_key, now, parents)
        self._opened += 1
        self.shards.append(shard)
        self._by_name[shard.name] = shard

    def reroute(self) -> None:
        """Route by the shards that are open now; to be called whenever one opens or closes."""
        self._open = sorted(
            (shard for shard in self.shards if shard.closed_at is None), key=lambda shard: shard.first_key
        )
        self._first_keys = [shard.first_key for shard in self._open]

    def open_shards(self) -> list[Shard]:
        """In the order of their hash keys."""
        return self._open

    def route(self, key: int | None) -> Shard:
        """The open shard whose range holds `key`; each in turn for None."""
        if key is None:
            self._turn += 1
            return self._open[self._turn % len(self._open)]
        return self._open[bisect_right(self._first_keys, key) - 1]

    def shard(self, name: str) -> Shard | None:
        return self._by_name.get(name)

    def children(self, parent: Shard) -> list[Shard]:
        return [shard for shard in self.shards if parent.name in shard.parents]

    def begin(self, steps: Sequence[Step], now: float, seconds: float) -> None:
        """Be UPDATING for `seconds`, with one step after the other at even distances and the last at the end."""
        for index, step in enumerate(steps, 1):
            self._steps.append((now + seconds * index / len(steps), step))
        self.settle(now)

    def encrypt(self, key_id: str | None) -> None:
        """For records that come from now on; None ends it."""
        self.key_id = key_id
        self.tail = KMS_TAIL if key_id is not None else ""

    def trim_horizon(self, now: float) -> float:
        """What arrived before this moment (seconds since 1970) is no longer served."""
        return now - self.retention_seconds

    def settle(self, now: float) -> None:
        """Do what is due by `now`: steps of a change, and forgetting what the retention no longer covers."""
        while self._steps and self._steps[0][0] <= now:
            moment, step = self._steps.popleft()
            step(moment)
        self.forget(now)
        expiries = [shard.closed_at + self.retention_seconds for shard in self.shards if shard.closed_at is not None]
        self.due = min([now + TRIM_SECONDS, *(moment for moment, _ in self._steps), *expiries])

    def forget(self, now: float) -> None:
        """Free the records that are past their retention, and the closed shards all of whose records are."""
        horizon = self.trim_horizon(now)
        for shard in self.shards:
            shard.trim(shard.before(horizon))
        self.shards = [shard for shard in self.shards if not shard.expired(horizon)]
        self._by_name = {shard.name: shard for shard in self.shards}
