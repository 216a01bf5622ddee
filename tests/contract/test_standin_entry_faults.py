"""Scripted faults of PutEvents: whole requests and single entries, chosen by place, chance and what they say."""

import json
import time
from typing import Any

import pytest
from botocore.exceptions import ConnectionClosedError, HTTPClientError

from sandbox.aws.control_client import ControlError, StandInControl
from tests.contract.standin import HandClock, clock, control, events, refused, sqs, stand_in

__all__ = ["clock", "control", "events", "sqs", "stand_in"]  # fixtures

PUT = "PutEvents"
BUS = "cdc-events"


def entry(entity: str = "1", **more: Any) -> dict[str, Any]:
    detail = json.dumps({"entityId": entity, "metadata": {"source": "dms", "snapshot": False}, "n": 1})
    return {"EventBusName": BUS, "Source": "cdc.users", "DetailType": "user.updated", "Detail": detail} | more


def codes(events: Any, *entries: dict[str, Any]) -> list[str | None]:
    """One request's error codes, entry by entry; the count of failures must agree with them."""
    answer = events.put_events(Entries=list(entries))
    found = [result.get("ErrorCode") for result in answer["Entries"]]
    assert answer["FailedEntryCount"] == len(found) - found.count(None)
    assert [("EventId" in result) for result in answer["Entries"]] == [code is None for code in found]
    return found


def accepted(control: StandInControl, bus: str = BUS) -> int:
    count: int = control.ledger()["buses"][bus]["accepted"]
    return count


@pytest.fixture(autouse=True)
def _bus(events: Any) -> None:
    events.create_event_bus(Name=BUS)


# Requests


@pytest.mark.parametrize(
    ("kind", "code", "status"),
    [
        ("throttle", "ThrottlingException", 400),
        ("internal_failure", "InternalFailure", 500),
        ("unavailable", "ServiceUnavailable", 503),
        ("access_denied", "AccessDeniedException", 400),
        ("expired_token", "ExpiredTokenException", 400),
    ],
)
def test_a_request_fails_as_a_whole(events: Any, control: StandInControl, kind: str, code: str, status: int) -> None:
    control.fault(kind, PUT, service="events", times=1)
    with refused(code, status):
        events.put_events(Entries=[entry()])
    assert codes(events, entry()) == [None]
    assert accepted(control) == 1


@pytest.mark.parametrize(
    "choice",
    [
        {"bus": BUS},
        {"source": "cdc.users"},
        {"detail_type": "user.updated"},
        {"detail": {"entityId": "7"}},
        {"detail": {"entityId": "7", "metadata.source": "dms", "metadata.snapshot": False, "n": 1}},
    ],
    ids=str,
)
def test_a_request_fails_that_has_a_chosen_entry(events: Any, control: StandInControl, choice: dict[str, Any]) -> None:
    other = entry("8", EventBusName="default", Source="cdc.groups", DetailType="group.created")
    fault = control.fault("throttle", PUT, service="events", **choice)
    assert codes(events, other) == [None]
    with refused("ThrottlingException"):
        events.put_events(Entries=[other, entry("7")])
    assert (control.counts(fault).matched, control.counts(fault).fired) == (1, 1)


def test_a_connection_that_is_cut_after_has_taken_the_entries(events: Any, control: StandInControl) -> None:
    control.fault("cut_after", PUT, service="events", times=1)
    with pytest.raises((ConnectionClosedError, HTTPClientError)):
        events.put_events(Entries=[entry(), entry()])
    assert accepted(control) == 2


def test_slowness_is_spread_by_dice(events: Any, control: StandInControl) -> None:
    control.fault("slow", PUT, service="events", seconds=0.1, spread=0.1, seed=1, times=1)
    begin = time.monotonic()
    codes(events, entry())
    assert time.monotonic() - begin >= 0.1134  # the first throw of seed 1 is 0.134…


@pytest.mark.parametrize(("places", "left"), [(None, 2), ((0, 1), 1), ((0, 1, 2), 0)])
def test_an_answer_may_be_short_of_results(
    events: Any, control: StandInControl, places: tuple[int, ...] | None, left: int
) -> None:
    control.fault("short", PUT, service="events", entries=places, times=1)
    assert len(events.put_events(Entries=[entry()] * 3)["Entries"]) == left
    assert accepted(control) == 3


# Entries


@pytest.mark.parametrize(
    "code",
    [
        "ThrottlingException", "InternalFailure", "MalformedDetail", "NotAuthorizedForSourceException",
        "NotAuthorizedForDetailTypeException", "UnheardOfException",
    ],
)  # fmt: skip
def test_entries_fail_by_their_place(events: Any, control: StandInControl, code: str) -> None:
    control.fault("partial", PUT, service="events", entries=(1,), code=code)
    assert codes(events, entry(), entry(), entry()) == [None, code, None]
    assert accepted(control) == 2


def test_an_entry_is_throttled_unless_the_rule_says_otherwise(events: Any, control: StandInControl) -> None:
    control.fault("entry", PUT, service="events")
    assert codes(events, entry(), entry()) == ["ThrottlingException"] * 2
    assert accepted(control) == 0


