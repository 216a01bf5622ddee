"""A large event stands in S3 before the bus hears of it; S3 holds up large events only (P3, P7)."""

import asyncio
from collections.abc import Sequence

import pytest

from enrichers.oversize import Claim, Step
from models.bus_health import EventBridgeHC
from workers.aws.errors import AwsDenied, AwsError, AwsThrottled, AwsUnavailable
from workers.engine.delivery import Delivered, Outcome, Retry
from workers.eventbridge.bus import Prepared
from workers.eventbridge.claim_check import Bucket, ClaimCheckedBus
from workers.eventbridge.entry import Entry
from workers.eventbridge.gate import GateOptions, Gates


class Journal:
    """What was done, in order."""

    def __init__(self) -> None:
        self.steps: list[str] = []


class Objects:
    """S3, answering each write with the next of `answers`, then with success."""

    def __init__(self, journal: Journal, *answers: AwsError | None) -> None:
        self.journal = journal
        self.answers = list(answers)

    async def write(self, claim: Claim) -> None:
        self.journal.steps.append(f"write {claim.key}")
        if self.answers and (answer := self.answers.pop(0)) is not None:
            raise answer


class TakesAll:
    """A bus without limits."""

    name, max_entries, health, trouble = "cdc-events", 10, EventBridgeHC.OK, ""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal

    def prepare(self, entry: Entry) -> Prepared:
        return Prepared(entry, self.name, entry.size, ())

    def fit(self, prepared: Sequence[Prepared]) -> int:
        return len(prepared)

    async def put(self, prepared: Sequence[Prepared]) -> list[Outcome]:
        self.journal.steps.append(f"put {' '.join(one.entry.event_id for one in prepared)}")
        return [Delivered(one.entry.event_id) for one in prepared]


class World:
    def __init__(self, *answers: AwsError | None) -> None:
        self.journal = Journal()
        self.told: list[str | None] = []
        self.bus = ClaimCheckedBus(TakesAll(self.journal), Objects(self.journal, *answers), self.told.append)

    def small(self, name: str) -> Prepared:
        found = self.bus.prepare(Entry(name, "users:1", "s", "t", b"{}", 0.0, 10))
        assert isinstance(found, Prepared)
        return found

    def large(self, name: str) -> Prepared:
        claim = Claim("claims", name, b"{}")
        found = self.bus.prepare(Entry(name, "users:1", "s", "t", b"{}", 0.0, 10, step=Step.CLAIM_CHECK, claim=claim))
        assert isinstance(found, Prepared)
        return found


async def test_the_object_is_there_before_the_bus_hears_of_it() -> None:
    world = World()
    await world.bus.put([world.large("a")])
    assert world.journal.steps == ["write a", "put a"]


async def test_an_event_that_is_sent_again_is_not_written_again() -> None:
    world = World()
    event = world.large("a")
    await world.bus.put([event])
    await world.bus.put([event])
    assert world.journal.steps == ["write a", "put a", "put a"]


@pytest.mark.parametrize("fault", [AwsUnavailable("InternalError"), AwsThrottled("SlowDown")])
async def test_an_outage_of_s3_holds_back_that_event_and_nothing_else(fault: AwsError) -> None:
    world = World(fault)
    outcomes = await world.bus.put([world.small("a"), world.large("b"), world.small("c")])
    assert outcomes == [Delivered("a"), Retry(f"S3:{fault.code}"), Delivered("c")]
    assert world.told == []


@pytest.mark.parametrize(
    "fault", [AwsDenied("AccessDenied"), AwsError("NoSuchBucket"), AwsError("KMS.DisabledException")]
)
async def test_what_s3_refuses_waits_for_an_operator_and_is_no_dead_letter(fault: AwsError) -> None:
    world = World(fault)
    event = world.large("a")
    (outcome,) = await world.bus.put([event])
    assert isinstance(outcome, Retry)
    assert outcome.pause > 0
    assert world.told[-1] is not None
    assert fault.code in world.told[-1]
    assert await world.bus.put([event]) == [Delivered("a")]
    assert world.told[-1] is None


async def test_an_s3_that_never_answers_holds_back_that_event_and_not_its_bus() -> None:
    class Silent:
        async def write(self, _claim: Claim) -> None:
            await asyncio.Event().wait()

    world = World()
    world.bus = ClaimCheckedBus(TakesAll(world.journal), Silent(), world.told.append, patience=0.0)
    async with asyncio.timeout(10):
        assert await world.bus.put([world.large("a"), world.small("b")]) == [Retry("S3:Timeout"), Delivered("b")]


async def test_what_s3_refuses_is_no_trouble_of_the_bus() -> None:
    world, gate = World(AwsDenied("AccessDenied")), Gates(GateOptions(), lambda: 0.0).of("bus")
    gate.begin(1)
    gate.end(await world.bus.put([world.large("a")]), 0.1)
    assert gate.refused == ""


def test_a_large_event_goes_alone() -> None:
    world = World()
    assert world.bus.fit([world.small("a"), world.small("b"), world.large("c"), world.small("d")]) == 2
    assert world.bus.fit([world.large("c"), world.small("d")]) == 1


def test_what_made_events_fit_is_counted() -> None:
    world = World()
    world.large("a")
    world.small("b")
    assert dict(world.bus.fitted) == {Step.CLAIM_CHECK: 1}


class Calls:
    """Cold calls, answered with an error."""

    def __init__(self, code: str) -> None:
        self.code = code

    async def cold(self, service: str, operation: str, **_arguments: object) -> dict[str, object]:
        raise AwsError(self.code)


async def test_an_object_that_is_there_already_is_as_good_as_one_written_now() -> None:
    await Bucket(Calls("PreconditionFailed"), None).write(Claim("claims", "a", b"{}"))


async def test_somebody_else_who_writes_the_same_object_is_waited_for() -> None:
    with pytest.raises(AwsUnavailable):
        await Bucket(Calls("ConditionalRequestConflict"), None).write(Claim("claims", "a", b"{}"))
