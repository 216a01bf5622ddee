"""The control API of the stand-in: orders it takes, orders it refuses and why, and what it reports."""

import json
import urllib.error
import urllib.request
from typing import Any

import pytest

from sandbox.aws.control_client import ControlError, StandInControl
from sandbox.aws.faults import FaultRule
from sandbox.aws.server import StandIn
from sandbox.aws.streams import Behaviour
from tests.contract.kinesis_calls import FIRST, STREAM, create, name, put, split
from tests.contract.standin import clock, control, events, kinesis, running, sqs, stand_in

__all__ = ["clock", "control", "events", "kinesis", "sqs", "stand_in"]  # fixtures


def send(stand_in: StandIn, method: str, path: str, order: Any = None) -> tuple[int, Any]:
    """Status and decoded answer; `order` may be bytes or anything JSON has."""
    body = order if isinstance(order, bytes) or order is None else json.dumps(order).encode()
    request = urllib.request.Request(f"{stand_in.url}/_sandbox/{path}", data=body, method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


# Rules


def test_rules_are_listed_with_their_counts_in_the_order_in_which_they_came(control: StandInControl) -> None:
    added = [
        control.add_fault(FaultRule(kind="throttle", operation="GetRecords", shard=FIRST)),
        control.add_fault(FaultRule(kind="slow", service="sqs", seconds=0.5)),
    ]
    assert control.faults() == added
    assert [(report.matched, report.fired) for report in added] == [(0, 0), (0, 0)]


def test_a_rule_that_was_removed_no_longer_fires_and_leaves_its_counts(kinesis: Any, control: StandInControl) -> None:
    fault = control.fault("throttle", "ListStreams")
    with pytest.raises(kinesis.exceptions.LimitExceededException):
        kinesis.list_streams()
    last = control.remove_fault(fault)
    assert (last.matched, last.fired) == (1, 1)
    assert kinesis.list_streams()["StreamNames"] == []
    with pytest.raises(ControlError, match="no fault rule"):
        control.counts(fault)


def test_all_rules_are_removed_at_once(kinesis: Any, control: StandInControl) -> None:
    control.fault("throttle")
    control.fault("access_denied")
    assert [report.rule.kind for report in control.clear_faults()] == ["throttle", "access_denied"]
    assert control.faults() == []
    assert kinesis.list_streams()["StreamNames"] == []


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        ({"kind": "hiccup"}, "throttle"),
        ({"kind": "throttle", "colour": "red"}, "probability"),
        ({}, "kind"),
        ({"kind": "throttle", "service": "dynamodb"}, "kinesis"),
        ({"kind": "throttle", "operation": "GetRecord"}, "GetRecords"),
        ({"kind": "expired_iterator", "operation": "PutRecord"}, "kinesis.GetRecords"),
        ({"kind": "kms_disabled", "service": "sqs"}, "kinesis.PutRecords"),
        ({"kind": "throttle", "service": "sqs", "stream": "s"}, "'kinesis' only"),
        ({"kind": "throttle", "entries": [1]}, "partial, entry, short only"),
        ({"kind": "throttle", "code": "X"}, "partial, entry, error only"),
        ({"kind": "error", "operation": "GetRecords"}, "needs a code"),
        ({"kind": "error", "code": "X", "status": 200}, ">= 400"),
        ({"kind": "partial", "source": "s"}, "'eventsv2' only"),
        ({"kind": "entry", "service": "events", "detail": {"a": [1]}}, "str"),
        ({"kind": "entry", "service": "sqs"}, "events.PutEvents"),
        ({"kind": "throttle", "lasts": -1}, ">= 0"),
        ({"kind": "throttle", "probability": 1.5}, "<= 1"),
        ({"kind": "throttle", "nth": 0}, ">= 1"),
        ({"kind": "throttle", "times": "often"}, "int"),
        ({"kind": "slow", "seconds": -1}, ">= 0"),
        (b"[]", "object"),
        (b"{", "allowed are kind"),
    ],
)
def test_a_rule_nobody_can_mean_is_refused_with_what_is_allowed(stand_in: StandIn, rule: Any, told: str) -> None:
    status, answer = send(stand_in, "POST", "faults", rule)
    assert status == 400
    assert told in answer["message"]
    assert send(stand_in, "GET", "faults") == (200, [])


@pytest.mark.parametrize(("method", "path"), [("GET", "nothing"), ("PUT", "faults"), ("POST", "faults/1"), ("GET", "")])
def test_an_address_that_is_not_there_is_answered_with_those_that_are(
    stand_in: StandIn, method: str, path: str
) -> None:
    status, answer = send(stand_in, method, path)
    assert status == 404
    assert "POST /_sandbox/faults" in answer["message"]


