"""Rules, targets and patterns of the stand-in's EventBridge, through unmodified boto3; see also test_standin_events."""

import json
from typing import Any

import pytest

from sandbox.aws.server import StandIn
from tests.contract.standin import clock, events, refused, sqs, stand_in
from tests.contract.test_standin_events import ANY_SOURCE, BUS, Listener, entry, put

__all__ = ["clock", "events", "sqs", "stand_in"]  # fixtures

QUEUE = "arn:aws:sqs:us-east-1:000000000000:q"


@pytest.fixture
def rule(events: Any) -> str:
    events.create_event_bus(Name=BUS)
    arn: str = events.put_rule(Name="all", EventBusName=BUS, EventPattern=ANY_SOURCE)["RuleArn"]
    return arn


# Rules


def test_a_rule_is_disabled_and_enabled_again(events: Any, sqs: Any) -> None:
    listener = Listener(events, sqs)
    events.disable_rule(Name="all", EventBusName=BUS)
    assert events.describe_rule(Name="all", EventBusName=BUS)["State"] == "DISABLED"
    put(events, entry('{"n":1}'))
    events.enable_rule(Name="all", EventBusName=BUS)
    assert events.describe_rule(Name="all", EventBusName=BUS)["State"] == "ENABLED"
    put(events, entry('{"n":2}'))
    assert [event["detail"] for event in listener.events()] == [{"n": 2}]


@pytest.mark.parametrize("operation", ["enable_rule", "disable_rule", "describe_rule"])
def test_a_rule_that_is_not_there_is_not_found(events: Any, operation: str) -> None:
    with refused("ResourceNotFoundException"):
        getattr(events, operation)(Name="missing")


@pytest.mark.usefixtures("rule")
def test_a_name_is_a_rule_of_one_bus(events: Any) -> None:
    with refused("ResourceNotFoundException"):
        events.describe_rule(Name="all")


def test_rules_are_listed_page_by_page_and_by_prefix(events: Any) -> None:
    for number in range(5):
        events.put_rule(Name=f"r{number}", EventPattern=ANY_SOURCE)
    events.put_rule(Name="other", EventPattern=ANY_SOURCE)
    first = events.list_rules(NamePrefix="r", Limit=3)
    second = events.list_rules(NamePrefix="r", Limit=3, NextToken=first["NextToken"])
    assert [found["Name"] for found in first["Rules"] + second["Rules"]] == [f"r{number}" for number in range(5)]
    assert "NextToken" not in second


def test_buses_are_listed_page_by_page(events: Any) -> None:
    for number in range(3):
        events.create_event_bus(Name=f"b{number}")
    first = events.list_event_buses(NamePrefix="b", Limit=2)
    second = events.list_event_buses(NamePrefix="b", Limit=2, NextToken=first["NextToken"])
    assert [bus["Name"] for bus in first["EventBuses"] + second["EventBuses"]] == ["b0", "b1", "b2"]


def test_a_token_that_was_made_up_or_is_of_another_list_opens_nothing(events: Any) -> None:
    for number in range(3):
        events.put_rule(Name=f"r{number}", EventPattern=ANY_SOURCE)
    token = events.list_rules(Limit=1)["NextToken"]
    for wrong in (token, "made-up"):
        with refused("ValidationException"):
            events.list_event_buses(NextToken=wrong)


def test_a_bus_has_up_to_300_rules(events: Any, stand_in: StandIn) -> None:
    events.put_rule(Name="r0", EventPattern=ANY_SOURCE)
    rules = stand_in.events.buses.by_name["default"].rules
    rules.update({f"r{number}": rules["r0"] for number in range(300)})
    events.put_rule(Name="r7", EventPattern=ANY_SOURCE)
    with refused("LimitExceededException"):
        events.put_rule(Name="one-more", EventPattern=ANY_SOURCE)


# Targets


@pytest.mark.usefixtures("rule")
def test_targets_are_listed_as_they_were_put(events: Any) -> None:
    target = {"Id": "q", "Arn": QUEUE, "RetryPolicy": {"MaximumRetryAttempts": 3, "MaximumEventAgeInSeconds": 60}}
    assert events.put_targets(Rule="all", EventBusName=BUS, Targets=[target])["FailedEntryCount"] == 0
    assert events.list_targets_by_rule(Rule="all", EventBusName=BUS)["Targets"] == [target]


