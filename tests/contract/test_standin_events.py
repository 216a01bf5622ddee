"""EventBridge of the stand-in, through unmodified boto3; what it delivers is read from its SQS."""

import json
import urllib.request
from datetime import UTC, datetime
from typing import Any

import pytest

from sandbox.aws.server import StandIn
from tests.contract.standin import START, HandClock, client, clock, events, refused, running, sqs, stand_in

__all__ = ["clock", "events", "sqs", "stand_in"]  # fixtures

BUS = "cdc-events"
ANY_SOURCE = '{"source": [{"prefix": ""}]}'
MIB = 1 << 20


def entry(detail: str = "{}", **more: Any) -> dict[str, Any]:
    return {"EventBusName": BUS, "Source": "cdc-pipeline.users", "DetailType": "user.updated", "Detail": detail} | more


def put(events: Any, *entries: dict[str, Any]) -> Any:
    return events.put_events(Entries=list(entries))


def error_codes(answer: Any) -> list[str | None]:
    return [result.get("ErrorCode") for result in answer["Entries"]]


class Listener:
    """A queue that a rule of the bus delivers to."""

    def __init__(self, events: Any, sqs: Any, pattern: str = ANY_SOURCE, name: str = "all") -> None:
        self._sqs = sqs
        self._url = sqs.create_queue(QueueName=name)["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=self._url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        if BUS not in [bus["Name"] for bus in events.list_event_buses()["EventBuses"]]:
            events.create_event_bus(Name=BUS)
        events.put_rule(Name=name, EventBusName=BUS, EventPattern=pattern)
        events.put_targets(Rule=name, EventBusName=BUS, Targets=[{"Id": "queue", "Arn": arn}])

    def texts(self) -> list[str]:
        found: list[str] = []
        while messages := self._sqs.receive_message(QueueUrl=self._url, MaxNumberOfMessages=10).get("Messages"):
            found.extend(message["Body"] for message in messages)
        return found

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(text) for text in self.texts()]


@pytest.fixture
def listener(events: Any, sqs: Any) -> Listener:
    return Listener(events, sqs)


@pytest.fixture
def bus(events: Any) -> None:
    events.create_event_bus(Name=BUS)


# Buses, rules, targets


def test_a_default_bus_is_always_there(events: Any) -> None:
    assert events.describe_event_bus()["Arn"] == "arn:aws:events:us-east-1:000000000000:event-bus/default"


def test_a_bus_is_described_by_name_and_by_arn(events: Any) -> None:
    arn = events.create_event_bus(Name=BUS)["EventBusArn"]
    assert events.describe_event_bus(Name=BUS)["Arn"] == arn
    assert events.describe_event_bus(Name=arn)["Name"] == BUS


def test_a_bus_name_is_taken_once(events: Any) -> None:
    events.create_event_bus(Name=BUS)
    with refused("ResourceAlreadyExistsException"):
        events.create_event_bus(Name=BUS)


def test_a_deleted_bus_is_not_found_and_deleting_it_again_is_fine(events: Any) -> None:
    events.create_event_bus(Name=BUS)
    events.delete_event_bus(Name=BUS)
    events.delete_event_bus(Name=BUS)
    with refused("ResourceNotFoundException"):
        events.describe_event_bus(Name=BUS)


def test_a_bus_with_rules_is_not_deleted(events: Any, listener: Listener) -> None:
    with refused("ValidationException"):
        events.delete_event_bus(Name=BUS)


def test_a_rule_is_described_as_it_was_put(events: Any) -> None:
    events.create_event_bus(Name=BUS)
    arn = events.put_rule(Name="r", EventBusName=BUS, EventPattern=ANY_SOURCE, State="DISABLED")["RuleArn"]
    described = events.describe_rule(Name="r", EventBusName=BUS)
    assert arn == "arn:aws:events:us-east-1:000000000000:rule/cdc-events/r" == described["Arn"]
    assert (described["EventPattern"], described["State"]) == (ANY_SOURCE, "DISABLED")
    assert [rule["Name"] for rule in events.list_rules(EventBusName=BUS)["Rules"]] == ["r"]


def test_a_rule_with_an_invalid_pattern_is_refused(events: Any) -> None:
    with refused("InvalidEventPatternException"):
        events.put_rule(Name="r", EventPattern='{"source": "not a list"}')


def test_a_rule_keeps_its_targets_when_it_is_put_again(events: Any, listener: Listener) -> None:
    events.put_rule(Name="all", EventBusName=BUS, EventPattern='{"source": ["other"]}')
    assert len(events.list_targets_by_rule(Rule="all", EventBusName=BUS)["Targets"]) == 1
    put(events, entry())
    assert listener.events() == []


def test_a_rule_is_deleted_only_without_targets(events: Any, listener: Listener) -> None:
    with refused("ValidationException"):
        events.delete_rule(Name="all", EventBusName=BUS)
    events.remove_targets(Rule="all", EventBusName=BUS, Ids=["queue"])
    events.delete_rule(Name="all", EventBusName=BUS)
    with refused("ResourceNotFoundException"):
        events.describe_rule(Name="all", EventBusName=BUS)


