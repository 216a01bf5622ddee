"""What settings do to the publish stage: as `make_publish` wires it, before a scripted EventBridge."""

import asyncio
import json
from collections.abc import Sequence
from itertools import pairwise, takewhile
from typing import Any

import pytest

from tests.unit.test_classic_bus import event
from workers.app import make_publish
from workers.aws.errors import AwsUnavailable
from workers.engine.clock import monotonic
from workers.engine.testing import Input, StageKit
from workers.kafka.topics import Topics
from workers.settings.worker import Settings

EVENTS = Topics.of(Settings(_env_file=None)).events
ENTITY = b"users:1"


class EventBridge:
    """Takes everything but the events it is told to fail; unless it is `down`. Keeps when and what it was sent."""

    def __init__(self) -> None:
        self.down = False
        self.failing: set[str] = set()
        self.round_trip = 0.01
        self.times: list[float] = []
        self.requests: list[list[str]] = []
        self.under_way: list[int] = []
        """By request: how many there were at that moment, this one included."""
        self._calls = 0
        self.accepted: list[str] = []

    async def call(self, operation: str, request: bytes) -> bytes:
        assert operation == "PutEvents"
        named = [json.loads(entry["Detail"])["eventId"] for entry in json.loads(request)["Entries"]]
        self.times.append(monotonic())
        self.requests.append(named)
        self._calls += 1
        self.under_way.append(self._calls)
        await asyncio.sleep(self.round_trip)
        self._calls -= 1
        if self.down:
            raise AwsUnavailable("HTTP503")
        results = [self._result(event_id) for event_id in named]
        failed = sum("ErrorCode" in result for result in results)
        return json.dumps({"FailedEntryCount": failed, "Entries": results}).encode()

    def _result(self, event_id: str) -> dict[str, str]:
        if event_id in self.failing:
            return {"ErrorCode": "InternalFailure"}
        self.accepted.append(event_id)
        return {"EventId": "e"}

    async def close(self) -> None:
        """Nothing is open."""


class Unwatched:
    """Instead of BusWatch, which asks AWS for the bus: it is there."""

    def __init__(self, *_: Any) -> None: ...

    def over(self, bus: Any, *_: Any) -> Any:
        return bus


@pytest.fixture
def bus(monkeypatch: pytest.MonkeyPatch) -> EventBridge:
    made = EventBridge()
    monkeypatch.setattr("workers.eventbridge.buses.hot_client", lambda *_: made)
    monkeypatch.setattr("workers.app.BusWatch", Unwatched)
    monkeypatch.setenv("PARTITIONS", "4")
    return made


def stage() -> StageKit:
    """As the environment has it."""
    return StageKit(lambda: make_publish(Settings(_env_file=None)))


def of_one_entity(count: int) -> list[Input]:
    return [Input(ENTITY, event(number), partition=0) for number in range(count)]


def of_many_entities(count: int) -> list[Input]:
    return [Input(b"users:%d" % number, event(number), partition=number % 4) for number in range(count)]


def ids(numbers: Sequence[int]) -> list[str]:
    return [f"evt_1_{number}" for number in numbers]


@pytest.mark.parametrize(
    ("order", "first", "overtaken"), [("strict", 1, False), ("batch", 10, False), ("none", 10, True)]
)
async def test_the_order_says_what_shares_a_request_with_an_event_that_fails_and_what_goes_without_it(
    bus: EventBridge, monkeypatch: pytest.MonkeyPatch, order: str, first: int, overtaken: bool
) -> None:
    monkeypatch.setenv("CDC_PUBLISH_ORDER", order)
    bus.failing.update(ids(range(1)))
    async with stage() as kit:
        assert not await kit.feed(EVENTS, of_one_entity(25), within=60)
        assert bus.requests[0] == ids(range(first))
        assert any(request[0] != "evt_1_0" for request in bus.requests) is overtaken
        bus.failing.clear()
        assert await kit.settle(within=60)
    assert sorted(bus.accepted) == sorted(ids(range(25)))


@pytest.mark.parametrize(
    ("owned", "quota", "least", "most"),
    [
        ([0], {"CDC_PUT_EVENTS_QUOTA": "20"}, 45, 60),
        (range(4), {"CDC_PUT_EVENTS_QUOTA": "20"}, 190, 210),
        ([0], {"CDC_PUT_EVENTS_ENTRY_QUOTA": "80"}, 190, 210),
        ([0], {}, 300, 300),
    ],
)
async def test_a_worker_sends_its_share_of_the_quota_and_no_more(
    bus: EventBridge,
    monkeypatch: pytest.MonkeyPatch,
    owned: Sequence[int],
    quota: dict[str, str],
    least: int,
    most: int,
) -> None:
    """In 10 s, one event in a request. The share is that of the partitions it holds, of 4."""
    for name, value in quota.items():
        monkeypatch.setenv(name, value)
    async with stage() as kit:
        await kit.rebalance(owned)
        await kit.feed(EVENTS, of_one_entity(300), within=0)
        await kit.advance(10)
        assert least <= len(bus.requests) <= most


