"""Both generations of bus, through both clients: the same fault is the same outcome."""

from typing import Any

import cbor2
import msgspec
import pytest

from models.bus_health import EventBridgeHC
from models.outcome import ErrorCategory
from tests.contract.event_buses import GONE, Side, clock, event, hot, settings, side, stand_in
from workers.engine.delivery import Delivered, Retry, Undeliverable
from workers.eventbridge.bus import IBus
from workers.eventbridge.classic import ClassicBus
from workers.eventbridge.v2 import CustomBus

__all__ = ["clock", "hot", "settings", "side", "stand_in"]  # fixtures

BOTH_CLIENTS = pytest.mark.parametrize("hot", ["aiohttp", "boto3"])
ONLY_CLASSIC = pytest.mark.parametrize("side", ["classic"], indirect=True)
ONLY_CUSTOM = pytest.mark.parametrize("side", ["custom"], indirect=True)


@BOTH_CLIENTS
async def test_events_are_taken_each_with_a_receipt_of_its_own(side: Side) -> None:
    outcomes = await side.put(event(1), event(2), event(3))
    receipts = [outcome.receipt for outcome in outcomes]
    assert len({receipt.bus_event_id for receipt in receipts}) == 3
    assert all(receipt.code == "PUBLISHED" for receipt in receipts)
    assert all((receipt.sequence_number is not None) == (side.generation == "custom") for receipt in receipts)
    assert (side.taken, side.bus.health) == (3, EventBridgeHC.OK)


@BOTH_CLIENTS
async def test_a_throttled_entry_is_tried_again_and_its_neighbours_are_delivered(side: Side) -> None:
    side.fault("partial", entries=[1], times=1)
    outcomes = await side.put(event(1), event(2), event(3))
    assert [type(outcome) for outcome in outcomes] == [Delivered, Retry, Delivered]
    assert outcomes[1] == Retry("ThrottlingException", category=ErrorCategory.THROTTLING)
    assert side.bus.trouble == ""


@pytest.mark.parametrize("code", ["InternalFailure", "InternalException"])
async def test_an_entry_that_failed_inside_of_the_bus_is_tried_again(side: Side, code: str) -> None:
    side.fault("partial", entries=[0], code=code, times=1)
    assert [type(outcome) for outcome in await side.put(event(1), event(2))] == [Retry, Delivered]


@pytest.mark.parametrize("kind", ["throttle", "internal_failure", "unavailable"])
async def test_a_request_that_failed_is_tried_again_as_a_whole_and_without_a_pause(side: Side, kind: str) -> None:
    side.fault(kind, times=1)
    outcomes = await side.put(event(1), event(2))
    assert all(isinstance(outcome, Retry) and outcome.pause == 0 for outcome in outcomes)
    assert side.taken == 0


@BOTH_CLIENTS
async def test_a_missing_permission_pauses_and_makes_no_dead_letter(side: Side) -> None:
    side.fault("access_denied", times=1)
    outcomes = await side.put(event(1), event(2))
    assert all(outcome.reason == "AccessDeniedException" and outcome.pause > 0 for outcome in outcomes)
    assert side.bus.health is EventBridgeHC.IN_ALARM


async def test_an_entry_that_may_not_be_sent_pauses_too(side: Side) -> None:
    side.fault("partial", entries=[0], code="AccessDeniedException", times=1)
    outcome, _ = await side.put(event(1), event(2))
    assert outcome.pause > 0


async def test_an_entry_the_bus_refuses_for_good_is_undeliverable_and_no_trouble_of_the_bus(side: Side) -> None:
    side.fault("partial", entries=[1], code="MalformedDetail", times=1)
    outcomes = await side.put(event(1), event(2), event(3))
    assert [type(outcome) for outcome in outcomes] == [Delivered, Undeliverable, Delivered]
    assert side.bus.health is EventBridgeHC.OK


@BOTH_CLIENTS
async def test_an_answer_cut_off_after_acceptance_is_unknown_and_the_same_bytes_go_again(side: Side) -> None:
    side.fault("cut_after", times=1)
    ready = side.ready(event(1), event(2))
    first = await side.bus.put(ready)
    assert all(isinstance(outcome, Retry) for outcome in first)
    assert side.taken == 2
    again = await side.bus.put(ready)
    assert all(isinstance(outcome, Delivered) for outcome in again)
    assert side.requests.bodies[0] == side.requests.bodies[1]
    if side.generation == "custom":
        assert [outcome.receipt.code for outcome in again if isinstance(outcome, Delivered)] == ["DEDUPLICATED"] * 2
    assert side.taken == (4 if side.generation == "classic" else 2)


@pytest.mark.parametrize("kind", ["cut_before", "truncate"])
async def test_a_connection_that_breaks_is_an_unknown_outcome(side: Side, kind: str) -> None:
    side.fault(kind, times=1)
    assert [type(outcome) for outcome in await side.put(event(1), event(2))] == [Retry, Retry]


