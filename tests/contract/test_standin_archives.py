"""Archives and replays of the stand-in's EventBridge, through unmodified boto3."""

import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sandbox.aws.control_client import StandInControl
from tests.contract.standin import HandClock, clock, control, events, refused, sqs, stand_in
from tests.contract.test_standin_events import ANY_SOURCE, BUS, Listener, entry, put

__all__ = ["clock", "control", "events", "sqs", "stand_in"]  # fixtures

NOON = datetime(2026, 1, 15, 12, tzinfo=UTC)
PATTERN = '{"detail": {"keep": [true]}}'
SECONDS = 20.0


@pytest.fixture
def bus(events: Any) -> str:
    arn: str = events.create_event_bus(Name=BUS)["EventBusArn"]
    return arn


@pytest.fixture
def archive(events: Any, bus: str) -> str:
    arn: str = events.create_archive(ArchiveName="all", EventSourceArn=bus)["ArchiveArn"]
    return arn


def fill(events: Any, minutes: int, each: int = 1) -> None:
    """Events `{"n": 0}`, `{"n": 1}`, …: `each` a minute from NOON on, a second apart."""
    entries = [
        entry(json.dumps({"n": number}), Time=NOON + timedelta(minutes=number // each, seconds=number % each))
        for number in range(minutes * each)
    ]
    for first in range(0, len(entries), 10):
        put(events, *entries[first : first + 10])


def start(events: Any, archive: str, bus: str, name: str = "again", minutes: float = 60, **destination: Any) -> Any:
    return events.start_replay(
        ReplayName=name, EventSourceArn=archive, Destination={"Arn": bus} | destination,
        EventStartTime=NOON, EventEndTime=NOON + timedelta(minutes=minutes),
    )  # fmt: skip


def wait(events: Any, state: str = "COMPLETED", name: str = "again") -> Any:
    deadline = time.monotonic() + SECONDS
    while (described := events.describe_replay(ReplayName=name))["State"] != state:
        assert time.monotonic() < deadline, described
    return described


def numbers(listener: Listener) -> list[int]:
    return [event["detail"]["n"] for event in listener.events()]


# Archives


def test_an_archive_is_described_as_it_was_made(events: Any, bus: str) -> None:
    made = events.create_archive(
        ArchiveName="kept", EventSourceArn=bus, Description="some", EventPattern=PATTERN, RetentionDays=14
    )
    assert (made["ArchiveArn"], made["State"]) == ("arn:aws:events:us-east-1:000000000000:archive/kept", "ENABLED")
    described = events.describe_archive(ArchiveName="kept")
    expected = {
        "ArchiveArn": made["ArchiveArn"], "ArchiveName": "kept", "EventSourceArn": bus, "Description": "some",
        "EventPattern": PATTERN, "State": "ENABLED", "RetentionDays": 14, "EventCount": 0, "SizeBytes": 0,
    }  # fmt: skip
    assert described.items() >= expected.items()


def test_an_archive_needs_a_bus_and_a_name_of_its_own(events: Any, bus: str, archive: str) -> None:
    with refused("ResourceAlreadyExistsException"):
        events.create_archive(ArchiveName="all", EventSourceArn=bus)
    with refused("ResourceNotFoundException"):
        events.create_archive(ArchiveName="other", EventSourceArn=bus + "-missing")


def test_an_archive_with_an_invalid_pattern_is_refused(events: Any, bus: str) -> None:
    with refused("InvalidEventPatternException"):
        events.create_archive(ArchiveName="a", EventSourceArn=bus, EventPattern='{"source": "x"}')
    assert events.list_archives()["Archives"] == []


@pytest.mark.usefixtures("archive")
def test_an_archive_is_changed_and_deleted(events: Any) -> None:
    events.update_archive(ArchiveName="all", Description="new", EventPattern=PATTERN, RetentionDays=2)
    described = events.describe_archive(ArchiveName="all")
    assert (described["Description"], described["EventPattern"], described["RetentionDays"]) == ("new", PATTERN, 2)
    events.delete_archive(ArchiveName="all")
    for gone in (events.describe_archive, events.update_archive, events.delete_archive):
        with refused("ResourceNotFoundException"):
            gone(ArchiveName="all")


def test_archives_are_listed_by_one_filter(events: Any, bus: str) -> None:
    for name in ("a1", "a2", "b1"):
        events.create_archive(ArchiveName=name, EventSourceArn=bus)
    assert [found["ArchiveName"] for found in events.list_archives(NamePrefix="a")["Archives"]] == ["a1", "a2"]
    assert len(events.list_archives(EventSourceArn=bus)["Archives"]) == 3
    assert events.list_archives(State="DISABLED")["Archives"] == []
    with refused("ValidationException", text="At most one filter"):
        events.list_archives(NamePrefix="a", State="ENABLED")


def test_an_archive_keeps_what_its_pattern_matches_whether_a_rule_does_or_not(events: Any, bus: str) -> None:
    events.create_archive(ArchiveName="all", EventSourceArn=bus)
    events.create_archive(ArchiveName="some", EventSourceArn=bus, EventPattern=PATTERN)
    put(events, entry('{"keep":true}'), entry('{"keep":false}'), entry(EventBusName="default"), entry("[]"))
    assert events.describe_archive(ArchiveName="all")["EventCount"] == 2
    described = events.describe_archive(ArchiveName="some")
    assert described["EventCount"] == 1
    assert described["SizeBytes"] > 0


def test_an_archive_forgets_what_is_past_its_retention(events: Any, bus: str, clock: HandClock) -> None:
    events.create_archive(ArchiveName="day", EventSourceArn=bus, RetentionDays=1)
    put(events, entry())
    clock.advance(86_400)
    put(events, entry())
    assert events.describe_archive(ArchiveName="day")["EventCount"] == 2
    clock.advance(1)
    assert events.describe_archive(ArchiveName="day")["EventCount"] == 1


# Replays


def test_a_replay_delivers_events_again_under_its_name(events: Any, sqs: Any, archive: str, bus: str) -> None:
    listener = Listener(events, sqs)
    fill(events, 1)
    [first] = listener.events()
    answer = start(events, archive, bus)
    assert (answer["ReplayArn"], answer["State"]) == ("arn:aws:events:us-east-1:000000000000:replay/again", "STARTING")
    wait(events)
    [again] = listener.events()
    assert again.pop("replay-name") == "again"
    assert again["detail"] == first["detail"] == {"n": 0}
    assert (again["source"], again["detail-type"], again["time"]) == (
        "cdc-pipeline.users",
        "user.updated",
        first["time"],
    )


@pytest.mark.usefixtures("stand_in")
def test_a_replayed_event_has_the_id_and_the_very_detail_it_had(events: Any, sqs: Any, archive: str, bus: str) -> None:
    listener = Listener(events, sqs)
    put(events, entry('{"exact":10.50, "a":1E3}', Time=NOON))
    [first] = listener.texts()
    start(events, archive, bus)
    wait(events)
    assert listener.texts() == [f'{first[:-1]},"replay-name":"again"}}']


@pytest.mark.usefixtures("stand_in")
def test_a_replay_goes_minute_by_minute_and_within_a_minute_in_no_order(
    events: Any, sqs: Any, archive: str, bus: str
) -> None:
    listener = Listener(events, sqs)
    fill(events, 3, each=20)
    assert numbers(listener) == [*range(60)]
    start(events, archive, bus)
    wait(events)
    replayed = numbers(listener)
    minutes = [replayed[at : at + 20] for at in (0, 20, 40)]
    assert [sorted(minute) for minute in minutes] == [[*range(at, at + 20)] for at in (0, 20, 40)]
    assert all(minute != sorted(minute) for minute in minutes)


def test_the_order_within_a_minute_is_that_of_the_seed(
    events: Any, sqs: Any, control: StandInControl, archive: str, bus: str
) -> None:
    listener = Listener(events, sqs)
    fill(events, 1, each=20)
    numbers(listener)
    runs = []
    for run, seed in enumerate((1, 1, 2)):
        control.behave(replay_seed=seed)
        start(events, archive, bus, name=f"again-{run}")
        wait(events, name=f"again-{run}")
        runs.append(numbers(listener))
    assert runs[0] == runs[1] != runs[2]
    assert sorted(runs[2]) == [*range(20)]


def test_only_events_of_the_time_asked_for_are_replayed(events: Any, sqs: Any, archive: str, bus: str) -> None:
    listener = Listener(events, sqs)
    fill(events, 5)
    numbers(listener)
    start(events, archive, bus, minutes=2.5)
    described = wait(events)
    assert numbers(listener) == [0, 1, 2]
    assert (described["EventStartTime"], described["EventEndTime"]) == (NOON, NOON + timedelta(minutes=2.5))


@pytest.mark.usefixtures("stand_in")
def test_a_replay_tells_how_far_it_came(events: Any, archive: str, bus: str) -> None:
    fill(events, 3)
    start(events, archive, bus)
    described = wait(events)
    assert described["EventLastReplayedTime"] == NOON + timedelta(minutes=2)
    assert described["ReplayEndTime"] == described["ReplayStartTime"]


@pytest.mark.usefixtures("stand_in")
def test_a_replay_may_be_for_some_rules_only(events: Any, sqs: Any, archive: str, bus: str) -> None:
    listener, other = Listener(events, sqs), Listener(events, sqs, ANY_SOURCE, "other")
    fill(events, 1)
    numbers(listener), numbers(other)
    rule = events.describe_rule(Name="other", EventBusName=BUS)["Arn"]
    start(events, archive, bus, FilterArns=[rule])
    assert wait(events)["Destination"] == {"Arn": bus, "FilterArns": [rule]}
    assert (numbers(listener), numbers(other)) == ([], [0])


@pytest.mark.usefixtures("stand_in")
def test_a_rule_may_leave_replays_out(events: Any, sqs: Any, archive: str, bus: str) -> None:
    live = Listener(events, sqs, '{"replay-name": [{"exists": false}]}', "live")
    replays = Listener(events, sqs, '{"replay-name": ["again"]}', "replays")
    fill(events, 1)
    start(events, archive, bus)
    wait(events)
    assert (numbers(live), numbers(replays)) == ([0], [0])


def test_replayed_events_are_neither_archived_again_nor_taken_for_new_ones(
    events: Any, sqs: Any, control: StandInControl, archive: str, bus: str
) -> None:
    Listener(events, sqs)
    fill(events, 2)
    start(events, archive, bus)
    wait(events)
    assert events.describe_archive(ArchiveName="all")["EventCount"] == 2
    assert control.ledger()["buses"][BUS] == {
        "accepted": 2, "matched": 2, "unmatched": 0, "delivered": 4, "undelivered": 0, "replayed": 2,
    }  # fmt: skip
    assert len(control.accepted()) == 2


def test_a_replay_may_be_stopped(events: Any, sqs: Any, control: StandInControl, archive: str, bus: str) -> None:
    listener = Listener(events, sqs)
    fill(events, 3)
    numbers(listener)
    control.behave(replay_seconds=60)
    start(events, archive, bus)
    deadline = time.monotonic() + SECONDS
    while not (replayed := numbers(listener)):
        assert time.monotonic() < deadline
    assert events.describe_replay(ReplayName="again")["State"] == "RUNNING"
    assert events.cancel_replay(ReplayName="again")["State"] == "CANCELLING"
    wait(events, "CANCELLED")
    assert (replayed, numbers(listener)) == ([0], [])
    with refused("IllegalStatusException"):
        events.cancel_replay(ReplayName="again")


def test_a_replay_to_a_bus_that_is_gone_fails(events: Any, control: StandInControl, archive: str, bus: str) -> None:
    fill(events, 60)
    control.behave(replay_seconds=0.2)  # 12 s in all
    start(events, archive, bus)
    control.lose_bus(BUS)
    described = wait(events, "FAILED")
    assert "does not exist" in described["StateReason"]


def test_ten_replays_are_active_at_most(events: Any, control: StandInControl, archive: str, bus: str) -> None:
    fill(events, 1)
    control.behave(replay_seconds=60)
    for number in range(10):
        start(events, archive, bus, name=f"r{number}")
    with refused("LimitExceededException"):
        start(events, archive, bus, name="one-more")


def test_replays_are_listed_by_one_filter(events: Any, archive: str, bus: str) -> None:
    for name in ("a1", "a2", "b1"):
        start(events, archive, bus, name=name)
        wait(events, name=name)
    assert [found["ReplayName"] for found in events.list_replays(NamePrefix="a")["Replays"]] == ["a1", "a2"]
    assert len(events.list_replays(State="COMPLETED")["Replays"]) == 3
    with refused("ValidationException", text="At most one filter"):
        events.list_replays(NamePrefix="a", State="COMPLETED")


def test_a_replay_name_is_taken_once(events: Any, archive: str, bus: str) -> None:
    start(events, archive, bus)
    with refused("ResourceAlreadyExistsException"):
        start(events, archive, bus)


def test_a_replay_goes_to_the_bus_its_events_came_from_and_to_no_other(events: Any, archive: str, bus: str) -> None:
    other = events.create_event_bus(Name="other")["EventBusArn"]
    with refused("ValidationException", text="Cross event bus replay is not permitted."):
        start(events, archive, other)
    with refused("ResourceNotFoundException"):
        start(events, archive, bus + "-missing")
    with refused("ValidationException", text="Must contain an event bus ARN."):
        start(events, archive, archive)


def test_a_replay_needs_an_archive_and_a_time_that_ends_after_it_begins(events: Any, archive: str, bus: str) -> None:
    with refused("ValidationException", text="does not exist"):
        start(events, archive + "-missing", bus)
    with refused("ValidationException", text="EventStartTime must be before EventEndTime."):
        start(events, archive, bus, minutes=-1)


@pytest.mark.usefixtures("stand_in")
def test_a_replay_for_a_rule_that_is_not_there_is_refused(events: Any, archive: str, bus: str) -> None:
    with refused("ValidationException", text="FilterArns"):
        start(events, archive, bus, FilterArns=["arn:aws:events:us-east-1:000000000000:rule/cdc-events/none"])


@pytest.mark.parametrize("operation", ["describe_replay", "cancel_replay"])
def test_a_replay_that_is_not_there_is_not_found(events: Any, operation: str) -> None:
    with refused("ResourceNotFoundException"):
        getattr(events, operation)(ReplayName="missing")
