"""A reader of one shard against answers as they come over the wire, in any order and any shape."""

import asyncio
import base64
from collections.abc import AsyncIterator
from typing import Any, cast

import msgspec
import pytest

from models.checkpoint import Checkpoint, ShardState
from models.retry import RetryConfig
from models.shard import Shard
from sandbox.generator.aggregates import aggregated
from workers.aws.client import IRequester
from workers.aws.errors import AwsDenied, AwsError, AwsThrottled, AwsUnavailable
from workers.kinesis.budget import Budget
from workers.kinesis.cursor import Gap, Part, ShardCursor
from workers.kinesis.directory import Listing, ShardDirectory, StreamFacts
from workers.kinesis.lineage import TRIM_HORIZON, Begin, Resume
from workers.kinesis.reader import AGGREGATED_BYTES, SHARD_END, ReadOptions, ShardReader

SHARD = Shard("s", 0, 9)
HOUR = 3_600_000
NOW = 100 * 24 * HOUR
FACTS = StreamFacts("arn", 1, 24 * HOUR, False, False, NOW)
EXPIRED = AwsError("ExpiredIteratorException")


class Wire:
    """Answers GetRecords from a script, and GetShardIterator always, unless `iterators` has something first."""

    def __init__(self, *pages: bytes | Exception) -> None:
        self.pages = list(pages)
        self.iterators: list[bytes | Exception] = []
        self.asked: list[dict[str, Any]] = []

    async def call(self, operation: str, request: bytes) -> bytes:
        if operation == "GetShardIterator":
            self.asked.append(msgspec.json.decode(request))
            found = self.iterators.pop(0) if self.iterators else b'{"ShardIterator":"i"}'
        elif self.pages:
            found = self.pages.pop(0)
        else:
            await asyncio.Event().wait()
        if isinstance(found, Exception):
            raise found
        return found


class Directory:
    """What is listed, as the test says."""

    def __init__(self, *, listed: bool = True, opened: bool = True) -> None:
        self.facts, self.label = FACTS, "arn"
        self.listed, self.opened = listed, opened
        self.refreshed = 0
        self.remade_at = 0

    @property
    def listing(self) -> Listing:
        shards = {"s": SHARD} if self.listed else {}
        return Listing(0.0, shards, frozenset({"s"}) if self.listed and self.opened else frozenset())

    async def refresh(self, *, now: bool = False) -> None:
        self.refreshed += 1
        if self.refreshed == self.remade_at:
            self.facts = StreamFacts("arn", 2, 24 * HOUR, False, False, NOW)


def page(*sequences: object, iterator: str | None = "n", **more: Any) -> bytes:
    records = [
        {"SequenceNumber": str(n), "Data": "eHh4", "PartitionKey": "k", "ApproximateArrivalTimestamp": NOW / 1000}
        for n in sequences
    ]
    found: dict[str, Any] = {"Records": records, "MillisBehindLatest": 0} | more
    return msgspec.json.encode(found | ({"NextShardIterator": iterator} if iterator else {}))


class Reading:
    def __init__(self, wire: Wire, directory: Directory, cursor: ShardCursor | None = None) -> None:
        self.said: list[str] = []
        self.budget = Budget(1 << 30)
        self.reader = ShardReader(
            cast("IRequester", wire), cast("ShardDirectory", directory), FACTS,
            cursor or ShardCursor(SHARD, Begin(TRIM_HORIZON)), ReadOptions(10, 0.0, 0.0, RetryConfig(0.0, 0.0)),
            self.budget, lambda: NOW,
            self.said.append,
        )  # fmt: skip
        self._parts: AsyncIterator[Part | Gap] = self.reader.parts()

    async def next(self) -> Part | Gap:
        async with asyncio.timeout(5):
            return await anext(self._parts)

    async def numbers(self) -> list[str]:
        """Of the records of the next part, which is committed at once."""
        found = await self.next()
        assert isinstance(found, Part)
        await self.budget.release(found.size)
        return [record.sequence_number for record in found.records]

    async def waits(self) -> None:
        """It has nothing more to say, and holds nothing but the room of its next page."""
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await anext(self._parts)


