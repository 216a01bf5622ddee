"""What can be asked of the stand-in about events: loss, repeats, order, concurrency. And the quota of PutEvents."""

import hashlib
import json
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from typing import Any

import pytest
from botocore.exceptions import ConnectionClosedError, HTTPClientError

from sandbox.aws.control_client import ControlError, StandInControl
from sandbox.aws.event_ledger import Crowd, Disorder, EventLedger, Repeat
from sandbox.aws.quota import Quota
from sandbox.aws.server import StandIn
from tests.contract.standin import START, HandClock, client, clock, control, events, refused, running, stand_in

__all__ = ["clock", "control", "events", "stand_in"]  # fixtures

BUS = "cdc-events"


def entry(event_id: str, entity: str = "7", sequence: int = 1, *, bus: str = BUS, **more: Any) -> dict[str, Any]:
    metadata = {"sequence": f"0001-{sequence:020d}"} | more
    detail = {"eventId": event_id, "entityType": "users", "entityId": entity, "metadata": metadata}
    return {"EventBusName": bus, "Source": "cdc.users", "DetailType": "user.updated", "Detail": json.dumps(detail)}


def put(events: Any, *entries: dict[str, Any]) -> list[str | None]:
    return [result.get("ErrorCode") for result in events.put_events(Entries=list(entries))["Entries"]]


@pytest.fixture(autouse=True)
def _bus(request: pytest.FixtureRequest) -> None:
    if "events" in request.fixturenames:
        request.getfixturevalue("events").create_event_bus(Name=BUS)


# What it remembers


def test_accepted_entries_are_listed_in_the_order_of_their_acceptance(
    events: Any, control: StandInControl, clock: HandClock
) -> None:
    first = entry("evt_1", "7", 1)
    answer = events.put_events(Entries=[first, entry("evt_2", "8", 2, bus="default")])
    clock.advance(5)
    put(events, entry("evt_3", "7", 3, replay=2))
    one, two, three = control.accepted()
    assert (one.number, one.request, one.bus, one.at, one.id) == (1, 1, BUS, START, answer["Entries"][0]["EventId"])
    assert (one.event_id, one.entity, one.sequence) == ("evt_1", "users:7", "0001-00000000000000000001")
    assert one.sha256 == hashlib.sha256(first["Detail"].encode()).hexdigest()
    assert (one.replay, three.replay) == (None, 2)
    assert (two.bus, two.entity, three.request, three.at) == ("default", "users:8", 2, START + 5)
    assert control.accepted(BUS) == [one, three]


@pytest.mark.parametrize("detail", ["{}", '{"eventId":1,"entityType":2,"metadata":3}', '{"metadata":{"sequence":4}}'])
def test_an_entry_that_is_no_event_of_ours_is_remembered_too(events: Any, control: StandInControl, detail: str) -> None:
    put(events, entry("x") | {"Detail": detail})
    [one] = control.accepted()
    assert (one.event_id, one.entity, one.sequence) == (None, None, None)
    assert control.deliveries().in_order


def test_a_refused_entry_is_counted_by_its_code_and_not_accepted(events: Any, control: StandInControl) -> None:
    control.fault("entry", "PutEvents", service="events", detail={"eventId": "evt_1"})
    put(events, entry("evt_1"), entry("evt_2") | {"Detail": "[]"}, entry("evt_3", "8"))
    report = control.deliveries(["evt_1", "evt_3"])
    assert (report.accepted, report.requests) == (1, 1)
    assert report.failed == {"MalformedDetail": 1, "ThrottlingException": 1}
    assert report.lost == ("evt_1",)


def test_beyond_its_memory_it_says_how_much_is_forgotten(clock: HandClock) -> None:
    with running(clock, remembered_events=2) as stand_in:
        events, control = client("events", stand_in.url), StandInControl(stand_in.url)
        put(events, *(entry(f"evt_{n}", bus="default") for n in range(5)))
        report = control.deliveries(["evt_0", "evt_4"])
        assert (report.accepted, report.forgotten, report.lost) == (5, 3, ("evt_0",))
        assert [one.event_id for one in control.accepted()] == ["evt_3", "evt_4"]