# Behaviour


def test_behaviour_is_set_as_a_whole(control: StandInControl) -> None:
    assert control.behave(update_seconds=2, iterator_seconds=1) == Behaviour(update_seconds=2, iterator_seconds=1)
    assert control.behave(ending_sequence_numbers="sentinel") == Behaviour(ending_sequence_numbers="sentinel")
    assert control.behaviour() == Behaviour(ending_sequence_numbers="sentinel")


@pytest.mark.parametrize(
    ("order", "told"),
    [
        ({"iterator_seconds": -1}, ">= 0"),
        ({"ending_sequence_numbers": "none"}, "ending_sequence_numbers"),
        ({"speed": 1}, "iterator_seconds"),
    ],
)
def test_behaviour_nobody_can_mean_is_refused(stand_in: StandIn, order: Any, told: str) -> None:
    status, answer = send(stand_in, "POST", "behaviour", order)
    assert status == 400
    assert told in answer["message"]


# Limits and horizon


@pytest.mark.parametrize(
    ("path", "order", "told"),
    [
        ("limits", {"stream": STREAM, "limits": {"reads": 5}}, "get_shard_iterator"),
        ("limits", {"stream": STREAM, "limits": {"get_records": 0}}, ">= 1"),
        ("limits", {"limits": {}}, "stream"),
        ("horizon", {"stream": STREAM, "up_to": "yesterday"}, "sequence number"),
        ("horizon", {"stream": STREAM, "up_to": "77"}, "shard"),
        ("horizon", {"stream": STREAM, "hours": 1}, "up_to"),
    ],
)
def test_an_order_nobody_can_mean_is_refused(kinesis: Any, stand_in: StandIn, path: str, order: Any, told: str) -> None:
    create(kinesis)
    status, answer = send(stand_in, "POST", path, order)
    assert status == 400
    assert told in answer["message"]


def test_orders_for_what_is_not_there_are_told_so(kinesis: Any, control: StandInControl) -> None:
    create(kinesis)
    for order in (
        lambda: control.limit("other"),
        lambda: control.unlimit("other"),
        lambda: control.trim("other"),
        lambda: control.trim(STREAM, name(7)),
    ):
        with pytest.raises(ControlError) as caught:
            order()
        assert caught.value.status == 404


# Reports


def test_the_status_tells_of_shards_rules_and_calls(kinesis: Any, control: StandInControl) -> None:
    create(kinesis)
    number = put(kinesis)
    split(kinesis)
    fault = control.fault("slow")
    control.limit(STREAM)
    status = control.status()
    stream = status.stream(STREAM)
    assert (stream.status, stream.limits) == ("ACTIVE", control.limits()[STREAM])
    assert [(shard.id, shard.open, shard.parents, shard.records) for shard in stream.shards] == [
        (FIRST, False, (), 1), (name(1), True, (FIRST,), 0), (name(2), True, (FIRST,), 0),
    ]  # fmt: skip
    assert (stream.shard(FIRST).last, stream.shard(name(1)).last) == (number, None)
    assert status.faults == (fault,)
    assert status.calls["kinesis.PutRecord"] == 1


def test_faults_count_as_errors_of_their_calls(kinesis: Any, control: StandInControl) -> None:
    control.fault("throttle", "ListStreams", times=1)
    with pytest.raises(kinesis.exceptions.LimitExceededException):
        kinesis.list_streams()
    assert control.status().errors == {"kinesis.ListStreams:LimitExceededException": 1}


def test_a_reset_leaves_nothing_but_the_address(kinesis: Any, events: Any, sqs: Any, control: StandInControl) -> None:
    create(kinesis)
    events.create_event_bus(Name="b")
    sqs.create_queue(QueueName="q")
    control.fault("throttle", "PutRecord")
    control.behave(iterator_seconds=1)
    control.reset()
    untouched = dict.fromkeys(("accepted", "matched", "unmatched", "delivered", "undelivered", "replayed"), 0)
    assert control.ledger() == {
        "operations": {}, "errors": {}, "streams": {}, "queues": {}, "roles": {},
        "buses": {"default": untouched}, "nowhere": untouched, "customBuses": {},
    }  # fmt: skip
    assert (control.faults(), control.behaviour()) == ([], Behaviour())
    create(kinesis)
    put(kinesis)


def test_a_reset_goes_back_to_the_behaviour_of_the_start() -> None:
    with running(lambda: 0.0, behaviour=Behaviour(update_seconds=3)) as stand_in:
        control = StandInControl(stand_in.url)
        control.behave(update_seconds=1)
        control.reset()
        assert control.behaviour() == Behaviour(update_seconds=3)