async def test_a_short_answer_is_unknown_for_all(side: Side) -> None:
    side.fault("short", times=1)
    assert await side.put(event(1), event(2)) == [Retry("ShortAnswer", whole=True)] * 2


@BOTH_CLIENTS
async def test_of_a_refused_request_only_the_entry_to_blame_is_undeliverable(side: Side) -> None:
    refused = "ValidationException" if side.generation == "classic" else "InvalidInputException"
    side.fault("error", code=refused, source="cdc-pipeline.users", detail={"entityId": "3"})
    outcomes = await side.put(*(event(number) for number in range(1, 9)))
    assert [type(outcome) for outcome in outcomes] == [Delivered] * 2 + [Undeliverable] + [Delivered] * 5
    assert side.taken == 7


async def test_a_request_is_filled_up_to_the_most_entries_or_bytes(side: Side) -> None:
    most = 10 if side.generation == "classic" else 100
    small = side.ready(*(event(number) for number in range(most + 5)))
    large = side.ready(*(event(number, padding="x" * 100_000) for number in range(4)))
    assert (side.bus.max_entries, side.bus.fit(small), side.bus.fit(large)) == (most, most, 2)
    assert all(isinstance(outcome, Delivered) for outcome in await side.bus.put(small[:most]))


async def test_outcomes_stand_in_the_order_of_the_entries(side: Side) -> None:
    side.fault("entry", detail={"entityId": "2"}, times=1)
    side.fault("entry", code="InvalidArgument", detail={"entityId": "4"}, times=1)
    outcomes = await side.put(*(event(number) for number in range(1, 6)))
    assert [type(outcome) for outcome in outcomes] == [Delivered, Retry, Delivered, Undeliverable, Delivered]


# A bus that is not there is where the two differ.


@ONLY_CLASSIC
async def test_a_classic_bus_takes_events_for_a_bus_that_does_not_exist(side: Side) -> None:
    outcomes = await _elsewhere(side, ClassicBus(side.requests, "gone", 1_000)).put(event(1))
    assert [type(outcome) for outcome in outcomes] == [Delivered]
    assert side.stand_in.events.nowhere.accepted == 1  # so does AWS: that is what the preflight is for


@ONLY_CUSTOM
@BOTH_CLIENTS
async def test_a_custom_bus_that_does_not_exist_pauses_and_makes_no_dead_letter(side: Side) -> None:
    (outcome,) = await _elsewhere(side, CustomBus(side.requests, GONE, 1_000)).put(event(1))
    assert (outcome.reason, outcome.pause > 0) == ("ResourceNotFoundException", True)


async def test_a_bus_that_is_not_ready_pauses_and_makes_no_dead_letter(side: Side) -> None:
    side.fault("error", code="InvalidStateException", status=409, times=1)
    (outcome,) = await side.put(event(1))
    assert (outcome.reason, outcome.pause > 0) == ("InvalidStateException", True)


def _elsewhere(side: Side, bus: IBus) -> Side:
    return Side(side.generation, side.service, bus, side.requests, side.control, side.stand_in, side.clock)


# Answers no service should give


class Answering:
    """Gives every request the same answer."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer

    async def call(self, operation: str, request: bytes) -> bytes:
        return self._answer

    async def close(self) -> None: ...


def json(value: Any) -> bytes:
    return msgspec.json.encode(value)


UNREADABLE = [
    *(("classic", answer) for answer in (b"", b"{", b"[]", json({}), json({"Entries": [{"EventId": 1}]}))),
    *(("custom", answer) for answer in (b"", b"\xff", cbor2.dumps([]), cbor2.dumps({}), b"\xa1\x67Entries\x9f",
                                        cbor2.dumps({"Entries": [{"EventId": 1}]}))),
]  # fmt: skip


@pytest.mark.parametrize(("side", "answer"), UNREADABLE, indirect=["side"])
async def test_an_unreadable_answer_is_an_unknown_outcome(side: Side, answer: bytes) -> None:
    assert await _answered(side, answer).put(event(1), event(2)) == [Retry("UnreadableAnswer", whole=True)] * 2


async def test_an_answer_without_an_id_and_without_an_error_is_an_unknown_outcome(side: Side) -> None:
    answer: dict[str, Any] = {"Entries": [{}]}
    data = json(answer) if side.generation == "classic" else cbor2.dumps(answer)
    assert await _answered(side, data).put(event(1)) == [Retry("NoAnswer")]


def _answered(side: Side, answer: bytes) -> Side:
    make = ClassicBus if side.generation == "classic" else CustomBus
    return _elsewhere(side, make(Answering(answer), GONE, 10_000))


@ONLY_CUSTOM
async def test_a_receipt_of_a_custom_bus_has_the_sequence_number_of_the_group(side: Side) -> None:
    outcomes = [*await side.put(event(1, entity="7")), *await side.put(event(2, entity="7"))]
    first, second = [outcome.receipt.sequence_number for outcome in outcomes]
    assert first < second
