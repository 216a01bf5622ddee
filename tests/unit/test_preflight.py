"""A bus that is missing is sent nothing, and one that comes back goes on (P7). A look that fails stops nobody."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime

import pytest

from models.bus_health import EventBridgeHC
from tests.unit.test_claim_check import Journal, TakesAll
from workers.aws.errors import AwsDenied, AwsError, AwsUnavailable
from workers.engine.delivery import Delivered, Outcome, Retry
from workers.eventbridge import preflight
from workers.eventbridge.bus import Prepared
from workers.eventbridge.bus_sight import Sight
from workers.eventbridge.entry import Entry
from workers.eventbridge.gate import GateOptions, Gates
from workers.eventbridge.preflight import BUS_SECONDS, Preflight, PreflightedBus

THERE = Sight(True, datetime(2026, 1, 1, tzinfo=UTC), "arn:aws:events:us-east-1:1:event-bus/cdc-events")
ANEW = Sight(True, datetime(2026, 1, 2, tzinfo=UTC), THERE.arn)
MISSING = Sight(False)
AWAY = AwsUnavailable("HTTP500")
FORBIDDEN = AwsDenied("AccessDeniedException")
EXPIRED = AwsDenied("ExpiredTokenException")
EVERY = 300.0
WRITTEN_MS = 1_768_469_400_000
"""2026-01-15T09:30:00Z, an hour before the looks: publish was behind."""
REPLAY = "`cdc replay --from 2026-01-15T09:30:00Z` sends it again"


class World:
    """A bus, and what its looks will see."""

    def __init__(self, *sights: Sight | AwsError, unrouted: tuple[str, ...] | AwsError = ()) -> None:
        self.sights = list(sights)
        self.unrouted = unrouted
        self.told: str | None = None
        self.unseen = ""
        self.now_ms = 1_768_473_060_000
        self.asked = 0
        """Looks at the rules."""
        self.during: Callable[[], Awaitable[object]] | None = None
        """What happens while the next look is on its way."""
        self.journal = Journal()
        self.preflight = Preflight(
            "cdc-events",
            self._look,
            self._rules,
            every=EVERY,
            now_ms=lambda: self.now_ms,
            report=self._tell,
            unseen=self._note_unseen,
        )
        self.bus = PreflightedBus(TakesAll(self.journal), self.preflight)

    async def _look(self) -> Sight:
        found = self.sights.pop(0)
        if self.during is not None:
            during, self.during = self.during, None
            await during()
        if isinstance(found, AwsError):
            raise found
        return found

    async def _rules(self, _sight: Sight) -> tuple[str, ...]:
        self.asked += 1
        if isinstance(self.unrouted, AwsError):
            raise self.unrouted
        return self.unrouted

    def _note_unseen(self, why: str) -> None:
        self.unseen = why

    def _tell(self, why: str | None) -> None:
        self.told = why

    async def looked(self, times: int = 1) -> "World":
        for _ in range(times):
            self.wait = await self.preflight.look()
        return self

    async def put(self, written_ms: int = WRITTEN_MS) -> Sequence[Outcome]:
        prepared = self.bus.prepare(Entry("a", "users:1", "s", "t", b"{}", 0.0, 10, written_ms=written_ms))
        assert isinstance(prepared, Prepared)
        return await self.bus.put([prepared])


async def test_a_bus_that_is_there_is_sent_events_and_looked_at_twice_a_minute() -> None:
    world = await World(THERE).looked()
    assert await world.put() == [Delivered("a")]
    assert (world.wait, world.told) == (BUS_SECONDS, None)


async def test_rules_are_looked_at_every_five_minutes() -> None:
    looks = 41
    world = World(*[THERE] * looks)
    for _ in range(looks):
        await world.looked()
        world.now_ms += int(world.wait * 1000)
    minutes = (looks - 1) * BUS_SECONDS / 60
    assert minutes / 5 <= world.asked <= minutes / 5 * 1.2 + 1


async def test_rules_of_a_bus_made_anew_are_looked_at_at_once() -> None:
    world = await World(THERE, THERE, ANEW).looked(3)
    assert world.asked == 2


async def test_a_missing_bus_is_sent_nothing_although_it_would_accept() -> None:
    world = await World(MISSING).looked()
    (outcome,) = await world.put()
    assert isinstance(outcome, Retry)
    assert world.journal.steps == []
    assert (world.bus.health, world.bus.trouble) == (EventBridgeHC.IN_ALARM, "BusMissing")
    assert "does not exist" in (world.told or "")


async def test_a_bus_that_comes_back_is_sent_events_without_a_hand() -> None:
    world = await World(MISSING, THERE).looked()
    assert world.wait < EVERY
    await world.looked()
    assert await world.put() == [Delivered("a")]
    assert (world.told, world.bus.health) == (None, EventBridgeHC.OK)


async def test_a_bus_deleted_meanwhile_says_since_when_events_may_be_lost() -> None:
    world = await World(THERE, MISSING, MISSING).looked()
    await world.put()
    await world.looked(2)
    assert "accepted after 2026-01-15T10:31:00Z may have gone nowhere" in (world.told or "")
    assert REPLAY in (world.told or "")


async def test_a_deleted_bus_that_comes_back_says_once_more_what_to_send_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = await World(THERE, MISSING, ANEW).looked()
    await world.put()
    await world.looked(2)
    assert "is there again" in caplog.text
    assert REPLAY in caplog.text


async def test_a_replay_is_named_by_when_the_oldest_was_written_of_what_a_bus_took_since_it_was_seen() -> None:
    world = await World(THERE, THERE, MISSING).looked()
    await world.put(WRITTEN_MS - 60_000)
    await world.looked()
    await world.put(WRITTEN_MS + 60_000)
    await world.put(WRITTEN_MS)
    await world.put(WRITTEN_MS + 120_000)
    await world.looked()
    assert REPLAY in (world.told or "")


async def test_what_a_bus_took_while_it_was_looked_at_may_be_lost_too() -> None:
    world = await World(THERE, THERE, MISSING).looked()
    look = world.preflight.look()
    world.during = world.put
    await look
    await world.looked()
    assert REPLAY in (world.told or "")


@pytest.mark.parametrize("sights", [(MISSING, THERE), (THERE, MISSING, ANEW), (THERE, ANEW)])
async def test_a_bus_that_took_nothing_since_it_was_seen_has_lost_nothing(
    sights: tuple[Sight, ...], caplog: pytest.LogCaptureFixture
) -> None:
    await World(*sights).looked(len(sights))
    assert "bus cdc-events" in caplog.text
    assert "gone nowhere" not in caplog.text


async def test_a_bus_made_anew_between_two_looks_is_noticed(caplog: pytest.LogCaptureFixture) -> None:
    world = await World(THERE, ANEW).looked()
    assert await world.put() == [Delivered("a")]
    await world.looked()
    assert await world.put() == [Delivered("a")]
    assert "made anew" in caplog.text
    assert REPLAY in caplog.text


async def test_before_the_first_look_nothing_is_sent() -> None:
    world = World(THERE)
    sending = asyncio.ensure_future(world.put())
    await asyncio.sleep(0)
    assert world.journal.steps == []
    await world.looked()
    assert await sending == [Delivered("a")]


async def test_a_bus_that_cannot_be_looked_at_yet_is_an_outage_and_no_failure_of_the_bus(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(preflight, "HOLD_SECONDS", 0.01)
    world, gate = World(THERE), Gates(GateOptions(), lambda: 0.0).of("bus")
    for _ in range(20):
        gate.begin(1)
        gate.end(await world.put(), 10.0)
    assert (gate.down, gate.refused, world.journal.steps) == ("", "", [])
    assert "cannot be looked at yet" in world.unseen
    await world.looked()
    assert (await world.put(), world.unseen) == ([Delivered("a")], "")


async def test_a_look_that_fails_changes_nothing() -> None:
    world = await World(THERE, AWAY).looked(2)
    assert world.wait < EVERY
    assert await world.put() == [Delivered("a")]


async def test_while_nobody_answers_at_the_start_nothing_is_sent() -> None:
    world = await World(AWAY, AWAY, THERE).looked(2)
    sending = asyncio.ensure_future(world.put())
    await asyncio.sleep(0)
    assert world.journal.steps == []
    await world.looked()
    assert await sending == [Delivered("a")]


async def test_whoever_may_not_look_may_send() -> None:
    world = await World(FORBIDDEN).looked()
    assert await world.put() == [Delivered("a")]
    assert world.told is None


async def test_a_missing_bus_stays_missing_when_looking_is_forbidden() -> None:
    world = await World(MISSING, FORBIDDEN).looked(2)
    assert isinstance((await world.put())[0], Retry)


async def test_credentials_that_do_not_work_are_told_and_forgotten_when_they_do() -> None:
    world = await World(EXPIRED, THERE).looked()
    assert "ExpiredTokenException" in (world.told or "")
    await world.looked()
    assert world.told is None


@pytest.mark.parametrize("first", [FORBIDDEN, THERE])
async def test_credentials_that_work_again_are_no_trouble_to_whoever_may_not_look(first: Sight | AwsError) -> None:
    world = await World(first, EXPIRED, FORBIDDEN).looked(3)
    assert world.told is None


async def test_a_bus_that_is_being_made_waits() -> None:
    world = await World(Sight(True, THERE.created_at, "", "CREATING")).looked()
    assert isinstance((await world.put())[0], Retry)


async def test_event_types_without_a_rule_are_told_and_stop_nothing() -> None:
    world = await World(THERE, unrouted=("user.created",)).looked()
    assert world.preflight.document()["without_rule"] == ["user.created"]
    assert {sample.value for sample in world.preflight.measure()} == {1}
    assert await world.put() == [Delivered("a")]


async def test_many_event_types_without_a_rule_are_a_short_line(caplog: pytest.LogCaptureFixture) -> None:
    await World(THERE, unrouted=tuple(f"type{number}.created" for number in range(36))).looked()
    (told,) = [record.getMessage() for record in caplog.records if "no enabled rule" in record.getMessage()]
    assert told.endswith("type0.created, type1.created, type2.created and 33 more (`cdc check` names all)")


async def test_rules_that_may_not_be_read_are_not_looked_at() -> None:
    world = await World(THERE, unrouted=FORBIDDEN).looked()
    assert world.preflight.document()["without_rule"] is None
    assert await world.put() == [Delivered("a")]
