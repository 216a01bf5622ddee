"""The shards of a stream, and which source slot each of them belongs to."""

import asyncio
from dataclasses import dataclass
from typing import Any

from workers.aws.client import Session
from workers.aws.errors import AwsError

HASH_SPACE_BITS = 128
REFRESH_SECONDS = 30.0
RETRY_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Shard:
    """A shard as ListShards describes it; the hash range has inclusive ends."""

    id: str
    first_hash: int
    last_hash: int
    parents: tuple[str, ...]

    def source_slot(self, slots: int) -> int:
        """The slot that owns the shard: by the midpoint of its hash range, so that the children of a shard usually
        stay near it and a uniform stream spreads evenly."""
        middle = (self.first_hash + self.last_hash) // 2
        return (middle * slots) >> HASH_SPACE_BITS


def shard_of(described: dict[str, Any]) -> Shard:
    """From a Shard structure of the Kinesis API."""
    found = (described.get("ParentShardId"), described.get("AdjacentParentShardId"))
    return Shard(
        id=described["ShardId"],
        first_hash=int(described["HashKeyRange"]["StartingHashKey"]),
        last_hash=int(described["HashKeyRange"]["EndingHashKey"]),
        parents=tuple(parent for parent in found if parent),
    )


class ShardDirectory:
    """The listing all slots of a worker share. It is read when first asked for and then every 30 s."""

    def __init__(self, session: Session, stream: str, slots: int) -> None:
        self._session = session
        self._stream = stream
        self._slots = slots
        self._lock = asyncio.Lock()
        self._listed_at = float("-inf")
        self._told: str | None = None
        self.shards: tuple[Shard, ...] = ()

    async def of_slot(self, slot: int) -> tuple[Shard, ...]:
        """Shards of one source slot, by the newest listing (at most REFRESH_SECONDS old). Raises AwsError."""
        async with self._lock:
            now = asyncio.get_running_loop().time()
            if now - self._listed_at >= REFRESH_SECONDS:
                self.shards = await self._list()
                self._listed_at = now
                self._told = None
        return tuple(shard for shard in self.shards if shard.source_slot(self._slots) == slot)

    def is_news(self, error: AwsError) -> bool:
        """Whether no slot has told of this failure yet: 48 slots share one listing, and one log line is enough."""
        news = self._told != error.code
        self._told = error.code
        return news

    async def _list(self) -> tuple[Shard, ...]:
        found: list[Shard] = []
        arguments: dict[str, Any] = {"StreamName": self._stream}
        while True:
            page = await self._session.cold("kinesis", "list_shards", **arguments)
            found += map(shard_of, page["Shards"])
            token = page.get("NextToken")
            if not token:
                return tuple(found)
            arguments = {"NextToken": token}  # the API takes the token alone
