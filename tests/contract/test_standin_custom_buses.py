"""Custom Event Buses (v2) of the stand-in, through unmodified boto3; what they deliver is read from its SQS."""

import json
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest

from sandbox.aws.control_client import ControlError, StandInControl
from sandbox.aws.server import StandIn
from tests.contract.standin import HandClock, client, clock, control, eventsv2, refused, sqs, stand_in

__all__ = ["clock", "control", "eventsv2", "sqs", "stand_in"]  # fixtures

ROLE = "arn:aws:iam::000000000000:role/deliver"
ABSENT = "arn:aws:events:us-east-1:000000000000:event-busv2/gone/" + "a" * 25


@pytest.fixture
def bus(eventsv2: Any) -> str:
    """The ARN of a new bus."""
    arn: str = eventsv2.create_event_bus(Name="cdc")["EventBusArn"]
    return arn


def entry(number: int, group: str = "users:7", **more: Any) -> dict[str, Any]:
    system = {"EventGroupId": group, "DeduplicationId": f"evt_{number}"}
    named = {"Source": "cdc-pipeline.users", "DetailType": "user.updated", "Detail": json.dumps({"n": number})}
    return named | {"SystemMetadata": system} | more


@pytest.fixture
def put(eventsv2: Any, bus: str) -> Callable[..., Any]:
    return lambda *entries, **more: eventsv2.put_events(EventBusArn=bus, Entries=list(entries), **more)


@pytest.fixture
def subscribed(eventsv2: Any, sqs: Any, bus: str) -> Callable[..., Callable[[], list[dict[str, Any]]]]:
    """Subscribes a queue; what it gives reads the queue."""

    def subscribe(name: str = "all", **more: Any) -> Callable[[], list[dict[str, Any]]]:
        url = sqs.create_queue(QueueName=name)["QueueUrl"]
        target = f"arn:aws:sqs:us-east-1:000000000000:{name}"
        eventsv2.create_subscriber(
            Name=name, EventBusArn=bus, Type="FIFO", InvokeConfiguration={"RoleArn": ROLE, "TargetArn": target}, **more
        )

        def read() -> list[dict[str, Any]]:
            found: list[dict[str, Any]] = []
            while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
                found.extend(json.loads(message["Body"]) for message in messages)
            return found

        return read

    return subscribe


def test_a_bus_is_made_described_listed_and_deleted(eventsv2: Any, bus: str, clock: HandClock) -> None:
    described = eventsv2.describe_event_bus(EventBusArn=bus)
    assert (described["Name"], described["State"]) == ("cdc", "ACTIVE")
    assert described["CreationTime"].timestamp() == clock.now
    assert [found["EventBusArn"] for found in eventsv2.list_event_buses(NamePrefix="c")["EventBuses"]] == [bus]
    assert eventsv2.list_event_buses(NamePrefix="x")["EventBuses"] == []
    eventsv2.delete_event_bus(EventBusArn=bus)
    with refused("ResourceNotFoundException", 404):
        eventsv2.describe_event_bus(EventBusArn=bus)


def test_a_bus_made_again_is_another_one(eventsv2: Any, bus: str) -> None:
    eventsv2.delete_event_bus(EventBusArn=bus)
    assert eventsv2.create_event_bus(Name="cdc")["EventBusArn"] != bus


def test_a_name_is_taken_once(eventsv2: Any, bus: str) -> None:
    with refused("ResourceAlreadyExistsException", 409):
        eventsv2.create_event_bus(Name="cdc")


def test_a_bus_with_subscribers_is_not_deleted(eventsv2: Any, bus: str, subscribed: Any) -> None:
    subscribed()
    with refused("ResourceInUseException", 409):
        eventsv2.delete_event_bus(EventBusArn=bus)
    [subscriber] = eventsv2.list_subscribers(EventBusArn=bus)["Subscribers"]
    assert eventsv2.describe_subscriber(SubscriberArn=subscriber["SubscriberArn"])["Type"] == "FIFO"
    eventsv2.delete_subscriber(SubscriberArn=subscriber["SubscriberArn"])
    eventsv2.delete_event_bus(EventBusArn=bus)