def test_a_rule_has_at_most_five_targets(events: Any, listener: Listener) -> None:
    targets = [{"Id": str(number), "Arn": "arn:aws:sqs:us-east-1:000000000000:q"} for number in range(5)]
    with refused("LimitExceededException"):
        events.put_targets(Rule="all", EventBusName=BUS, Targets=targets)


# Delivery


def test_a_delivered_event_has_the_envelope_of_aws(events: Any, listener: Listener) -> None:
    sent = put(events, entry('{"id": 7}', Resources=["arn:one"], Time=datetime.fromtimestamp(START - 0.25, UTC)))
    assert listener.events() == [
        {
            "version": "0",
            "id": sent["Entries"][0]["EventId"],
            "detail-type": "user.updated",
            "source": "cdc-pipeline.users",
            "account": "000000000000",
            "time": "2027-01-15T07:59:59Z",
            "region": "us-east-1",
            "resources": ["arn:one"],
            "detail": {"id": 7},
        }
    ]


def test_an_event_without_time_gets_that_of_its_arrival(events: Any, listener: Listener, clock: HandClock) -> None:
    clock.advance(61)
    put(events, entry())
    assert listener.events()[0]["time"] == "2027-01-15T08:01:01Z"


@pytest.mark.parametrize(
    "detail",
    [
        '{"exact":10.50,"big":9223372036854775807,"e":1E3}',
        '{ "spaced" : [ 1,2 ] }',
        '{"escaped":"\\u00e9\\/","plain":"é"}',
        '{"b":1,"a":2}',
    ],
)
def test_the_detail_is_delivered_character_for_character(events: Any, listener: Listener, detail: str) -> None:
    put(events, entry(detail))
    assert listener.texts()[0].endswith(f'"detail":{detail}}}')


def test_events_arrive_in_the_order_they_were_put(events: Any, listener: Listener) -> None:
    for start in range(0, 30, 10):
        put(events, *(entry(json.dumps({"n": number})) for number in range(start, start + 10)))
    assert [event["detail"]["n"] for event in listener.events()] == list(range(30))


def test_a_queue_gets_only_what_its_rule_matches(events: Any, sqs: Any, listener: Listener) -> None:
    vip = Listener(events, sqs, '{"detail": {"vip": [true]}}', "vip")
    put(events, entry('{"vip":true}'), entry('{"vip":false}'), entry('{"vip":"true"}'))
    assert [event["detail"] for event in vip.events()] == [{"vip": True}]
    assert len(listener.events()) == 3


def test_a_disabled_rule_delivers_nothing(events: Any, listener: Listener) -> None:
    events.put_rule(Name="all", EventBusName=BUS, EventPattern=ANY_SOURCE, State="DISABLED")
    put(events, entry())
    assert listener.events() == []


def test_a_bus_may_be_named_by_its_arn(events: Any, listener: Listener) -> None:
    put(events, entry(EventBusName=events.describe_event_bus(Name=BUS)["Arn"]))
    assert len(listener.events()) == 1


def test_an_event_for_another_bus_does_not_reach_this_one(events: Any, listener: Listener) -> None:
    put(events, entry(EventBusName="default"))
    assert listener.events() == []


def test_an_event_for_a_missing_bus_is_accepted_and_goes_nowhere(events: Any, stand_in: StandIn) -> None:
    answer = put(events, entry(EventBusName="missing"))
    assert answer["FailedEntryCount"] == 0
    assert answer["Entries"][0]["EventId"]
    assert stand_in.ledger()["nowhere"]["accepted"] == 1


# What PutEvents refuses


@pytest.mark.parametrize("name", ["Source", "DetailType", "Detail"])
def test_an_entry_that_lacks_a_field_fails_alone(events: Any, listener: Listener, name: str) -> None:
    broken = entry()
    del broken[name]
    answer = put(events, broken, entry('{"kept":true}'))
    assert (answer["FailedEntryCount"], error_codes(answer)) == (1, ["InvalidArgument", None])
    assert [event["detail"] for event in listener.events()] == [{"kept": True}]


@pytest.mark.usefixtures("bus")
def test_a_request_in_which_every_entry_lacks_a_field_fails(events: Any) -> None:
    with refused("ValidationException"):
        put(events, {"Source": "s", "DetailType": "t"}, {"Source": "s", "Detail": "{}"})


@pytest.mark.usefixtures("bus")
@pytest.mark.parametrize(
    "detail",
    [
        "[]",
        '"text"',
        "1",
        "null",
        '{"a":NaN}',
        '{"n":9223372036854775808}',
        '{"n":-9223372036854775809}',
        '{"n":18446744073709551616}',
        '{"a":' * 1001 + "1" + "}" * 1001,
    ],
    ids=lambda detail: detail[:30],
)
def test_json_that_is_no_object_aws_takes_is_malformed(events: Any, detail: str) -> None:
    assert error_codes(put(events, entry(detail))) == ["MalformedDetail"]


