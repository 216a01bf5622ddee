"""Reads one shard in order, politely. Positions belong to the slot that commits them."""

import asyncio
import contextlib
import itertools
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec

from models.checkpoint import UNKNOWN_COVER_MS
from models.retry import RETRY_OF, Component, RetryConfig
from workers.aws.client import IRequester
from workers.aws.errors import AwsError, AwsThrottled, AwsUnavailable, ErrorCodes
from workers.engine.clock import monotonic
from workers.kinesis.budget import Budget
from workers.kinesis.cursor import Gap, Part, ShardCursor
from workers.kinesis.directory import ShardDirectory, StreamFacts
from workers.kinesis.pace import Pace
from workers.kinesis.pages import Page, ShardIterator, any_aggregate, data_bytes

PART_RECORDS = 5_000
PART_BYTES = 2 << 20
AGGREGATED_BYTES = PART_BYTES >> 3
"""The same with aggregates of the KPL among them: small user records are ten times as large in Kafka."""
PAGE_BYTES = 2 << 20
"""Data a page should hold: with five calls a second it is five times what a shard gives, and the memory of a page is
about three times its data."""
LEAST_RECORDS = 100
FIRST_PAGE_BYTES = 1 << 20
LARGEST_PAGE_BYTES = 10 << 20
"""Of one GetRecords reply (AWS service quotas)."""
GONE = "ResourceNotFoundException"
EXPIRED = "ExpiredIteratorException"
SHARD_END = "has reached max possible value for the shard"
"""What GetShardIterator says of the number behind a closed shard's last record (etspaceman/kinesis-mock#1536)."""

TURNS = itertools.count(1)
"""Of everything that goes round in the bridge."""

Now = Callable[[], int]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """Bounds of every reader: records per call, least seconds between calls, share of the shard's limits. A read that
    fails is tried again without an end."""

    limit: int
    interval: float
    share: float
    retry: RetryConfig = RETRY_OF[Component.KINESIS]


@dataclass(slots=True)
class ShardStats:
    """What a reader has met since it was made."""

    calls: int = 0
    records: int = 0
    """Kinesis records: an aggregate is one."""
    bytes: int = 0
    millis_behind: int = 0
    throttles: int = 0
    rebuilds: int = 0
    failures: int = 0
    errors: ErrorCodes = field(default_factory=ErrorCodes)
    """All of them, throttles and rebuilds too, by code."""
    trouble: str = ""
    """Code of the error that is being waited out."""


