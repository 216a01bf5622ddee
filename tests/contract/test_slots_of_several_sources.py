"""One slot, several sources: what stands in the way of one does not stand in the way of another."""

from collections.abc import Callable

import pytest
from faust.types import TP

from tests.contract.stages import KitStages
from workers.engine.app import StageApp
from workers.engine.errors import ConfigurationRefused
from workers.engine.testing import Input, StageKit
from workers.engine.unit import Done, Pause, UnitOfWork

PLACE = KitStages()
MINUTES = 5


def two_sources(on_gap: str = "stop") -> Callable[[], StageApp]:
    """Sources `a` and `b`. A record `refused` waits for an operator, a record `wait` for ever."""

    def make() -> StageApp:
        app = PLACE.app("two", on_gap=on_gap)
        seen = app.partitioned("seen", "the last value of each key")

        @app.process("a", "b", bury=lambda *_: None)
        async def forward(unit: UnitOfWork) -> Done | Pause:
            for record in unit.batch or ():
                if record.value == b"refused":
                    raise ConfigurationRefused("an operator is needed")
                if record.value == b"wait":
                    return Pause(record.offset, 1.0)
                seen[record.key] = record.value
                unit.send("out", record.key, record.value)
                unit.out()
            return Done()

        return app

    return make


def put(value: bytes) -> list[Input]:
    return [Input(b"k", value, 0)]


async def test_a_source_that_waits_for_an_operator_lets_another_one_go_on_without_a_rejoin() -> None:
    async with StageKit(two_sources()) as kit:
        await kit.feed("a", put(b"refused"))
        for number in range(6 * MINUTES):
            await kit.feed("b", put(b"%d" % number))
            await kit.advance(10)
        assert [value for _, value in kit.output("out")] == [b"%d" % number for number in range(6 * MINUTES)]
        assert (kit.committed("a", 0), kit.ledger("b", 0).counts["in"]) == (0, 6 * MINUTES)
        assert kit.app.slots.stats.rejoins == 0


async def test_a_stage_is_not_ready_while_one_of_its_sources_waits_for_an_operator() -> None:
    async with StageKit(two_sources()) as kit:
        await kit.feed("a", put(b"refused"))
        await kit.feed("b", put(b"1"))
        assert kit.committed("b", 0) == 1
        assert not kit.app.ready


async def test_a_source_whose_record_waits_does_not_hold_up_another_one() -> None:
    async with StageKit(two_sources()) as kit:
        await kit.feed("a", put(b"wait"))
        await kit.feed("b", put(b"1"))
        assert [value for _, value in kit.output("out")] == [b"1"]
        assert kit.committed("a", 0) == 0


@pytest.mark.parametrize("fault", ["abort_next", "lose_answer_of_next_commit", "stall_next_commit"])
async def test_a_commit_of_one_source_that_fails_brings_no_record_of_any_source_twice(fault: str) -> None:
    async with StageKit(two_sources()) as kit:
        for number in range(20):
            if number % 5 == 1:
                getattr(kit, fault)()
            await kit.feed("a", put(b"a%d" % number), within=60)
            await kit.feed("b", put(b"b%d" % number), within=60)
        values = [value for _, value in kit.output("out")]
        for source in (b"a", b"b"):
            assert [value for value in values if (value or b"").startswith(source)] == [
                source + b"%d" % number for number in range(20)
            ]
        assert all(kit.ledger(source, 0).balanced for source in ("a", "b"))


async def test_the_furthest_extent_of_a_changelog_stands_in_the_ledger_of_the_source_that_was_committed_last() -> None:
    async with StageKit(two_sources()) as kit:
        extents = []
        for source in ("a", "b", "a"):
            await kit.feed(source, put(b"1"))
            extents.append({name: kit.ledger(name, 0).changelogs.get("seen") for name in ("a", "b")})
        lasts = [{name: extent.last if extent else -1 for name, extent in found.items()} for found in extents]
        assert lasts[0]["a"] > lasts[0]["b"]
        assert lasts[1]["b"] > lasts[1]["a"]
        assert lasts[2]["a"] > lasts[2]["b"]


async def test_a_gap_of_one_source_is_skipped_while_another_one_goes_on() -> None:
    async with StageKit(two_sources("continue")) as kit:
        await kit.feed("a", put(b"a0"))
        await kit.feed("b", put(b"b0"))
        kit.broker.log("a", 0).skip_to(10)
        kit.delete_records("a", 0, 10)
        assert await kit.feed("a", [Input(b"k", b"a10", 0)], within=60)
        assert await kit.feed("b", put(b"b1"), within=60)
        assert kit.ledger("a", 0).counts["skipped"]
        assert "skipped" not in kit.ledger("b", 0).counts
        assert [value for _, value in kit.output("out")] == [b"a0", b"b0", b"a10", b"b1"]


async def test_a_changelog_that_only_the_ledger_of_a_source_in_a_gap_tells_of_is_missed() -> None:
    async with StageKit(two_sources()) as kit:
        await kit.feed("b", put(b"1"))
        kit.broker.log("b", 0).skip_to(10)
        kit.delete_records("b", 0, 10)
        kit.delete_records(kit.app.tables["seen"].changelog_topic_name, 0, 1)
        await kit.rebalance(within=0)
        await kit.feed("a", put(b"1"), within=30)
        assert kit.committed("a", 0) == 0
        assert "entries were deleted" in kit.stage.consumer.open_gaps[TP("a", 0)]
