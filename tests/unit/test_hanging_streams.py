"""A stream whose AWS does not answer takes no threads, no room and no time of the others."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any, cast

import pytest

from models.start_position import StartAt
from tests.unit.test_shard_reader import Directory, Reading, Wire, page
from workers import boot_checks
from workers.aws.client import COLD_THREADS, Session
from workers.aws.errors import AwsError, AwsUnavailable
from workers.engine.errors import BootRefused
from workers.kinesis.budget import Budget
from workers.kinesis.reader import FIRST_PAGE_BYTES, ReadOptions
from workers.kinesis.source import Bridge, Source
from workers.settings.worker import Settings

SETTINGS = Settings(_env_file=None)


class Listed:
    """A directory whose listing comes when it is let."""

    def __init__(self, *, at_once: bool) -> None:
        self.let = asyncio.Event()
        if at_once:
            self.let.set()
        self.label, self.facts = "stream", None
        self.asked = 0
        self.listing: object = None

    @property
    def due(self) -> bool:
        return self.listing is None

    async def refresh(self) -> None:
        self.asked += 1
        await self.let.wait()
        self.listing = object()


class Log:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def error(self, msg: str, *args: Any) -> None:
        self.lines.append(msg % args)

    info = error


def bridge(*directories: Listed) -> Bridge:
    sources = [
        Source(f"s{n}", cast("Any", None), cast("Any", directory), StartAt("LATEST"), cast("Any", None))
        for n, directory in enumerate(directories)
    ]
    reading = ReadOptions(10, 0.0, 0.0)
    return Bridge(tuple(sources), reading, cast("Any", None), 4, Budget(1), "stop", lambda: 0)


async def test_the_first_listing_of_one_stream_is_waited_for_only_so_long_and_the_others_are_listed() -> None:
    hanging, healthy = Listed(at_once=False), Listed(at_once=True)
    found = bridge(hanging, healthy)
    async with asyncio.timeout(5):
        await found.first_listing(Log(), patience=0.01)
    assert (hanging.listing, healthy.listing is not None) == (None, True)
    await found.close()


async def test_a_listing_that_is_under_way_is_not_asked_for_again() -> None:
    hanging = Listed(at_once=False)
    found = bridge(hanging)
    log = Log()
    tasks = {found.refresh(found.sources[0], log) for _ in range(3)}
    await asyncio.sleep(0)
    assert (len(tasks), hanging.asked) == (1, 1)
    hanging.let.set()
    await asyncio.gather(*cast("Any", tasks))
    assert found.refresh(found.sources[0], log) is None
    assert log.lines == []


async def test_the_end_of_the_stage_does_not_wait_for_a_listing() -> None:
    found = bridge(Listed(at_once=False))
    task = found.refresh(found.sources[0], Log())
    async with asyncio.timeout(5):
        await found.close()
    assert task is not None
    assert task.cancelled()


def stuck(session: Session, until: threading.Event) -> None:
    """Every boto3 call of this session waits."""

    class Client:
        def describe(self) -> dict[str, Any]:
            until.wait(30)
            return {}

    session._kept["kinesis"] = Client()


async def test_calls_of_one_stream_that_hang_leave_the_threads_of_the_others_alone() -> None:
    hanging, healthy, end = Session(SETTINGS), Session(SETTINGS), threading.Event()
    stuck(hanging, end)
    calls = [asyncio.ensure_future(hanging.cold("kinesis", "describe")) for _ in range(2 * COLD_THREADS)]
    open_door = threading.Event()
    open_door.set()
    stuck(healthy, open_door)
    async with asyncio.timeout(5):
        assert await healthy.cold("kinesis", "describe") == {}
        assert await asyncio.to_thread(lambda: "free") == "free"
    assert not any(call.done() for call in calls)
    end.set()
    await asyncio.gather(*calls)


async def test_whatever_an_odd_answer_makes_of_boto3_is_an_answer_that_did_not_come() -> None:
    session = Session(SETTINGS)

    class Client:
        def describe(self) -> None:
            raise AttributeError("the body of a proxy's page, with a secret in it")

    session._kept["kinesis"] = Client()
    with pytest.raises(AwsUnavailable) as failed:
        await session.cold("kinesis", "describe")
    assert failed.value.code == "AttributeError"
    assert "secret" not in str(failed.value)


async def test_a_reader_that_waits_for_an_answer_after_a_failure_holds_little_room() -> None:
    class Hangs(Wire):
        waits = 0

        async def call(self, operation: str, request: bytes) -> bytes:
            if operation == "GetRecords" and not self.pages:
                self.waits += 1
            return await super().call(operation, request)

    wire = Hangs(AwsUnavailable("ReadTimeout"), page(1), AwsUnavailable("ReadTimeout"))
    reading = Reading(wire, Directory())
    await reading.next()
    waiting = asyncio.ensure_future(reading.next())
    async with asyncio.timeout(30):
        while not wire.waits:
            await asyncio.sleep(0.01)
    assert 0 < reading.budget.used <= FIRST_PAGE_BYTES >> 3
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)


def check(outcome: Callable[[], None], *, late: bool = False) -> Callable[[], Any]:
    async def run() -> None:
        if late:
            await asyncio.Event().wait()
        outcome()

    return run


def fine() -> None:
    """Nothing is wrong."""


def refused() -> None:
    raise BootRefused("another account")


async def test_a_check_that_does_not_answer_is_given_up_and_the_others_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boot_checks, "CHECK_SECONDS", 0.05)
    async with asyncio.timeout(5):
        await boot_checks.check_all([check(fine), check(fine, late=True)])
        with pytest.raises(BootRefused, match="another account"):
            await boot_checks.check_all([check(fine, late=True), check(refused)])


async def test_a_listing_that_fails_is_said_once_until_it_works() -> None:
    class Fails(Listed):
        async def refresh(self) -> None:
            self.asked += 1
            if self.asked < 3:
                raise AwsError("Silent")
            self.listing = object()

    log, found = Log(), bridge(Fails(at_once=True))
    for _ in range(3):
        task = found.refresh(found.sources[0], log)
        assert task is not None
        await task
    assert log.lines == [
        "stream stream: cannot list its shards: Silent, trying again", "stream stream: its shards are listed again",
    ]  # fmt: skip