@dataclass(slots=True)
class ShardReader:
    """An endless sequence of parts, and of gaps: after one of those it waits until it is told to go on."""

    client: IRequester
    directory: ShardDirectory
    facts: StreamFacts
    cursor: ShardCursor
    options: ReadOptions
    budget: Budget
    now_ms: Now
    """The clock of the service, not this host's."""
    tell: Callable[[str], None]
    """Says what an operator has to know; called again and again while it lasts."""
    stats: ShardStats = field(default_factory=ShardStats)
    turn: int = field(default_factory=lambda: next(TURNS))
    """Another number at every turn, whatever comes of it; no two readers have the same."""
    waits: bool = False
    """For its turn, for room, or for an operator: not for anything it could do itself."""
    _forgiven: asyncio.Event = field(default_factory=asyncio.Event)
    _expected: int = FIRST_PAGE_BYTES
    _limit: int = LEAST_RECORDS

    @property
    def age_ms(self) -> int | None:
        """Everything that arrived longer ago than this has been read; unlike what the last page said it grows while
        nothing is read. None: nobody knows yet."""
        covered = self.cursor.covered_ms
        return max(0, self.now_ms() - covered) if covered > UNKNOWN_COVER_MS else None

    def go_on(self) -> None:
        """The gap is on record."""
        self._forgiven.set()

    async def parts(self) -> AsyncIterator[Part | Gap]:
        """Parts with records, and the last one of a closed shard, whose bytes are taken from the budget. Throttles,
        outages and refusals are waited out here."""
        pace = Pace(self.options.share, self.options.interval) if self.options.share else None
        iterator: str | None = None
        failures = 0
        while True:
            self.turn = next(TURNS)
            self.waits = True
            if pace is not None and (delay := pace.delay(monotonic())):
                await asyncio.sleep(delay)
            reserved = min(self._expected, LARGEST_PAGE_BYTES)
            await self.budget.reserve(reserved)
            self.waits = False
            held = reserved
            try:
                asked_ms = self.now_ms()
                page = await self._page(iterator, pace)
                size = data_bytes(page.records)
                held = size
                await self.budget.correct(reserved, size)
                if page.ended and not page.child_shards and not await self._closed():
                    raise AwsUnavailable("NoNextShardIterator")
                failures = 0
                # The limit of the next call is set for PAGE_BYTES: four pages fit into the room of a slot.
                most = max(size, min(size + size // 4, PAGE_BYTES))
                self._expected = max(self._expected // 2, FIRST_PAGE_BYTES >> 4, most)
                self._note(page, size)
                if page.records:
                    fitting = PAGE_BYTES * len(page.records) // max(1, size)
                    self._limit = min(self.options.limit, max(LEAST_RECORDS, fitting))
                gap = self.cursor.gap(page, asked_ms, (self.directory.facts or self.facts).retention_ms)
                if gap is not None:
                    # An operator may take days: the neighbours get the room, and the page is asked for again.
                    held = 0
                    await self.budget.release(size)
                    self._forgiven.clear()
                    self.waits = True
                    yield gap
                    await self._forgiven.wait()
                    self.waits = False
                    self.cursor.forgive()
                    continue
                most_bytes = AGGREGATED_BYTES if any_aggregate(page.records) else PART_BYTES
                for part in self.cursor.parts(page, asked_ms, max_records=PART_RECORDS, max_bytes=most_bytes):
                    held -= part.size
                    yield part
                if pace is not None:
                    pace.read(monotonic(), size, page.millis_behind_latest)
                elif not page.records:
                    await asyncio.sleep(self.options.interval)
                iterator = page.next_shard_iterator
                if iterator is None:
                    return
            except AwsError as error:
                failures += 1
                if self._rebuilds(error):
                    iterator = None
                    self.cursor.rebuild()
                self.stats.trouble = error.code
                self._expected = FIRST_PAGE_BYTES >> 4  # what hangs again holds little of everybody's room
                unused, held = held, 0  # room is not held while waiting
                await self.budget.release(unused)
                if error.code in (GONE, EXPIRED):
                    # An iterator that expired while the whole machine stood still: the clock of the service has to be
                    # heard again before anybody says what the retention has deleted.
                    with contextlib.suppress(AwsError):  # said by whoever lists
                        await self.directory.refresh(now=True)
                await asyncio.sleep(self.options.retry.delay(failures, random.random()))
            finally:
                # What was not handed on: a failed read, or records that had been committed before.
                await self.budget.release(held)

    async def _page(self, iterator: str | None, pace: Pace | None) -> Page:
        if iterator is None:
            self._refuse_remade()
            where = {"StreamARN": self.facts.arn, "ShardId": self.cursor.shard.id, **self.cursor.iterator()}
            try:
                answer = await self._call("GetShardIterator", where)
            except AwsError as error:
                if error.code == "InvalidArgumentException" and SHARD_END in str(error):
                    return Page(records=[])
                raise
            iterator = _decoded(answer, ShardIterator).shard_iterator
        if pace is not None:
            pace.called(monotonic())
        request = {"ShardIterator": iterator, "Limit": self._limit, "StreamARN": self.facts.arn}
        page = _decoded(await self._call("GetRecords", request), Page)
        if not page.sound:
            raise AwsUnavailable("UnreadableReply")
        return page

    async def _call(self, operation: str, request: dict[str, Any]) -> bytes:
        self.stats.calls += 1
        return await self.client.call(operation, msgspec.json.encode(request))

    def _refuse_remade(self) -> None:
        """A stream that was deleted and made anew has shards of the same names: not one of its records may be taken for
        ours. The slot's next look at the listing ends the stage."""
        facts = self.directory.facts
        if facts is not None and facts.created_ms != self.facts.created_ms:
            raise AwsUnavailable("StreamMadeAnew")

    async def _closed(self) -> bool:
        """A page without a next iterator and without children: only a closed shard ends, so the listing is asked. One
        that lacks the shard says nothing: listings miss shards, and what is gone for good is a gap, not an end."""
        await self.directory.refresh(now=True)
        listing, shard = self.directory.listing, self.cursor.shard.id
        return listing is not None and shard in listing.shards and shard not in listing.open

    def _note(self, page: Page, size: int) -> None:
        stats = self.stats
        stats.records += len(page.records)
        stats.bytes += size
        stats.millis_behind = page.millis_behind_latest
        stats.trouble = ""

    def _rebuilds(self, error: AwsError) -> bool:
        """Count an error; whether the iterator is of no more use."""
        self.stats.errors.count(error.code)
        match error:
            case AwsThrottled():
                self.stats.throttles += 1
                return False
            case AwsUnavailable():
                self.stats.failures += 1
                return error.code == "NoNextShardIterator"
        if error.code == EXPIRED:
            self.stats.rebuilds += 1
            return True
        self.stats.failures += 1
        self.tell(f"shard {self.cursor.shard.id} of {self.directory.label}: {error.code}, trying again")
        return True


def _decoded(answer: bytes, kind: type[T]) -> T:
    """An answer, or AwsUnavailable: half of one, or something else altogether, is an answer that did not come."""
    try:
        return msgspec.json.decode(answer, type=kind)
    except msgspec.MsgspecError:
        raise AwsUnavailable("UnreadableReply") from None