async def test_the_quick_tries_and_the_longest_wait_of_a_refused_event_are_those_of_the_settings(
    bus: EventBridge, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Waits are drawn by lot below a bound: the longest of many is near it, and none is above."""
    monkeypatch.setenv("CDC_RETRY_PUT_EVENTS", "2/20ms/40s")
    bus.failing.update(ids(range(1)))
    async with stage() as kit:
        assert not await kit.feed(EVENTS, of_one_entity(1), within=8_000)
        waits = [later - earlier for earlier, later in pairwise(bus.times)]
        assert waits[0] <= 0.1
        assert 30 < max(waits) <= 41
        assert kit.app.reports["delivery"]()["stalled"]


async def test_an_event_is_stalled_when_the_quick_tries_of_the_settings_are_over(
    bus: EventBridge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CDC_RETRY_PUT_EVENTS", "1000/1s/1s")
    bus.failing.update(ids(range(1)))
    async with stage() as kit:
        assert not await kit.feed(EVENTS, of_one_entity(1), within=60)
        assert 10 < len(bus.requests) < 1_000
        assert kit.app.reports["delivery"]()["stalled"] == []


async def test_a_bus_that_does_not_answer_is_left_alone_after_the_failures_and_for_the_time_of_the_settings(
    bus: EventBridge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CDC_CIRCUIT", "2/600s/1")
    bus.down = True
    async with stage() as kit:
        assert not await kit.feed(EVENTS, of_one_entity(30), within=590)
        assert len(bus.requests) == 2
        bus.down = False
        assert await kit.settle(within=60)
        trial = bus.times[2] - bus.times[1]
        assert 600 <= trial < 601


@pytest.mark.parametrize(("circuit", "trials"), [("2/10s/1", 1), ("2/10s/4", 4)])
async def test_a_bus_that_answers_again_is_tried_as_often_as_the_settings_say_before_it_gets_everything(
    bus: EventBridge, monkeypatch: pytest.MonkeyPatch, circuit: str, trials: int
) -> None:
    """A trial is one request that has an answer before the next one begins."""
    monkeypatch.setenv("CDC_CIRCUIT", circuit)
    bus.down, bus.round_trip = True, 0.5
    async with stage() as kit:
        assert not await kit.feed(EVENTS, of_many_entities(120), within=5)
        bus.down = False
        failed = len(bus.requests)
        assert await kit.settle(within=120)
    alone = takewhile(lambda under_way: under_way == 1, bus.under_way[failed:])
    assert len(list(alone)) == trials + 1  # the one after the last trial is the first of those that go together


async def test_no_more_requests_are_under_way_than_the_settings_allow(
    bus: EventBridge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CDC_PUT_EVENTS_IN_FLIGHT", "3")
    bus.round_trip = 1.0
    async with stage() as kit:
        assert await kit.feed(EVENTS, of_many_entities(200), within=120)
    assert max(bus.under_way) == 3


async def test_a_request_without_an_answer_is_sent_again_after_the_time_of_the_settings(
    bus: EventBridge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CDC_PUT_EVENTS_TIMEOUT", "3")
    bus.round_trip = 3_600.0
    async with stage() as kit:
        assert not await kit.feed(EVENTS, of_one_entity(1), within=8)
        assert 3 <= bus.times[1] - bus.times[0] < 5.5  # at most 2 s are waited after the first failure
        bus.round_trip = 0.01
        assert await kit.settle(within=60)


@pytest.mark.parametrize(
    ("setting", "most", "payload"),
    [("CDC_PUBLISH_WINDOW_RECORDS", "10", ""), ("CDC_PUBLISH_WINDOW_BYTES", str(1 << 20), "x" * 150_000)],
)
async def test_what_is_sent_and_not_committed_stays_within_the_settings(
    bus: EventBridge, monkeypatch: pytest.MonkeyPatch, setting: str, most: str, payload: str
) -> None:
    monkeypatch.setenv(setting, most)
    monkeypatch.setenv("CDC_PUT_EVENTS_MAX_BYTES", "262144")
    bus.down = True
    async with stage() as kit:
        for number in range(40):
            await kit.feed(EVENTS, [Input(ENTITY, event(number, payload=payload), partition=0)], within=0)
        await kit.advance(60)
        [window] = [body for slot in kit.app.slots.owned.values() for body in slot.bodies if body.records]
        assert window.records <= 10
        assert kit.held(EVENTS, 0)
        bus.down = False
        assert await kit.settle(within=600)
    assert len(set(bus.accepted)) == 40
