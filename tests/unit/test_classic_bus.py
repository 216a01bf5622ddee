"""P3: one record of `cdc.events` is always the same entry; every answer of the bus has one meaning."""

import json
from types import SimpleNamespace
from typing import Any

import pytest

from models.bus_health import EventBridgeHC
from models.outcome import ErrorCategory
from tests.unit.letters import T0
from workers.aws.errors import AwsDenied, AwsError, AwsThrottled, AwsUnavailable
from workers.engine.delivery import Delivered, Retry, Undeliverable
from workers.eventbridge.bus import Prepared
from workers.eventbridge.classic import ClassicBus
from workers.eventbridge.entry import EntryRules
from workers.eventbridge.remote import MOST_HALVES
from workers.eventbridge.sink import EventBridgeSink


def event(number: int = 1, **changes: Any) -> bytes:
    detail = {
        "eventId": f"evt_1_{number}", "eventType": "user.updated", "entityType": "users", "entityId": str(number),
        "timestamp": "2026-01-15T10:31:00.000000Z",
    }  # fmt: skip
    return json.dumps(detail | changes).encode()


class Scripted:
    """Answers each request with the next of `answers`; keeps the requests."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.requests: list[bytes] = []

    async def call(self, operation: str, request: bytes) -> bytes:
        assert operation == "PutEvents"
        self.requests.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return json.dumps({"FailedEntryCount": 0, "Entries": answer}).encode()

    async def close(self) -> None: ...


OK = {"EventId": "bus-1"}


def bus(client: Scripted, max_bytes: int = 262_144) -> ClassicBus:
    return ClassicBus(client, "cdc-events", max_bytes)


def prepared(value: bytes, max_bytes: int = 262_144) -> Prepared | Undeliverable:
    sink = EventBridgeSink(bus(Scripted(), max_bytes), EntryRules("cdc-pipeline", max_bytes))
    return sink.prepare(SimpleNamespace(key=b"users:1", value=value, headers=(), timestamp=T0))


def ready(*values: bytes) -> list[Prepared]:
    found = [prepared(value) for value in values]
    return [one for one in found if isinstance(one, Prepared)]


async def test_the_same_record_is_sent_with_the_same_bytes_every_time() -> None:
    client = Scripted([OK], AwsUnavailable("Timeout"), [OK])
    for _ in range(3):
        await bus(client).put(ready(event()))
    assert len(set(client.requests)) == 1
    entry = json.loads(client.requests[0])["Entries"][0]
    assert entry == {
        "EventBusName": "cdc-events", "Source": "cdc-pipeline.users", "DetailType": "user.updated",
        "Detail": event().decode(), "Time": 1768473060.0,
    }  # fmt: skip


async def test_outcomes_are_aligned_with_the_entries() -> None:
    client = Scripted([OK, {"ErrorCode": "ThrottlingException"}, {"ErrorCode": "MalformedDetail"}])
    outcomes = await bus(client).put(ready(event(1), event(2), event(3)))
    assert [type(outcome) for outcome in outcomes] == [Delivered, Retry, Undeliverable]


def test_a_record_that_is_no_event_is_undeliverable() -> None:
    assert isinstance(prepared(b"garbage"), Undeliverable)


@pytest.mark.parametrize(
    ("fault", "category"),
    [
        (AwsThrottled("ThrottlingException"), ErrorCategory.THROTTLING),
        (AwsUnavailable("HTTP500"), ErrorCategory.TRANSIENT),
    ],
)
async def test_throttles_and_outages_are_retried(fault: AwsError, category: ErrorCategory) -> None:
    assert await bus(Scripted(fault)).put(ready(event())) == [Retry(fault.code, category=category, whole=True)]


async def test_a_code_nobody_knows_is_tried_ten_times() -> None:
    (outcome,) = await bus(Scripted([{"ErrorCode": "BrandNew"}])).put(ready(event()))
    assert isinstance(outcome, Retry)
    assert (outcome.attempts, isinstance(outcome.otherwise, Undeliverable)) == (10, True)


@pytest.mark.parametrize("code", ["AccessDeniedException", "NotAuthorizedForSourceException"])
async def test_an_entry_that_lacks_permission_waits(code: str) -> None:
    (outcome,) = await bus(Scripted([{"ErrorCode": code}])).put(ready(event()))
    assert isinstance(outcome, Retry)
    assert (outcome.category, outcome.whole, outcome.otherwise) == (ErrorCategory.CONFIGURATION, False, None)


async def test_missing_permissions_pause_and_drain_nothing_into_the_dead_letters() -> None:
    (outcome,) = await bus(Scripted(AwsDenied("AccessDeniedException"))).put(ready(event()))
    assert isinstance(outcome, Retry)
    assert outcome.pause > 0


async def test_a_short_answer_counts_as_unknown() -> None:
    outcomes = await bus(Scripted([OK])).put(ready(event(1), event(2)))
    assert [type(outcome) for outcome in outcomes] == [Retry, Retry]


async def test_a_refused_request_finds_the_entry_to_blame() -> None:
    refused = AwsError("ValidationException")
    outcomes = await bus(Scripted(refused, [OK], refused)).put(ready(event(1), event(2)))
    assert [type(outcome) for outcome in outcomes] == [Delivered, Undeliverable]


async def test_a_request_refused_with_a_code_nobody_knows_makes_no_dead_letters_at_once() -> None:
    outcomes = await bus(Scripted(*[AwsError("HTTP404")] * 3)).put(ready(event(1), event(2)))
    assert [isinstance(outcome, Retry) and outcome.attempts for outcome in outcomes] == [10, 10]


async def test_a_request_of_nothing_but_what_is_refused_is_not_halved_for_longer_than_a_call_may_take() -> None:
    client = Scripted(*[AwsError("ValidationException")] * 40)
    outcomes = await bus(client).put(ready(*(event(number) for number in range(20))))
    assert len(client.requests) <= 1 + MOST_HALVES
    assert isinstance(outcomes[0], Undeliverable)
    assert outcomes[-1] == Retry("ValidationException")


def test_an_entry_that_fits_no_request_is_undeliverable() -> None:
    assert isinstance(prepared(event(1, padding="x" * 2_000), max_bytes=2_000), Undeliverable)


def test_a_request_is_filled_up_to_ten_entries_or_the_byte_limit() -> None:
    small, large = event(1), event(2, padding="x" * 900)
    assert bus(Scripted()).fit(ready(*[small] * 12)) == 10
    assert bus(Scripted(), max_bytes=2_500).fit(ready(*[large] * 5)) == 2


@pytest.mark.parametrize(
    ("answer", "health", "trouble"),
    [
        ([OK], EventBridgeHC.OK, ""),
        (AwsUnavailable("Timeout"), EventBridgeHC.IN_ALARM, "Timeout"),
        (AwsDenied("AccessDeniedException"), EventBridgeHC.IN_ALARM, "AccessDeniedException"),
        (AwsThrottled("ThrottlingException"), EventBridgeHC.UNKNOWN, ""),
        ([{"ErrorCode": "InternalFailure"}], EventBridgeHC.IN_ALARM, "InternalFailure"),
        ([{"ErrorCode": "MalformedDetail"}], EventBridgeHC.OK, ""),
    ],
)
async def test_the_health_of_the_bus_is_what_its_last_answer_said(answer: Any, health: str, trouble: str) -> None:
    classic = bus(Scripted(answer))
    await classic.put(ready(event()))
    assert (classic.health, classic.trouble) == (health, trouble)


async def test_a_bus_that_answers_again_is_well_again() -> None:
    classic = bus(Scripted(AwsUnavailable("Timeout"), [OK]))
    await classic.put(ready(event()))
    await classic.put(ready(event()))
    assert (classic.health, classic.trouble) == (EventBridgeHC.OK, "")