def test_a_list_of_any_length_is_read_page_by_page(stand_in: StandIn, control: StandInControl) -> None:
    ledger = stand_in.events.ledger
    for number in range(25_000):
        ledger.accept(ledger.current(), BUS, str(number), {}, "{}", START, nowhere=False)
    assert [one.number for one in control.accepted()] == [*range(1, 25_001)]


def test_a_reset_forgets_events_and_begins_to_count_anew(events: Any, control: StandInControl) -> None:
    put(events, entry("evt_1"))
    control.reset()
    put(events, entry("evt_2", bus="default"))
    assert [(one.number, one.request) for one in control.accepted()] == [(1, 1)]


# Loss and repeats


def test_an_event_that_only_a_missing_bus_took_is_lost(events: Any, control: StandInControl) -> None:
    control.lose_bus(BUS)
    put(events, entry("evt_1"), entry("evt_2", "8"))
    control.bring_back_bus(BUS)
    put(events, entry("evt_2", "8"))
    report = control.deliveries(["evt_1", "evt_2", "evt_3"])
    assert (report.lost, report.nowhere, report.repeats) == (("evt_1", "evt_3"), 2, ())
    assert [one.nowhere for one in control.accepted(BUS)] == [True, True, False]


def test_a_repeat_is_told_with_whether_its_bytes_are_the_same(events: Any, control: StandInControl) -> None:
    put(events, entry("same"), entry("other", "8"), entry("once", "9"))
    put(events, entry("same"), entry("other", "8", replay=1))
    put(events, entry("same"))
    assert control.deliveries().repeats == (Repeat("same", 3, same_bytes=True), Repeat("other", 2, same_bytes=False))


def test_an_event_is_asked_for_on_one_bus(events: Any, control: StandInControl) -> None:
    put(events, entry("evt_1"), entry("evt_1", bus="default"))
    assert control.deliveries(["evt_1"], bus=BUS).repeats == ()
    assert control.deliveries(["evt_1"], bus="elsewhere").lost == ("evt_1",)
    assert len(control.deliveries().repeats) == 1


# Order


def test_a_first_delivery_after_a_later_one_of_its_entity_is_out_of_order(events: Any, control: StandInControl) -> None:
    for sequence in (1, 3, 2, 4):
        put(events, entry(f"evt_{sequence}", "7", sequence))
    put(events, entry("evt_8", "8", 1))
    number = "0001-0000000000000000000"
    assert control.deliveries().disorder == (Disorder("users:7", "evt_2", f"{number}2", f"{number}3"),)
    assert not control.deliveries().in_order


def test_repeats_and_replays_are_not_out_of_order(events: Any, control: StandInControl) -> None:
    for sequence in (1, 2, 1):
        put(events, entry(f"evt_{sequence}", "7", sequence))
    put(events, entry("redriven", "7", 1, replay=1))
    assert control.deliveries().in_order


# Requests


def test_two_entries_of_one_entity_in_a_request_are_noticed_even_if_one_fails(
    events: Any, control: StandInControl
) -> None:
    control.fault("entry", "PutEvents", service="events", entries=(0,))
    put(events, entry("evt_1", "7", 1), entry("evt_2", "7", 2), entry("evt_3", "8", 1))
    assert control.deliveries().crowded == (Crowd(1, "users:7", 2),)


@pytest.fixture
def busy(stand_in: StandIn, control: StandInControl) -> Iterator[None]:
    """A request with an event of user 7 that the stand-in has taken and does not answer."""
    control.fault("slow", "PutEvents", service="events", seconds=600, times=1)
    waiting = HTTPConnection(stand_in.url.removeprefix("http://"), timeout=30)
    body = json.dumps({"Entries": [entry("evt_1", "7", 1)]})
    waiting.request("POST", "/", body, {"X-Amz-Target": "AWSEvents.PutEvents"})
    deadline = time.monotonic() + 30
    while not control.accepted():
        assert time.monotonic() < deadline
    yield
    waiting.close()


@pytest.mark.usefixtures("busy")
def test_a_request_for_an_entity_that_still_waits_for_an_answer_is_noticed(
    events: Any, control: StandInControl
) -> None:
    put(events, entry("evt_2", "8", 1))
    assert control.deliveries().concurrent == {}
    put(events, entry("evt_3", "7", 2))
    assert control.deliveries().concurrent == {"users:7": 2}
    assert not control.deliveries().in_order


