"""What is asked of the database and when: one query for all that is wanted, answers that age, outages that pause."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from enrichers.state import Answer, LookupEntry
from models.infrastructure import CircuitState, DatabaseInstanceStatus
from tests.unit.database import FakeDatabase, query
from workers.database.answers import AnswerLimits
from workers.database.failures import DatabaseAway, DatabaseDenied, QueryRefused
from workers.database.resolver import Resolver, WhenAway
from workers.engine.clock import monotonic
from workers.engine.virtual_time import VirtualTime

LIMITS = AnswerLimits(found_seconds=60, found_rows=3, missing_seconds=10, missing_rows=3)
USER = LookupEntry(org_id="3", user_id="7")


class Desk:
    """A resolver with its database, and what an operator was told."""

    def __init__(self, *, when_away: WhenAway = "pause", lenient: bool = False) -> None:
        self.database = FakeDatabase({("users", "7"): "3", ("groups", "21"): "4"})
        self.told: dict[str, str | None] = {}
        self.resolver = Resolver(
            self.database, query, now=monotonic, limits=LIMITS, when_away=when_away, lenient=lenient,
            report=self.told.__setitem__,
        )  # fmt: skip

    def want(self, *keys: str, lookup: str = "users") -> asyncio.Event:
        """Look for rows, and ask for those that are not known."""
        for key in keys:
            self.resolver.find(lookup, "core", key)
        return self.resolver.ask()

    async def answer(self, *keys: str, lookup: str = "users") -> LookupEntry | Answer:
        """Of the last one."""
        await self.want(*keys, lookup=lookup).wait()
        return self.resolver.find(lookup, "core", keys[-1])


@pytest.fixture
async def time() -> AsyncIterator[VirtualTime]:
    clock = VirtualTime()
    clock.install()
    yield clock
    clock.uninstall()


@pytest.fixture
async def desk(time: VirtualTime) -> AsyncIterator[Desk]:
    made = Desk()
    yield made
    await made.resolver.close()


async def test_what_a_batch_wants_is_asked_for_in_one_query_per_lookup(desk: Desk) -> None:
    desk.resolver.find("users", "core", "7")
    desk.resolver.find("groups", "core", "21")
    assert await desk.answer("8", "9") is Answer.NO_ROW
    assert sorted(desk.database.asked) == [("groups", ("21",)), ("users", ("7", "8", "9"))]
    assert desk.resolver.find("users", "core", "7") == USER


async def test_a_row_is_not_asked_for_twice_at_once(desk: Desk) -> None:
    desk.database.gate.clear()
    first = desk.want("7")
    await asyncio.sleep(0.1)
    second = desk.want("7")
    desk.database.gate.set()
    await asyncio.gather(first.wait(), second.wait())
    assert desk.database.asked == [("users", ("7",))]


async def test_what_comes_up_during_a_query_waits_for_the_next_one(desk: Desk) -> None:
    desk.database.gate.clear()
    first = desk.want("7")
    await asyncio.sleep(0.1)
    second = desk.want("8", "9")
    desk.database.gate.set()
    await asyncio.gather(first.wait(), second.wait())
    assert desk.database.asked == [("users", ("7",)), ("users", ("8", "9"))]


async def test_a_row_that_was_not_there_is_looked_for_again_when_the_answer_is_old(desk: Desk) -> None:
    assert await desk.answer("8") is Answer.NO_ROW
    desk.database.rows["users", "8"] = "5"
    await asyncio.sleep(9.9)
    assert desk.resolver.find("users", "core", "8") is Answer.NO_ROW
    await asyncio.sleep(0.2)
    assert await desk.answer("8") == LookupEntry(org_id="5", user_id="8")


async def test_an_owner_is_looked_up_again_when_the_answer_is_old(desk: Desk) -> None:
    assert await desk.answer("7") == USER
    desk.database.rows["users", "7"] = "9"
    await asyncio.sleep(59)
    assert desk.resolver.find("users", "core", "7") == USER
    await asyncio.sleep(1)
    assert await desk.answer("7") == LookupEntry(org_id="9", user_id="7")


async def test_of_too_many_answers_the_oldest_is_forgotten(desk: Desk) -> None:
    for key in ("10", "11", "12", "13"):
        await desk.answer(key)
    assert len(desk.resolver.answers.missing) == 3
    assert desk.resolver.find("users", "core", "10") is Answer.UNASKED
    assert desk.resolver.find("users", "core", "11") is Answer.NO_ROW


async def test_an_outage_answers_nothing_and_opens_the_breaker_after_five_failures(desk: Desk) -> None:
    desk.database.error = DatabaseAway("ConnectionRefusedError")
    waiting = desk.want("7")
    await asyncio.sleep(25)
    assert len(desk.database.asked) == 5
    assert desk.resolver.breaker.state is CircuitState.OPEN
    assert desk.resolver.status is DatabaseInstanceStatus.UNAVAILABLE
    assert not waiting.is_set()
    assert desk.resolver.find("users", "core", "7") is Answer.UNASKED


async def test_after_thirty_seconds_one_question_finds_out_whether_the_database_is_back(desk: Desk) -> None:
    desk.database.error = DatabaseAway("ConnectionRefusedError")
    waiting = desk.want("7")
    await asyncio.sleep(40)
    assert len(desk.database.asked) == 6
    desk.database.error = None
    await waiting.wait()
    assert len(desk.database.asked) == 7
    assert desk.resolver.find("users", "core", "7") == USER
    assert desk.resolver.status is DatabaseInstanceStatus.AVAILABLE
    assert desk.resolver.breaker.state is CircuitState.HALF_OPEN
    await desk.answer("21", lookup="groups")
    await desk.answer("8")
    assert str(desk.resolver.breaker.state) == CircuitState.CLOSED


async def test_by_policy_an_outage_is_an_answer_as_long_as_the_breaker_is_open(time: VirtualTime) -> None:
    desk = Desk(when_away="policy")
    desk.database.error = DatabaseAway("TimeoutError")
    waiting = desk.want("7")
    await waiting.wait()
    assert desk.resolver.find("users", "core", "7") is Answer.AWAY
    desk.database.error = None
    await asyncio.sleep(31)
    assert desk.resolver.find("users", "core", "7") == USER
    await desk.resolver.close()


async def test_a_refused_query_is_told_to_an_operator_and_holds_up_no_other_lookup(desk: Desk) -> None:
    desk.database.errors_of["users"] = QueryRefused("42P01")
    waiting = desk.want("7")
    assert await desk.answer("21", lookup="groups") == LookupEntry(org_id="4", user_id="21")
    assert "42P01" in str(desk.told["users"])
    assert not waiting.is_set()
    del desk.database.errors_of["users"]
    await waiting.wait()
    assert desk.told["users"] is None


async def test_where_leniency_is_wanted_a_table_the_database_lacks_is_not_waited_for(time: VirtualTime) -> None:
    desk = Desk(lenient=True)
    desk.database.errors_of["users"] = QueryRefused("42P01")
    assert await desk.answer("7") is Answer.NO_DATABASE
    del desk.database.errors_of["users"]
    await asyncio.sleep(61)
    assert await desk.answer("7") == USER
    await desk.resolver.close()


async def test_refused_credentials_are_told_to_an_operator_until_they_are_right(desk: Desk) -> None:
    desk.database.error = DatabaseDenied("28P01")
    waiting = desk.want("7")
    await asyncio.sleep(1)
    assert "28P01" in str(desk.told["users"])
    desk.database.error = None
    await waiting.wait()
    assert desk.told["users"] is None


async def test_a_resolver_that_is_closed_leaves_no_question_behind(time: VirtualTime) -> None:
    desk = Desk()
    desk.database.gate.clear()
    desk.want("7")
    await asyncio.sleep(0.1)
    await desk.resolver.close()
    assert desk.database.closed
    assert len(asyncio.all_tasks()) == 1
