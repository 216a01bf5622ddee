"""SplitShard, MergeShards and UpdateShardCount."""

from typing import Any

from sandbox.aws.errors import invalid_argument
from sandbox.aws.fields import Body, choice, named, whole
from sandbox.aws.kinesis_write import HASH_KEY
from sandbox.aws.protocol import Operations
from sandbox.aws.reshard import merge, split, uniform_steps
from sandbox.aws.shard import Shard
from sandbox.aws.stream import Stream
from sandbox.aws.streams import Streams, refuse_on_demand

SCALING = frozenset({"UNIFORM_SCALING"})
MOST_SHARDS = 10_000


class Resharding:
    """A stream is UPDATING until it is done; readers and writers go on meanwhile."""

    def __init__(self, streams: Streams) -> None:
        self._streams = streams

    def operations(self) -> Operations:
        return {
            "SplitShard": self._split_shard,
            "MergeShards": self._merge_shards,
            "UpdateShardCount": self._update_shard_count,
        }

    async def _split_shard(self, body: Body) -> None:
        now = self._streams.clock()
        stream = self._streams.of(body, now)
        refuse_on_demand(stream, "SplitShard")
        parent = self._streams.shard(stream, body, "ShardToSplit")
        key = int(named(body, "NewStartingHashKey", HASH_KEY, longest=39))
        self._refuse_closed(stream, parent)
        if not parent.first_key + 1 < key < parent.last_key:
            raise invalid_argument(
                f"NewStartingHashKey {key} used in SplitShard() on shard {parent.name} in "
                f"{self._streams.where(stream)} is not both greater than one plus the shard's StartingHashKey "
                f"{parent.first_key} and less than the shard's EndingHashKey {parent.last_key}."
            )
        self._streams.refuse_busy(stream)
        self._streams.begin(stream, now, lambda moment: split(stream, parent, key, moment))

    async def _merge_shards(self, body: Body) -> None:
        now = self._streams.clock()
        stream = self._streams.of(body, now)
        refuse_on_demand(stream, "MergeShards")
        parent = self._streams.shard(stream, body, "ShardToMerge")
        adjacent = self._streams.shard(stream, body, "AdjacentShardToMerge")
        for shard in (parent, adjacent):
            self._refuse_closed(stream, shard)
        if parent.last_key + 1 != adjacent.first_key:  # the other way round is refused, too
            raise invalid_argument(
                f"Shards {parent.name} and {adjacent.name} in {self._streams.where(stream)} "
                "are not an adjacent pair of shards eligible for merging"
            )
        self._streams.refuse_busy(stream)
        self._streams.begin(stream, now, lambda moment: merge(stream, parent, adjacent, moment))

    async def _update_shard_count(self, body: Body) -> dict[str, Any]:
        now = self._streams.clock()
        stream = self._streams.active(body, now)
        refuse_on_demand(stream, "UpdateShardCount")
        target = whole(body, "TargetShardCount", 1, MOST_SHARDS)
        choice(body, "ScalingType", SCALING)
        current = len(stream.open_shards())
        counts = f"Current open shard count: {current} Target shard count: {target}"
        if target > 2 * current:
            raise invalid_argument(
                f"UpdateShardCount cannot scale up over double your current open shard count. {counts}"
            )
        if 2 * target < current:
            raise invalid_argument(
                f"UpdateShardCount cannot scale down below half your current open shard count. {counts}"
            )
        self._streams.begin(stream, now, *uniform_steps(stream, target))
        return {
            "StreamName": stream.name,
            "StreamARN": stream.arn,
            "CurrentShardCount": current,
            "TargetShardCount": target,
        }

    def _refuse_closed(self, stream: Stream, shard: Shard) -> None:
        if shard.closed_at is not None:
            raise invalid_argument(
                f"Shard {shard.name} in {self._streams.where(stream)} has already been merged or split, "
                "and thus is not eligible for merging or splitting."
            )
