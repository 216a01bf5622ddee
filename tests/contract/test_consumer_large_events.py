"""The consumer of examples/ and events that were made to fit: none is lost, and no part passes for the whole."""

import json
from typing import Any

import pytest

from enrichers.oversize import Claim, Ladder, Step, fitted
from models.strict_json import encode
from sandbox.aws.control_client import StandInControl
from sandbox.aws.server import StandIn
from tests.contract.standin import HandClock, client, clock, control, events, sqs, stand_in
from tests.contract.test_consumer_example import ENTITY, LIFE, Bus, body, bus, drained, example

__all__ = ["bus", "clock", "control", "events", "sqs", "stand_in"]  # fixtures

LIMIT = 200_000
NOTES = "n" * 400_000


@pytest.fixture
def s3(stand_in: StandIn) -> Any:
    found = client("s3", stand_in.url)
    found.create_bucket(Bucket="claims")
    return found


def large(number: int = 1) -> dict[str, Any]:
    """A later event of the row, with 400 KB of notes in it."""
    return LIFE[number] | {"changes": LIFE[number]["changes"] | {"Notes": {"old": None, "new": NOTES}}}


def fit(detail: dict[str, Any], *steps: Step) -> tuple[dict[str, Any], Claim | None]:
    """What the publisher sends, and what it writes to S3 before."""
    found = fitted(encode(detail), LIMIT, Ladder(frozenset(steps), "claims", "events/"))
    assert found is not None
    return json.loads(found.detail), found.claim


def claimed(detail: dict[str, Any]) -> tuple[dict[str, Any], Claim]:
    small, claim = fit(detail, Step.CLAIM_CHECK)
    assert claim is not None
    return small, claim


def write(s3: Any, claim: Claim) -> None:
    s3.put_object(Bucket=claim.bucket, Key=claim.key, Body=claim.content)


def test_an_event_that_is_in_s3_is_applied_as_a_whole(bus: Bus, s3: Any, clock: HandClock) -> None:
    small, claim = claimed(large())
    write(s3, claim)
    bus.put(LIFE[0], small)
    inbox = example.Inbox(":memory:")
    assert drained(example.Consumer(bus.sqs, s3, bus.url, inbox, clock)) == {"applied": 2}
    row = inbox.state(ENTITY)
    assert (row["Status"], row["Notes"]) == ("AWAY", NOTES)


@pytest.mark.parametrize("trouble", ["missing", "outage"])
def test_an_event_that_s3_does_not_give_comes_again_until_it_does(
    bus: Bus, s3: Any, control: StandInControl, clock: HandClock, trouble: str
) -> None:
    small, claim = claimed(large())
    if trouble == "outage":
        write(s3, claim)
        control.fault("error", "GetObject", service="s3", code="InternalError", status=500)
    bus.put(LIFE[0], small)
    inbox = example.Inbox(":memory:")
    consumer = example.Consumer(bus.sqs, s3, bus.url, inbox, clock)
    assert drained(consumer) == {"applied": 1, "unfetched": 1}
    assert inbox.state(ENTITY)["Status"] == LIFE[0]["changes"]["Status"]["new"]
    assert inbox.forget(before=clock.now + 1) == 1  # the one that was applied
    if trouble == "outage":
        control.clear_faults()
    else:
        write(s3, claim)
    clock.advance(60)
    assert drained(consumer) == {"applied": 2, "unfetched": 1}
    assert inbox.state(ENTITY)["Status"] == "AWAY"


def test_an_object_of_another_event_is_not_taken_for_this_one(bus: Bus, s3: Any, clock: HandClock) -> None:
    small, claim = claimed(large())
    s3.put_object(Bucket=claim.bucket, Key=claim.key, Body=encode(large(3)))
    bus.put(small)
    assert drained(example.Consumer(bus.sqs, s3, bus.url, example.Inbox(":memory:"), clock)) == {"unreadable": 1}


def test_a_text_that_was_cut_is_kept_as_a_part_until_a_whole_one_comes() -> None:
    row = large()
    row["changes"]["Locale"] = {"old": "de", "new": None}
    cut, _ = fit(row, Step.TRUNCATE)
    cut["metadata"]["truncatedFields"].append("Locale")  # as when its old value was cut
    inbox = example.Inbox(":memory:")
    inbox.take(example.Event.read(body(cut), None), now=0.0)
    state = inbox.state(ENTITY)
    assert state["Notes"] == {"$cut": cut["changes"]["Notes"]["new"]}
    assert (state["Status"], state["Locale"]) == ("AWAY", None)
    inbox.take(example.Event.read(body(large(3)), None), now=0.0)
    assert inbox.state(ENTITY)["Notes"] == NOTES


def test_an_event_without_its_images_says_all_that_is_needed() -> None:
    images = {"before": {"Notes": NOTES}, "after": {"Notes": NOTES}}
    bare, _ = fit(LIFE[1] | images, Step.IMAGES)
    inbox = example.Inbox(":memory:")
    assert inbox.take(example.Event.read(body(bare), None), now=0.0) == "applied"
    assert inbox.state(ENTITY) == {"Status": "AWAY"}


def test_an_event_whose_changes_are_left_out_for_good_is_none() -> None:
    small, _ = claimed(large())
    del small["payloadRef"]
    with pytest.raises(example.NotAnEvent):
        example.Event.read(body(small), None)