@pytest.mark.parametrize("kind", ["partial", "entry"])
def test_entries_of_one_entity_fail_and_their_neighbours_go_on(events: Any, control: StandInControl, kind: str) -> None:
    control.fault(kind, PUT, service="events", detail={"entityId": "7"}, code="InternalFailure")
    assert codes(events, entry("7"), entry("70"), entry("7")) == ["InternalFailure", None, "InternalFailure"]
    assert codes(events, entry("8"), entry("8", Detail="no JSON"), entry("8", Detail="[]")) == [
        None, "MalformedDetail", "MalformedDetail",
    ]  # fmt: skip


def test_true_and_one_are_two_values(events: Any, control: StandInControl) -> None:
    control.fault("entry", PUT, service="events", detail={"n": True})
    assert codes(events, entry(Detail='{"n":1}'), entry(Detail='{"n":true}')) == [None, "ThrottlingException"]


def test_single_entries_are_counted_by_the_kind_entry_and_calls_by_the_kind_partial(
    events: Any, control: StandInControl
) -> None:
    seventh = {"service": "events", "detail": {"entityId": "7"}}
    single = control.fault("entry", PUT, nth=2, times=2, code="InternalFailure", **seventh)
    assert codes(events, entry("7"), entry("1"), entry("7")) == [None, None, "InternalFailure"]
    assert codes(events, entry("7"), entry("7")) == ["InternalFailure", None]
    assert (control.counts(single).matched, control.counts(single).fired) == (4, 2)
    control.clear_faults()
    whole = control.fault("partial", PUT, nth=2, times=1, code="InternalFailure", **seventh)
    assert codes(events, entry("7"), entry("1"), entry("7")) == [None, None, None]
    assert codes(events, entry("1")) == [None]
    assert codes(events, entry("7"), entry("7")) == ["InternalFailure"] * 2
    assert (control.counts(whole).matched, control.counts(whole).fired) == (2, 1)


def test_dice_are_thrown_for_every_entry_alike_with_one_seed(events: Any, control: StandInControl) -> None:
    runs = []
    for seed in (7, 7, 8):
        fault = control.fault("entry", PUT, service="events", probability=0.3, seed=seed)
        runs.append([code for _ in range(20) for code in codes(events, *[entry()] * 10)])
        control.remove_fault(fault)
    assert runs[0] == runs[1] != runs[2]
    assert 30 < 200 - runs[0].count(None) < 90


def test_entries_fail_for_a_while(events: Any, control: StandInControl, clock: HandClock) -> None:
    control.fault("entry", PUT, service="events", lasts=600)
    assert codes(events, entry()) == ["ThrottlingException"]
    clock.advance(600)
    assert codes(events, entry()) == [None]


def test_of_several_rules_the_first_that_means_an_entry_decides(events: Any, control: StandInControl) -> None:
    control.fault("entry", PUT, service="events", entries=(0,), code="First")
    later = control.fault("entry", PUT, service="events", entries=(0, 1), code="Second")
    assert codes(events, entry(), entry(), entry()) == ["First", "Second", None]
    assert control.counts(later).matched == 1


def test_an_answer_that_is_lost_may_have_been_of_a_request_that_failed_in_parts(
    events: Any, control: StandInControl
) -> None:
    failing = control.fault("partial", PUT, service="events", entries=(0,))
    control.fault("cut_after", PUT, service="events", times=1)
    with pytest.raises((ConnectionClosedError, HTTPClientError)):
        events.put_events(Entries=[entry(), entry()])
    assert (control.counts(failing).fired, accepted(control)) == (1, 1)


def test_a_request_that_fails_as_a_whole_uses_up_no_fault_of_its_entries(events: Any, control: StandInControl) -> None:
    failing = control.fault("entry", PUT, service="events", times=1)
    control.fault("throttle", PUT, service="events", times=1)
    with refused("ThrottlingException"):
        events.put_events(Entries=[entry()])
    assert control.counts(failing).matched == 0
    assert codes(events, entry(), entry()) == ["ThrottlingException", None]


# Buses that come and go


def test_a_lost_bus_still_answers_with_ids_and_its_events_go_nowhere(events: Any, control: StandInControl) -> None:
    control.lose_bus(BUS)
    assert codes(events, entry()) == [None]
    assert control.ledger()["nowhere"]["accepted"] == 1
    with refused("ResourceNotFoundException"):
        events.describe_event_bus(Name=BUS)


def test_a_bus_that_was_brought_back_has_the_rules_and_targets_it_had(
    events: Any, sqs: Any, control: StandInControl
) -> None:
    url = sqs.create_queue(QueueName="all")["QueueUrl"]
    events.put_rule(Name="all", EventBusName=BUS, EventPattern='{"source": ["cdc.users"]}')
    events.put_targets(
        Rule="all", EventBusName=BUS, Targets=[{"Id": "q", "Arn": "arn:aws:sqs:us-east-1:000000000000:all"}]
    )
    control.lose_bus(BUS)
    codes(events, entry())
    control.bring_back_bus(BUS)
    codes(events, entry("back"))
    [message] = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
    assert json.loads(message["Body"])["detail"]["entityId"] == "back"
    assert accepted(control) == 1


def test_only_a_bus_that_is_there_is_lost_and_only_a_lost_one_comes_back(control: StandInControl) -> None:
    with pytest.raises(ControlError, match="no bus other"):
        control.lose_bus("other")
    with pytest.raises(ControlError, match="no lost bus cdc-events"):
        control.bring_back_bus(BUS)