@pytest.mark.parametrize(
    ("error", "counted", "said"),
    [
        (AwsThrottled("ProvisionedThroughputExceededException"), (1, 0, 0), []),
        (AwsUnavailable("InternalFailure"), (0, 0, 1), []),
        (EXPIRED, (0, 1, 0), []),
        (AwsDenied("KMSAccessDeniedException"), (0, 0, 1), ["shard s of arn: KMSAccessDeniedException, trying again"]),
        (AwsError("KMSDisabledException"), (0, 0, 1), ["shard s of arn: KMSDisabledException, trying again"]),
    ],
)
async def test_every_error_is_counted_as_what_it_is_and_told_if_somebody_has_to_act(
    error: Exception, counted: tuple[int, int, int], said: list[str]
) -> None:
    reading = Reading(Wire(page(1, 2), error, page(2, 3)), Directory())
    assert await reading.numbers() == ["1", "2"]
    assert await reading.numbers() == ["2", "3"]
    stats = reading.reader.stats
    assert (stats.throttles, stats.rebuilds, stats.failures) == counted
    assert (reading.said, stats.trouble) == (said, "")


async def test_an_iterator_that_expires_is_built_at_the_last_record() -> None:
    wire = Wire(page(1, 2), EXPIRED, page(2, 3))
    reading = Reading(wire, Directory())
    assert await reading.numbers() == ["1", "2"]
    assert await reading.numbers() == ["2", "3"]  # what stands there is left out when it is unpacked
    assert [asked["ShardIteratorType"] for asked in wire.asked] == ["TRIM_HORIZON", "AT_SEQUENCE_NUMBER"]
    assert wire.asked[1]["StartingSequenceNumber"] == "2"


GARBAGE = [b"", b"{", b"null", b"[]", b"{}", b'{"Records":[', b'{"Records":null}', page("x"), page(1)[:-9]]
BAD_CHILD = {"ShardId": "c", "ParentShards": ["s"], "HashKeyRange": {"StartingHashKey": "low", "EndingHashKey": "9"}}


@pytest.mark.parametrize("garbage", [*GARBAGE, page(1, iterator=None, ChildShards=[BAD_CHILD])])
async def test_an_unreadable_page_is_asked_for_again_and_its_room_is_given_back(garbage: bytes) -> None:
    reading = Reading(Wire(garbage, page(1)), Directory())
    assert await reading.numbers() == ["1"]
    assert reading.reader.stats.failures == 1
    assert reading.budget.used == 0