@pytest.mark.usefixtures("bus")
@pytest.mark.parametrize("detail", ["{", '{"a":1}{"b":2}', "{'a':1}"])
def test_a_detail_that_is_no_json_is_malformed(events: Any, detail: str) -> None:
    assert error_codes(put(events, entry(detail))) == ["MalformedDetail"]


@pytest.mark.usefixtures("bus")
@pytest.mark.parametrize("detail", ['{"n":9223372036854775807}', '{"n":-9223372036854775808}', '{"n":1e300}'])
def test_a_number_at_the_edge_of_64_bits_is_taken(events: Any, detail: str) -> None:
    assert error_codes(put(events, entry(detail))) == [None]


def test_a_detail_may_be_1000_levels_deep(events: Any, sqs: Any) -> None:
    inner = "[" * 999 + "1234567890123456789" + "]" * 999
    listener = Listener(events, sqs, '{"detail": {"a": [1234567890123456789]}}')
    assert error_codes(put(events, entry(f'{{"a":{inner}}}'), entry(f'{{"a":[{inner}]}}'))) == [None, "MalformedDetail"]
    assert len(listener.texts()) == 1


@pytest.mark.usefixtures("bus")
@pytest.mark.parametrize("source", ["aws.s3", "aws."])
def test_a_source_of_aws_is_not_authorised(events: Any, source: str) -> None:
    assert error_codes(put(events, entry(Source=source))) == ["NotAuthorizedForSourceException"]


@pytest.mark.usefixtures("bus")
def test_a_detail_type_has_up_to_128_characters(events: Any) -> None:
    answer = put(events, entry(DetailType="x" * 128), entry(DetailType="x" * 129))
    assert error_codes(answer) == [None, "InvalidArgument"]


@pytest.mark.usefixtures("bus")
def test_a_request_has_up_to_ten_entries(events: Any) -> None:
    assert put(events, *[entry()] * 10)["FailedEntryCount"] == 0
    with refused("ValidationException"):
        put(events, *[entry()] * 11)


def padded(size: int, **more: Any) -> dict[str, Any]:
    """An entry of `size` bytes by the formula, before what `more` adds."""
    bare = len("cdc-pipeline.users") + len("user.updated") + len('{"x":""}')
    return entry(json.dumps({"x": "y" * (size - bare)}, separators=(",", ":")), **more)


@pytest.mark.usefixtures("bus")
def test_a_request_holds_one_mebibyte_by_the_size_formula(events: Any) -> None:
    assert put(events, padded(MIB // 2), padded(MIB // 2))["FailedEntryCount"] == 0
    with refused("ValidationException"):
        put(events, padded(MIB // 2), padded(MIB // 2 + 1))


@pytest.mark.usefixtures("bus")
def test_time_and_resources_count_towards_the_size(events: Any) -> None:
    now = datetime.fromtimestamp(START, UTC)
    assert put(events, padded(MIB - 14 - 3, Time=now, Resources=["é", "a"]))["FailedEntryCount"] == 0
    with refused("ValidationException"):
        put(events, padded(MIB - 14 - 2, Time=now, Resources=["é", "a"]))


def test_the_size_limit_is_a_setting(clock: HandClock) -> None:
    with running(clock, put_events_bytes=262_144) as stand_in:
        events = client("events", stand_in.url)
        assert put(events, padded(262_144))["FailedEntryCount"] == 0
        with refused("ValidationException"):
            put(events, padded(262_145))


# The ledger


def test_the_ledger_counts_calls_errors_and_events_by_what_became_of_them(
    events: Any, stand_in: StandIn, listener: Listener
) -> None:
    events.put_rule(Name="all", EventBusName=BUS, EventPattern='{"source": ["wanted"]}')
    put(events, entry(Source="wanted"), entry(Source="other"), entry("malformed"))
    with refused("ValidationException"):
        put(events, {"Source": "s"})
    with urllib.request.urlopen(f"{stand_in.url}/_sandbox/ledger", timeout=10) as answer:
        ledger = json.load(answer)
    assert ledger["operations"]["events.PutEvents"] == 2
    assert ledger["errors"] == {"events.PutEvents:ValidationException": 1}
    assert ledger["buses"][BUS] == {
        "accepted": 2, "matched": 1, "unmatched": 1, "delivered": 1, "undelivered": 0, "replayed": 0,
    }  # fmt: skip
    assert ledger["queues"]["all"]["ApproximateNumberOfMessages"] == "1"


def test_an_event_whose_queue_is_gone_is_counted_as_undelivered(
    events: Any, sqs: Any, stand_in: StandIn, listener: Listener
) -> None:
    sqs.delete_queue(QueueUrl=sqs.get_queue_url(QueueName="all")["QueueUrl"])
    put(events, entry())
    tally = stand_in.ledger()["buses"][BUS]
    assert (tally["matched"], tally["delivered"], tally["undelivered"]) == (1, 0, 1)
