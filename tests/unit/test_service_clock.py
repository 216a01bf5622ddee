"""Arrivals and the retention are counted by the clock of the service: that of a host may be set at any time."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from models.checkpoint import Checkpoint, ShardState
from models.retry import RetryConfig
from models.shard import Shard
from models.start_position import StartAt
from tests.unit.clock import Clock
from workers.aws.client import IRequester
from workers.aws.errors import AwsError
from workers.kinesis import directory as module
from workers.kinesis.budget import Budget
from workers.kinesis.cursor import Gap, Part
from workers.kinesis.directory import ShardDirectory
from workers.kinesis.lineage import Resume
from workers.kinesis.reader import ReadOptions, ShardReader
from workers.kinesis.slot_work import SlotWork
from workers.kinesis.source import Bridge, Source

BEGAN = datetime(2026, 1, 15, 10, tzinfo=UTC)
HOURS_24 = 24


def milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


class Service:
    """A stream with one idle shard, on a clock of its own; the host's clock can be set apart from it."""

    def __init__(self, passing: Clock) -> None:
        self.passing = passing
        self.began_at = passing.now
        self.host_ahead = timedelta()
        self.tells = True
        self.answers: Iterator[bytes | AwsError] = iter(())

    @property
    def now(self) -> datetime:
        return BEGAN + timedelta(seconds=self.passing.now - self.began_at)

    def host_ms(self) -> int:
        return milliseconds(self.now + self.host_ahead)

    async def ask(self, method: str, **_: Any) -> dict[str, Any]:
        """Boto's calls."""
        if method == "list_shards":
            space = {"StartingHashKey": "0", "EndingHashKey": str((1 << 128) - 1)}
            return {
                "Shards": [
                    {"ShardId": "s", "HashKeyRange": space, "SequenceNumberRange": {"StartingSequenceNumber": "1"}}
                ]
            }
        headers = {"date": format_datetime(self.now, usegmt=True)} if self.tells else {}
        summary = {"StreamARN": "arn", "RetentionPeriodHours": HOURS_24, "StreamCreationTimestamp": BEGAN}
        return {"StreamDescriptionSummary": summary, "ResponseMetadata": {"HTTPHeaders": headers}}

    async def call(self, operation: str, _request: bytes) -> bytes:
        """The hot calls."""
        if operation == "GetShardIterator":
            return b'{"ShardIterator":"i"}'
        found = next(self.answers, None)
        if found is None:
            return await asyncio.Event().wait() and b""
        if isinstance(found, AwsError):
            raise found
        return found


def page(*arrivals: datetime) -> bytes:
    """Read at the tip."""
    records = [
        {"SequenceNumber": str(9 + n), "Data": "eHh4", "ApproximateArrivalTimestamp": at.timestamp()}
        for n, at in enumerate(arrivals)
    ]
    return msgspec.json.encode({"Records": records, "MillisBehindLatest": 0, "NextShardIterator": "n"})


class Worker:
    """The bridge on that host, with one slot."""

    def __init__(self, service: Service) -> None:
        self.directory = ShardDirectory(service.ask, "s", 1)
        requester = cast("IRequester", service)
        self.source = Source("core", requester, self.directory, StartAt("LATEST"), cast("Any", None))
        reading = ReadOptions(10, 0.0, 0.0, RetryConfig(0.0, 0.0))
        self.bridge = Bridge(
            (self.source,), reading, cast("Any", None), 1, Budget(1 << 30), "stop", service.host_ms
        )  # fmt: skip
        nobody: Any = SimpleNamespace()
        self.work = SlotWork(nobody, self.bridge, nobody, nobody, nobody)

    def reader(self, covered: datetime) -> ShardReader:
        at = milliseconds(covered)
        checkpoint = Checkpoint("arn", "s", ShardState.ACTIVE, "9", 0, at, 3, (), at)
        intake: Any = SimpleNamespace(budget=self.bridge.budget)
        return self.work._reader(self.source, intake, Shard("s", 0, 9), Resume(checkpoint))


async def read(reader: ShardReader) -> Part | Gap | None:
    """What comes first; None if that is nothing."""
    try:
        async with asyncio.timeout(0.1):
            return await anext(reader.parts())
    except TimeoutError:
        return None


@pytest.fixture
def passing(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "monotonic", clock)
    return clock


@pytest.mark.parametrize("jump", [timedelta(hours=3), timedelta(hours=-3)])
async def test_a_host_whose_clock_jumps_promises_what_it_has_read_and_no_more(passing: Clock, jump: timedelta) -> None:
    service = Service(passing)
    worker = Worker(service)
    await worker.directory.refresh()
    passing.now += 20
    service.host_ahead = jump
    reader = worker.reader(BEGAN)
    service.answers = iter([page(BEGAN)])
    assert isinstance(await read(reader), Part)
    assert reader.cursor.covered_ms == milliseconds(service.now)
    assert reader.age_ms == 0


async def test_a_clock_that_is_ahead_finds_no_gap_where_nothing_is_missing(passing: Clock) -> None:
    service = Service(passing)
    service.host_ahead = timedelta(hours=HOURS_24 + 1)
    worker = Worker(service)
    await worker.directory.refresh()
    service.answers = iter([page()])
    assert await read(worker.reader(BEGAN)) is None


async def test_a_clock_that_is_behind_hides_no_gap(passing: Clock) -> None:
    service = Service(passing)
    service.host_ahead = timedelta(hours=-3)
    worker = Worker(service)
    await worker.directory.refresh()
    service.answers = iter([page()])
    assert isinstance(await read(worker.reader(BEGAN - timedelta(hours=HOURS_24 + 1))), Gap)


async def test_a_host_that_stood_still_asks_for_the_time_before_it_says_what_is_missing(passing: Clock) -> None:
    service = Service(passing)
    worker = Worker(service)
    await worker.directory.refresh()
    service.began_at -= 25 * 3_600  # no clock of the host has counted these hours
    service.answers = iter([AwsError("ExpiredIteratorException"), page()])
    assert isinstance(await read(worker.reader(BEGAN)), Gap)


async def test_readers_whose_iterators_expire_together_ask_for_the_time_once(passing: Clock) -> None:
    service, calls = Service(passing), 0
    worker = Worker(service)

    async def ask(method: str, **arguments: Any) -> dict[str, Any]:
        nonlocal calls
        calls += 1
        await asyncio.sleep(0)
        passing.now += 0.01
        return await service.ask(method, **arguments)

    worker.directory._ask = ask
    await worker.directory.refresh()
    passing.now += 5
    await asyncio.gather(*(worker.directory.refresh(now=True) for _ in range(50)))
    # The first began before the others asked, or with them.
    assert calls <= 3 * 2


async def test_a_service_that_does_not_tell_the_time_leaves_that_of_the_host(passing: Clock) -> None:
    service = Service(passing)
    service.tells = False
    worker = Worker(service)
    await worker.directory.refresh()
    assert worker.bridge.now_of(worker.source) == service.host_ms()
    service.tells = True
    passing.now += 30
    await worker.directory.refresh()
    service.tells = False
    service.host_ahead = timedelta(hours=1)
    passing.now += 30
    await worker.directory.refresh()
    assert worker.bridge.now_of(worker.source) == milliseconds(service.now)
