"""What AWS says of a stream: its shards, its retention, and what has left it."""

import asyncio
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from models.shard import Shard
from workers.aws.errors import AwsError, AwsUnavailable, ErrorCodes
from workers.engine.clock import monotonic
from workers.kinesis.pages import shard_of

REFRESH_SECONDS = 30.0
"""Between two listings, and between the two that must agree before a shard counts as gone."""
RETRY_SECONDS = 5.0
LISTING_ATTEMPTS = 3
"""A page token that expires begins the listing again, so many times."""
HOUR_MS = 3_600_000

Ask = Callable[..., Awaitable[dict[str, Any]]]
"""boto's method name and arguments -> the answer. Raises AwsError."""


@dataclass(frozen=True, slots=True)
class StreamFacts:
    """DescribeStreamSummary."""

    arn: str
    created_ms: int
    retention_ms: int
    unordered: bool
    """Record distribution AUTO: AWS ignores partition keys, and may leave them out."""
    encrypted: bool
    asked_ms: int
    """The service's clock when it answered, in whole seconds; 0 if it did not tell. All times: milliseconds since the
    epoch."""


@dataclass(frozen=True, slots=True)
class Listing:
    """One complete ListShards, all its pages."""

    began_at: float
    """Monotonic seconds."""
    shards: dict[str, Shard]
    open: frozenset[str]