def test_events_get_ids_and_sequence_numbers_that_grow_within_a_group(put: Any) -> None:
    answer = put(*(entry(number) for number in range(100)))
    assert answer["FailedEntryCount"] == 0
    assert len({result["EventId"] for result in answer["Entries"]}) == 100
    numbers = [result["SequenceNumber"] for result in answer["Entries"]]
    assert numbers == sorted(numbers)
    assert {result["SuccessCode"] for result in answer["Entries"]} == {"PUBLISHED"}


def test_a_subscriber_gets_the_events_of_a_group_in_order_and_repeats_once(put: Any, subscribed: Any) -> None:
    read = subscribed()
    put(entry(1), entry(2), entry(1))
    put(entry(2), entry(3))
    assert [event["detail"]["n"] for event in read()] == [1, 2, 3]


def test_a_repeat_has_the_ids_of_the_first_and_is_counted(put: Any, control: StandInControl, bus: str) -> None:
    [first] = put(entry(1))["Entries"]
    [again] = put(entry(1))["Entries"]
    assert again == first | {"SuccessCode": "DEDUPLICATED"}
    tally = control.ledger()["customBuses"][bus]
    assert (tally["received"], tally["published"], tally["deduplicated"], tally["altered"]) == (2, 1, 1, 0)


def test_a_repeat_with_other_bytes_is_noticed(put: Any, control: StandInControl, bus: str) -> None:
    put(entry(1))
    put(entry(1, Detail='{"n":9}'))
    assert control.ledger()["customBuses"][bus]["altered"] == 1


def test_a_repeat_is_known_for_300_seconds(put: Any, clock: HandClock) -> None:
    codes = []
    for seconds in (0, 299.9, 0.2):
        clock.advance(seconds)
        codes += [result["SuccessCode"] for result in put(entry(1))["Entries"]]
    assert codes == ["PUBLISHED", "DEDUPLICATED", "PUBLISHED"]


def test_a_repeat_is_known_within_its_group_only(put: Any) -> None:
    put(entry(1))
    assert put(entry(1, group="users:8"))["Entries"][0]["SuccessCode"] == "PUBLISHED"


def test_a_filter_chooses_what_a_subscriber_gets(put: Any, subscribed: Any) -> None:
    pattern = {"Pattern": '{"detail": {"n": [2]}}', "Scope": "DATA"}
    read = subscribed(FilterConfiguration={"Filters": [pattern]})
    put(entry(1), entry(2))
    assert [event["detail"]["n"] for event in read()] == [2]


def test_a_detail_that_is_no_json_fails_alone(put: Any) -> None:
    answer = put(entry(1), entry(2, Detail="{"), entry(3))
    assert [result.get("ErrorCode") for result in answer["Entries"]] == [None, "InvalidInputException", None]
    assert answer["FailedEntryCount"] == 1


@pytest.mark.parametrize(
    "broken",
    [
        {"Source": "s" * 257}, {"DetailType": "t" * 129}, {"SystemMetadata": {"EventGroupId": "g" * 129}},
        {"SystemMetadata": {"DeduplicationId": "d" * 129}}, {"SystemMetadata": {"DeduplicationId": " "}},
    ],
)  # fmt: skip
def test_an_entry_that_breaks_the_model_stops_its_whole_request(
    put: Any, control: StandInControl, bus: str, broken: dict[str, Any]
) -> None:
    with refused("InvalidInputException"):
        put(entry(1), entry(2, **broken))
    assert control.ledger()["customBuses"][bus]["received"] == 0


def test_more_than_a_hundred_entries_are_refused(put: Any) -> None:
    with refused("InvalidInputException"):
        put(*(entry(number) for number in range(101)))


def test_a_bus_that_does_not_exist_is_told(eventsv2: Any) -> None:
    with refused("ResourceNotFoundException", 404):
        eventsv2.put_events(EventBusArn=ABSENT, Entries=[entry(1)])