def test_a_request_that_was_answered_is_over(events: Any, control: StandInControl) -> None:
    for sequence in range(5):
        put(events, entry(f"evt_{sequence}", "7", sequence))
    assert control.deliveries().in_order


def test_a_request_that_was_cut_off_is_over(events: Any, control: StandInControl) -> None:
    control.fault("cut_after", "PutEvents", service="events", times=5)
    for _ in range(5):
        with pytest.raises((ConnectionClosedError, HTTPClientError)):
            put(events, entry("evt_1"))
    put(events, entry("evt_1"))
    report = control.deliveries()
    assert (report.repeats, report.in_order) == ((Repeat("evt_1", 6, same_bytes=True),), True)


def test_the_same_is_asked_without_a_server() -> None:
    ledger = EventLedger()
    detail = {"eventId": "evt_1", "entityType": "users", "entityId": "7"}
    with ledger.request():
        ledger.accept(ledger.current(), BUS, "id", detail, json.dumps(detail), START, nowhere=False)
    with ledger.request():
        ledger.accept(ledger.current(), BUS, "id", detail, json.dumps(detail), START, nowhere=False)
    report = ledger.deliveries(["evt_1"])
    assert (report.requests, report.repeats) == (2, (Repeat("evt_1", 2, same_bytes=True),))
    assert report.in_order


# The quota


def test_without_a_quota_nothing_is_throttled(events: Any, control: StandInControl) -> None:
    assert control.quota() is None
    for _ in range(30):
        assert put(events, *[entry("evt_1")] * 10) == [None] * 10


def test_calls_beyond_the_quota_are_refused_until_the_bucket_fills(
    events: Any, control: StandInControl, clock: HandClock
) -> None:
    assert control.set_quota(calls=4) == control.quota() == Quota(calls=4)
    for _ in range(4):
        assert put(events, *[entry("evt_1")] * 10) == [None] * 10
    with refused("ThrottlingException"):
        put(events, entry("evt_2"))
    clock.advance(0.25)
    assert put(events, entry("evt_2")) == [None]
    with refused("ThrottlingException"):
        put(events, entry("evt_3"))
    clock.advance(3600)
    for _ in range(4):
        put(events, entry("evt_3"))
    with refused("ThrottlingException"):
        put(events, entry("evt_3"))
    assert control.status().errors == {"events.PutEvents:ThrottlingException": 3}


def test_entries_beyond_the_quota_fail_by_themselves(events: Any, control: StandInControl, clock: HandClock) -> None:
    control.set_quota(entries=6)
    assert put(events, *[entry("evt_1")] * 8) == [None] * 6 + ["ThrottlingException"] * 2
    clock.advance(0.5)
    assert put(events, *[entry("evt_1")] * 4) == [None] * 3 + ["ThrottlingException"]
    assert control.deliveries().failed == {"ThrottlingException": 3}


def test_a_burst_is_what_may_go_at_once(events: Any, control: StandInControl, clock: HandClock) -> None:
    control.set_quota(entries=2, burst=4)
    assert put(events, *[entry("evt_1")] * 9).count(None) == 8
    clock.advance(1)
    assert put(events, *[entry("evt_1")] * 9).count(None) == 2


def test_a_quota_below_one_a_second_still_lets_one_through(
    events: Any, control: StandInControl, clock: HandClock
) -> None:
    control.set_quota(calls=0.1)
    put(events, entry("evt_1"))
    clock.advance(9.9)
    with refused("ThrottlingException"):
        put(events, entry("evt_2"))
    clock.advance(0.2)
    put(events, entry("evt_2"))


def test_a_quota_is_lifted_alone_and_by_a_reset(events: Any, control: StandInControl) -> None:
    control.set_quota(calls=1)
    control.lift_quota()
    assert control.quota() is None
    control.set_quota(calls=1)
    control.reset()
    assert control.quota() is None
    put(events, entry("evt_1", bus="default"))
    put(events, entry("evt_1", bus="default"))


@pytest.mark.parametrize("fields", [{"calls": 0}, {"entries": -1}, {"burst": 0}])
def test_a_quota_of_nothing_is_refused(control: StandInControl, fields: dict[str, float]) -> None:
    with pytest.raises(ControlError, match="> 0"):
        control.set_quota(**fields)