class ShardDirectory:
    """The newest listing of one stream, shared by all slots of a worker, and the older one it agrees with."""

    def __init__(self, ask: Ask, stream: str, slots: int, label: str = "") -> None:
        """`stream`: name or ARN; `slots`: number of source slots; `label`: what messages call it."""
        self._ask = ask
        self._slots = slots
        self._told: dict[str, Shard] = {}
        self._told_at: dict[str, float] = {}
        self._by_slot: dict[int, tuple[Shard, ...]] | None = None
        self._named = {"StreamARN" if stream.startswith("arn:") else "StreamName": stream}
        self.label = label or stream
        """For messages."""
        self._lock = asyncio.Lock()
        self._listings: deque[Listing] = deque()
        self.facts: StreamFacts | None = None
        self.errors = ErrorCodes()
        """Of calls that failed."""
        self._failure: AwsError | None = None
        self._failed_at = float("-inf")
        self._told_ms, self._heard_at = 0, 0.0
        """What the service's clock said, and when it was heard (monotonic seconds)."""

    @property
    def listing(self) -> Listing | None:
        """The newest one."""
        return self._listings[-1] if self._listings else None

    @property
    def failing(self) -> bool:
        """The last look did not come through."""
        return self._failure is not None

    def now_ms(self, here_ms: int) -> int:
        """The service's clock, milliseconds since the epoch: what it told last and what has passed since, never
        ahead of it. Arrival times and the retention are counted by that clock; this host's may be set at any moment.
        `here_ms`, this host's, is for a service that never told."""
        if not self._told_ms:
            return here_ms
        return self._told_ms + int((monotonic() - self._heard_at) * 1000)

    @property
    def due(self) -> bool:
        """Whether `refresh` would ask AWS."""
        at, newest = monotonic(), self.listing
        if self._failure is not None and at - self._failed_at < RETRY_SECONDS:
            return False
        return newest is None or at - newest.began_at >= REFRESH_SECONDS

    async def refresh(self, *, now: bool = False) -> None:
        """List again if the newest listing is 30 s old, or at once. Raises AwsError, which is remembered for 5 s: all
        slots of a worker share one call."""
        asked = monotonic()
        async with self._lock:
            at = monotonic()
            newest = self.listing
            if newest is not None and newest.began_at > (asked if now else at - REFRESH_SECONDS):
                return
            if self._failure is not None and at - self._failed_at < RETRY_SECONDS:
                raise type(self._failure)(self._failure.code)
            try:
                await self._look(at)
            except AwsError as error:
                self._failure, self._failed_at = error, monotonic()
                self.errors.count(error.code)
                raise
            self._failure = None

    async def _look(self, at: float) -> None:
        try:
            self.facts = await self._facts()
            self._add(Listing(at, *await self._list()))
        except (KeyError, TypeError, ValueError):  # half an answer in another way than `_member` knows
            raise AwsUnavailable("UnreadableReply") from None

    def tell(self, children: Iterable[Shard]) -> None:
        """A closed shard's last page, or its checkpoint, names its children: no need to wait for the next listing."""
        for child in children:
            if child.id not in self._told:
                self._told[child.id] = child
                self._by_slot = None
                for heard in (child.id, *child.parents):  # the other parent of a merge may be news, too
                    self._told_at.setdefault(heard, monotonic())

    def of_slot(self, slot: int) -> tuple[Shard, ...]:
        """All known shards of one source slot, the oldest first."""
        if self._by_slot is None:
            known = self._told | (self.listing.shards if self.listing is not None else {})
            by_slot: dict[int, list[Shard]] = defaultdict(list)
            for _, shard in sorted(known.items()):
                by_slot[shard.source_slot(self._slots)].append(shard)
            self._by_slot = {index: tuple(shards) for index, shards in by_slot.items()}
        return self._by_slot.get(slot, ())

    def _add(self, listing: Listing) -> None:
        self._listings.append(listing)
        self._by_slot = None
        # The newest, and the youngest that is old enough to be its witness.
        while len(self._listings) > 2 and listing.began_at - self._listings[1].began_at >= REFRESH_SECONDS:
            self._listings.popleft()

    def absent(self, shard: str, complete_as_of: float) -> bool:
        """In none of the listings of the last 30 s or more, and all checkpoints were read past the newest one
        (`complete_as_of`, monotonic seconds). What was listed before anybody told of the shard proves nothing: a child
        of a moment ago is in no older listing."""
        since = self._told_at.get(shard, float("-inf"))
        listings = [listing for listing in self._listings if listing.began_at >= since]
        if not listings:
            return False
        oldest, newest = listings[0], listings[-1]
        if newest.began_at - oldest.began_at < REFRESH_SECONDS or complete_as_of < newest.began_at:
            return False
        return all(shard not in listing.shards for listing in listings)

    async def _facts(self) -> StreamFacts:
        answer = await self._ask("describe_stream_summary", **self._named)
        found = _member(answer, "StreamDescriptionSummary")
        if told := _date_ms(answer):
            self._told_ms, self._heard_at = told, monotonic()
        return StreamFacts(
            arn=found["StreamARN"],
            created_ms=_milliseconds(found.get("StreamCreationTimestamp")),
            retention_ms=int(found["RetentionPeriodHours"]) * HOUR_MS,
            unordered=found.get("RecordDistributionStrategy", "") == "AUTO",
            encrypted=found.get("EncryptionType", "NONE") != "NONE",
            asked_ms=_date_ms(answer),
        )

    async def _list(self) -> tuple[dict[str, Shard], frozenset[str]]:
        for attempt in range(1, LISTING_ATTEMPTS + 1):
            try:
                described = await self._described()
                break
            except AwsError as error:
                if error.code != "ExpiredNextTokenException" or attempt == LISTING_ATTEMPTS:
                    raise
        opened = (one["ShardId"] for one in described if not one["SequenceNumberRange"].get("EndingSequenceNumber"))
        return {shard.id: shard for shard in map(shard_of, described)}, frozenset(opened)

    async def _described(self) -> list[dict[str, Any]]:
        described: list[dict[str, Any]] = []
        arguments = dict(self._named)
        while True:
            page = await self._ask("list_shards", **arguments)
            described += _member(page, "Shards")
            token = page.get("NextToken")
            if not token:
                return described
            arguments = {"NextToken": token}  # the API takes the token alone


def _member(answer: dict[str, Any], name: str) -> Any:
    """botocore takes half an answer, or one that is not JSON, for one without members (seen with 1.44.5)."""
    try:
        return answer[name]
    except KeyError:
        raise AwsUnavailable("UnreadableReply") from None


def missing_parents(shards: Iterable[Shard], listed: Iterable[str]) -> set[str]:
    """Parents that a listing does not have."""
    return {parent for shard in shards for parent in shard.parents} - set(listed)


def _milliseconds(moment: Any) -> int:
    return int(moment.timestamp() * 1000) if isinstance(moment, datetime) else 0


def _date_ms(answer: dict[str, Any]) -> int:
    headers = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    try:
        return _milliseconds(parsedate_to_datetime(headers["date"]).astimezone(UTC))
    except (KeyError, ValueError, TypeError):
        return 0