@pytest.mark.parametrize(
    ("kind", "code", "status"),
    [
        ("throttle", "ThrottlingException", 429), ("internal_failure", "InternalException", 500),
        ("access_denied", "AccessDeniedException", 403),
    ],
)  # fmt: skip
def test_faults_have_the_codes_of_this_service(
    put: Any, control: StandInControl, kind: str, code: str, status: int
) -> None:
    control.fault(kind, "PutEvents", service="eventsv2", times=1)
    with refused(code, status):
        put(entry(1))
    assert put(entry(1))["FailedEntryCount"] == 0


def test_one_entry_fails_and_the_others_are_taken(put: Any, control: StandInControl, bus: str) -> None:
    control.fault("partial", "PutEvents", service="eventsv2", entries=[1], code="InternalException")
    answer = put(entry(1), entry(2), entry(3))
    assert [result.get("ErrorCode") for result in answer["Entries"]] == [None, "InternalException", None]
    assert control.ledger()["customBuses"][bus]["published"] == 2


def test_calls_beyond_the_quota_are_refused_until_the_bucket_fills(
    put: Any, control: StandInControl, clock: HandClock
) -> None:
    control.set_quota(calls=2)
    put(entry(1))
    put(entry(2))
    with refused("ThrottlingException", 429):
        put(entry(3))
    clock.advance(0.5)
    assert put(entry(3))["FailedEntryCount"] == 0
    control.set_quota(calls=1)
    control.lift_quota()
    for number in range(20):
        put(entry(number))


def test_entries_beyond_the_quota_fail_by_themselves(
    put: Any, control: StandInControl, clock: HandClock, bus: str
) -> None:
    control.set_quota(entries=3)
    answer = put(*(entry(number) for number in range(5)))
    assert [result.get("ErrorCode") for result in answer["Entries"]] == [None] * 3 + ["ThrottlingException"] * 2
    assert control.deliveries().failed == {"ThrottlingException": 2}
    clock.advance(1)
    put(entry(3), entry(4))
    assert control.ledger()["customBuses"][bus]["published"] == 5


def test_classic_and_custom_buses_have_the_quota_each_by_itself(
    put: Any, control: StandInControl, stand_in: StandIn
) -> None:
    control.set_quota(calls=1)
    put(entry(1))
    classic = {"Source": "cdc", "DetailType": "a.b", "Detail": "{}"}
    assert client("events", stand_in.url).put_events(Entries=[classic])["FailedEntryCount"] == 0


def test_a_lost_bus_is_told_and_comes_back_with_its_subscribers(
    eventsv2: Any, put: Any, subscribed: Any, control: StandInControl, bus: str
) -> None:
    read = subscribed()
    control.lose_bus(bus)
    with refused("ResourceNotFoundException", 404):
        put(entry(1))
    assert eventsv2.list_event_buses()["EventBuses"] == []
    meanwhile = eventsv2.create_event_bus(Name="cdc")["EventBusArn"]
    control.bring_back_bus(bus)
    put(entry(2))
    assert [event["detail"]["n"] for event in read()] == [2]
    with refused("ResourceNotFoundException", 404):
        eventsv2.describe_event_bus(EventBusArn=meanwhile)


def test_only_a_bus_that_is_there_is_lost_and_only_a_lost_one_comes_back(control: StandInControl, bus: str) -> None:
    with pytest.raises(ControlError, match="no bus arn:aws:events"):
        control.lose_bus(ABSENT)
    with pytest.raises(ControlError, match="no lost bus arn:aws:events"):
        control.bring_back_bus(bus)


def test_a_body_that_is_no_cbor_is_told_in_cbor(stand_in: StandIn) -> None:
    request = urllib.request.Request(
        f"{stand_in.url}/service/AWSEventsV2/operation/PutEvents", data=b"\xff\xff", method="POST"
    )
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request)
    assert caught.value.headers["smithy-protocol"] == "rpc-v2-cbor"
    assert b"SerializationException" in caught.value.read()
