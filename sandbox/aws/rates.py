"""Throughput limits of the shards of one stream, as AWS documents them. Time is that of the stand-in's clock."""

from collections import defaultdict, deque
from dataclasses import dataclass, field
from typing import Annotated

import msgspec

from sandbox.aws.errors import AwsError

MEBIBYTE = 1 << 20
Amount = Annotated[int, msgspec.Meta(ge=1)] | None


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Per shard and second; None is no limit. The defaults are those of AWS (quotas page and API reference)."""

    get_records: Amount = 5
    read_bytes: Amount = 2 * MEBIBYTE
    put_records: Amount = 1_000
    put_bytes: Amount = MEBIBYTE
    get_shard_iterator: Amount = 5


@dataclass(slots=True)
class Rate:
    """How much went through within the last second.

    What is more than a second's worth may pass alone and then counts for as long as it is worth: 10 MiB of 2 MiB a
    second block what follows for 5 s, as the API reference says of GetRecords.
    """

    per_second: int | None
    _spent: int = 0
    _taken: deque[tuple[float, int]] = field(default_factory=deque)

    def free(self, amount: int, now: float) -> bool:
        """Whether `amount` more may go through at `now`."""
        if self.per_second is None:
            return True
        while self._taken and self._taken[0][0] <= now:
            self._spent -= self._taken.popleft()[1]
        return not self._taken or self._spent + amount <= self.per_second

    def take(self, amount: int, now: float) -> None:
        """Count `amount`; nothing is refused here."""
        if self.per_second is not None and amount:
            self._taken.append((now + max(1.0, amount / self.per_second), amount))
            self._spent += amount


def _of_each_shard(per_second: int | None) -> dict[str, Rate]:
    return defaultdict(lambda: Rate(per_second))


class StreamRates:
    """The rates of all shards of a stream. Each method raises ProvisionedThroughputExceededException."""

    def __init__(self, limits: Limits, where: str) -> None:
        """`where` names stream and account in messages."""
        self.limits = limits
        self._where = where
        self._reads = _of_each_shard(limits.get_records)
        self._read_bytes = _of_each_shard(limits.read_bytes)
        self._writes = _of_each_shard(limits.put_records)
        self._write_bytes = _of_each_shard(limits.put_bytes)
        self._iterators = _of_each_shard(limits.get_shard_iterator)

    def iterator(self, shard: str, now: float) -> None:
        """Before GetShardIterator."""
        rate = self._iterators[shard]
        if not rate.free(1, now):
            raise self._exceeded(shard)
        rate.take(1, now)

    def before_read(self, shard: str, now: float) -> None:
        """Before GetRecords: it is not yet known how much that is."""
        calls = self._reads[shard]
        if not (calls.free(1, now) and self._read_bytes[shard].free(1, now)):
            raise self._exceeded(shard)
        calls.take(1, now)

    def after_read(self, shard: str, size: int, now: float) -> None:
        """After GetRecords gave `size` bytes."""
        self._read_bytes[shard].take(size, now)

    def write(self, shard: str, size: int, now: float) -> None:
        """Before a record of `size` bytes."""
        records, volume = self._writes[shard], self._write_bytes[shard]
        if not (records.free(1, now) and volume.free(size, now)):
            raise self._exceeded(shard)
        records.take(1, now)
        volume.take(size, now)

    def _exceeded(self, shard: str) -> AwsError:
        return AwsError("ProvisionedThroughputExceededException", f"Rate exceeded for shard {shard} in {self._where}.")