async def test_half_an_answer_is_not_the_end_of_a_closed_shard() -> None:
    whole = page(1, iterator=None)
    reading = Reading(Wire(whole[: len(whole) // 2], whole), Directory(opened=False))
    assert await reading.numbers() == ["1"]


@pytest.mark.parametrize("garbage", [b"", b"{}", b"null", b'{"ShardIterator":7}', b'{"ShardIter'])
async def test_an_unreadable_iterator_is_asked_for_again(garbage: bytes) -> None:
    wire = Wire(page(1))
    wire.iterators = [garbage]
    reading = Reading(wire, Directory())
    assert await reading.numbers() == ["1"]
    assert reading.reader.stats.failures == 1


@pytest.mark.parametrize("listed", [True, False])
async def test_a_page_without_a_next_iterator_ends_no_shard_that_is_open_or_not_listed(listed: bool) -> None:
    directory = Directory(listed=listed)
    wire = Wire(page(1), page(2, iterator=None), page(1, 2, 3))
    reading = Reading(wire, directory)
    assert await reading.numbers() == ["1"]
    assert await reading.numbers() == ["1", "2", "3"]
    assert directory.refreshed == 1
    assert wire.asked[1]["StartingSequenceNumber"] == "1"


async def test_a_shard_that_is_listed_as_closed_ends_without_children() -> None:
    reading = Reading(Wire(page(1), page(iterator=None)), Directory(opened=False))
    assert await reading.numbers() == ["1"]
    end = await reading.next()
    assert isinstance(end, Part)
    assert end.last
    assert end.children == ()


async def test_a_position_at_the_very_end_of_a_closed_shard_is_its_end() -> None:
    wire = Wire()
    wire.iterators = [AwsError("InvalidArgumentException", f"Invalid SequenceNumber, SequenceNumber {SHARD_END}.")]
    checkpoint = Checkpoint("arn", "s", ShardState.ACTIVE, "99", 0, NOW, 3, (), NOW)
    reading = Reading(wire, Directory(opened=False), ShardCursor(SHARD, Resume(checkpoint)))
    end = await reading.next()
    assert isinstance(end, Part)
    assert (end.last, end.records) == (True, ())
    assert wire.asked[0]["StartingSequenceNumber"] == "99"


async def test_another_invalid_argument_is_no_end_and_is_told() -> None:
    wire = Wire(page(1))
    wire.iterators = [AwsError("InvalidArgumentException", "StartingSequenceNumber did not come from shard s.")]
    reading = Reading(wire, Directory(opened=False))
    assert await reading.numbers() == ["1"]
    assert reading.said == ["shard s of arn: InvalidArgumentException, trying again"]


def behind() -> ShardCursor:
    old = Checkpoint("arn", "s", ShardState.ACTIVE, "5", 0, NOW - 25 * HOUR, 3, (), NOW - 25 * HOUR)
    return ShardCursor(SHARD, Resume(old))


async def test_a_shard_that_waits_for_an_operator_holds_no_room() -> None:
    reading = Reading(Wire(page(9)), Directory(), behind())
    assert isinstance(await reading.next(), Gap)
    assert reading.budget.used == 0


@pytest.mark.parametrize("meanwhile", [[], [EXPIRED], [AwsThrottled("Throttling"), EXPIRED]])
async def test_behind_a_gap_on_record_the_page_is_read_again_and_the_gap_is_not_found_twice(
    meanwhile: list[bytes | Exception],
) -> None:
    reading = Reading(Wire(page(9), *meanwhile, page(9, 10)), Directory(), behind())
    assert isinstance(await reading.next(), Gap)
    reading.reader.go_on()
    assert await reading.numbers() == ["9", "10"]
    assert reading.budget.used == 0


async def test_nothing_is_read_of_a_stream_that_was_made_anew() -> None:
    directory = Directory()
    directory.remade_at = 1
    wire = Wire(page(1), AwsError("ResourceNotFoundException"), page(7))
    reading = Reading(wire, directory)
    assert await reading.numbers() == ["1"]
    await reading.waits()
    assert len(wire.pages) == 1
    assert len(wire.asked) == 1
    assert reading.reader.stats.failures > 1


async def test_a_reader_that_is_cut_off_in_the_middle_of_a_call_gives_its_room_back() -> None:
    reading = Reading(Wire(page(1)), Directory())
    await reading.numbers()
    await reading.waits()
    assert reading.budget.used == 0


async def test_aggregates_come_in_smaller_parts_than_other_records() -> None:
    plain, packed = b"x" * 100_000, aggregated([(f"k{n}", b"", None) for n in range(12_000)])
    assert 100_000 < len(packed) < AGGREGATED_BYTES
    parts = {}
    for data in (plain, packed):
        text = base64.b64encode(data).decode()
        records = [
            {"SequenceNumber": str(n), "Data": text, "PartitionKey": "k", "ApproximateArrivalTimestamp": NOW / 1000}
            for n in range(4)
        ]
        reading = Reading(Wire(page(Records=records)), Directory())
        found = await reading.next()
        assert isinstance(found, Part)
        parts[data] = len(found.records)
    assert parts == {plain: 4, packed: 1}