@pytest.mark.usefixtures("rule")
def test_rules_are_found_by_their_target(events: Any) -> None:
    events.put_rule(Name="none", EventBusName=BUS, EventPattern=ANY_SOURCE)
    events.put_targets(Rule="all", EventBusName=BUS, Targets=[{"Id": "q", "Arn": QUEUE}])
    assert events.list_rule_names_by_target(TargetArn=QUEUE, EventBusName=BUS)["RuleNames"] == ["all"]


@pytest.mark.usefixtures("rule")
def test_targets_are_listed_page_by_page(events: Any) -> None:
    targets = [{"Id": str(number), "Arn": QUEUE} for number in range(3)]
    events.put_targets(Rule="all", EventBusName=BUS, Targets=targets)
    first = events.list_targets_by_rule(Rule="all", EventBusName=BUS, Limit=2)
    second = events.list_targets_by_rule(Rule="all", EventBusName=BUS, Limit=2, NextToken=first["NextToken"])
    assert first["Targets"] + second["Targets"] == targets


@pytest.mark.usefixtures("rule", "stand_in")
@pytest.mark.parametrize(
    "shaping", [{"Input": "{}"}, {"InputPath": "$.detail"}, {"InputTransformer": {"InputTemplate": '"x"'}}], ids=str
)
def test_a_target_that_wants_events_in_another_shape_is_refused(events: Any, shaping: dict[str, Any]) -> None:
    with refused("ValidationException", text=f"a target with {next(iter(shaping))} is not offered"):
        events.put_targets(Rule="all", EventBusName=BUS, Targets=[{"Id": "q", "Arn": QUEUE} | shaping])


# Patterns


EVENT = {
    "id": "1", "account": "000000000000", "source": "cdc.users", "time": "2026-01-15T10:31:00Z", "region": "us-east-1",
    "resources": [], "detail-type": "user.updated", "detail": {"id": 7, "changedFields": ["Email", "Name"]},
}  # fmt: skip


@pytest.mark.parametrize(
    ("pattern", "matches"),
    [
        ({"source": [{"prefix": "cdc."}], "detail": {"changedFields": ["Email"]}}, True),
        ({"detail": {"$or": [{"id": [8]}, {"changedFields": [{"wildcard": "N*e"}]}]}}, True),
        ({"detail": {"changedFields": [{"anything-but": ["Email", "Name"]}]}}, False),
    ],
)
def test_a_pattern_is_tested_against_an_event(events: Any, pattern: dict[str, Any], *, matches: bool) -> None:
    answer = events.test_event_pattern(EventPattern=json.dumps(pattern), Event=json.dumps(EVENT))
    assert answer["Result"] is matches


@pytest.mark.parametrize("name", ["id", "account", "source", "time", "region", "resources", "detail-type"])
def test_an_event_to_be_tested_needs_the_fields_of_every_event(events: Any, name: str) -> None:
    event = {field: value for field, value in EVENT.items() if field != name}
    with refused("ValidationException", text=name):
        events.test_event_pattern(EventPattern=ANY_SOURCE, Event=json.dumps(event))


@pytest.mark.parametrize("event", ["nonsense", "[]"])
def test_what_is_no_event_is_not_tested(events: Any, event: str) -> None:
    with refused("ValidationException"):
        events.test_event_pattern(EventPattern=ANY_SOURCE, Event=event)


def test_a_pattern_that_breaks_the_language_is_refused_with_the_reason(events: Any) -> None:
    reason = 'Event pattern is not valid. Reason: "slug" must be an object or an array'
    pattern = '{"detail": {"slug": "some-pipeline"}}'
    with refused("InvalidEventPatternException", text=reason):
        events.test_event_pattern(EventPattern=pattern, Event=json.dumps(EVENT))
    with refused("InvalidEventPatternException", text=reason):
        events.put_rule(Name="r", EventPattern=pattern)


def test_a_pattern_has_up_to_2048_characters(events: Any) -> None:
    pattern = json.dumps({"source": ["x" * (2_048 - len('{"source": [""]}'))]})
    events.put_rule(Name="r", EventPattern=pattern)
    with refused("LimitExceededException"):
        events.put_rule(Name="r", EventPattern=pattern + " ")
    with refused("ValidationException"):
        events.put_rule(Name="r", EventPattern=pattern + " " * 2_049)
