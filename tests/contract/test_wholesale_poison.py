"""A flood of poison is not drained into the dead letters: the stage stands still before it, not ready (P7)."""

import logging
from collections.abc import Callable, Sequence

import pytest

from tests.contract.stages import KitStages
from workers.engine.app import StageApp
from workers.engine.delivery import Delivered, Outcome, Undeliverable
from workers.engine.options import DeadLimit
from workers.engine.testing import Input, StageKit
from workers.engine.unit import Done, UnitOfWork

PLACE = KitStages()
GOOD, POISON = b"good", b"poison"
SLOTS = 4


def processing(limit: DeadLimit | None) -> Callable[[], StageApp]:
    def make() -> StageApp:
        app = PLACE.app("stage", dead_limit=limit)
        app.dead_window.uncounted.add("again")

        @app.process("in", "again", bury=lambda *_: None)
        async def work(unit: UnitOfWork) -> Done:
            for record in unit.batch or ():
                if record.value == POISON:
                    unit.send("dead", record.key, record.value)
                    unit.dead("column ID is not of type int")
                else:
                    unit.send("out", record.key, record.value)
                    unit.out()
            return Done()

        return app

    return make


def delivering(limit: DeadLimit | None) -> Callable[[], StageApp]:
    def make() -> StageApp:
        app = PLACE.app("stage", dead_limit=limit)
        app.dead_window.uncounted.add("again")

        def emit(unit: UnitOfWork, record: Input, outcome: Outcome, attempts: int, with_value: bool) -> None:
            unit.send("out" if isinstance(outcome, Delivered) else "dead", record.key, record.value)

        @app.deliver("in", "again", emit=emit)
        async def work(records: Sequence[Input]) -> list[Outcome]:
            return [
                Undeliverable("VALIDATION_ERROR", "column ID is not of type int")
                if record.value == POISON
                else Delivered()
                for record in records
            ]

        return app

    return make


KINDS = pytest.mark.parametrize("making", [processing, delivering])
Making = Callable[[DeadLimit | None], Callable[[], StageApp]]


def records(*values: bytes, partition: int = 0) -> list[Input]:
    return [Input(b"k%d" % number, value, partition) for number, value in enumerate(values)]


def count(kit: StageKit, topic: str) -> int:
    return len(kit.records(topic))


@KINDS
async def test_nothing_of_a_flood_reaches_the_dead_letters_and_what_came_before_it_is_kept(making: Making) -> None:
    async with StageKit(making(DeadLimit(200, 1_000))) as kit:
        await kit.feed("in", records(*[GOOD] * 30, *[POISON] * 900), within=20)
        assert (count(kit, "out"), count(kit, "dead")) == (30, 0)
        assert kit.committed("in", 0) == 30
        assert kit.ledger("in", 0).counts == {"in": 30, "out": 30}


@KINDS
async def test_the_stage_is_not_ready_and_says_what_most_of_them_died_of(
    making: Making, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    async with StageKit(making(DeadLimit(200, 1_000))) as kit:
        await kit.feed("in", records(*[POISON] * 900), within=20)
        assert not kit.app.ready
        assert kit.app.blockers["dead letters"] in caplog.text
        assert caplog.text.count("STOPPED") == 1
        for words in ("200 of the last 1,000 records", "column ID is not of type int", "stands still"):
            assert words in kit.app.blockers["dead letters"]


@KINDS
async def test_the_other_slots_of_the_stage_stand_still_too_also_after_a_rebalance(making: Making) -> None:
    async with StageKit(making(DeadLimit(5, 10))) as kit:
        await kit.feed("in", records(*[POISON] * 9), within=5)
        await kit.feed("in", records(*[GOOD] * 9, partition=1), within=5)
        await kit.rebalance(within=5)
        await kit.feed("in", records(GOOD, partition=2), within=5)
        assert (count(kit, "out"), count(kit, "dead")) == (0, 0)


@KINDS
async def test_started_again_with_what_was_wrong_put_right_it_goes_on_where_it_stood(making: Making) -> None:
    async with StageKit(making(DeadLimit(5, 10))) as kit:
        await kit.feed("in", records(GOOD, *[POISON] * 9), within=5)
        kit.make_app = making(None)
        assert await kit.restart(within=20)
        assert (count(kit, "out"), count(kit, "dead")) == (1, 9)
        assert kit.ledger("in", 0).counts == {"in": 10, "out": 1, "dead": 9}


@KINDS
async def test_a_restart_in_the_middle_counts_anew_and_every_record_still_ends_once(making: Making) -> None:
    async with StageKit(making(DeadLimit(5, 10))) as kit:
        assert await kit.feed("in", records(*[POISON] * 4), within=5)
        for already in (4, 8):  # what came one by one before each restart is written, and is no longer counted
            await kit.restart(within=5)
            assert (count(kit, "dead"), kit.app.dead_window.letters) == (already, 0)
            await kit.feed("in", records(*[POISON] * 4), within=5)
        await kit.feed("in", records(*[POISON] * 9), within=5)
        assert kit.app.blockers["dead letters"]
        stood = count(kit, "dead")
        await kit.restart(within=5)  # with nothing put right
        assert kit.app.blockers["dead letters"]
        assert count(kit, "dead") == stood
        kit.make_app = making(None)
        assert await kit.restart(within=20)
        assert count(kit, "dead") == 21
        assert kit.ledger("in", 0).counts == {"in": 21, "dead": 21}


@KINDS
async def test_single_bad_records_among_many_good_ones_are_dead_letters_for_ever(making: Making) -> None:
    async with StageKit(making(DeadLimit(5, 10))) as kit:
        for _ in range(20):
            assert await kit.feed("in", records(*[GOOD, GOOD, POISON] * 20), within=20)
        assert (count(kit, "out"), count(kit, "dead")) == (800, 400)


@KINDS
async def test_floods_in_several_slots_count_together(making: Making) -> None:
    async with StageKit(making(DeadLimit(40, 1_000))) as kit:
        for partition in range(SLOTS):
            await kit.feed("in", records(*[POISON] * 15, partition=partition), within=5)
        assert count(kit, "dead") == 30


@KINDS
async def test_a_redrive_that_fails_again_stops_nothing(making: Making) -> None:
    async with StageKit(making(DeadLimit(5, 10))) as kit:
        assert await kit.feed("again", records(*[POISON] * 50), within=20)
        assert await kit.feed("in", records(GOOD), within=20)
        assert (count(kit, "out"), count(kit, "dead")) == (1, 50)


@KINDS
async def test_a_commit_that_fails_and_comes_again_is_counted_once(making: Making) -> None:
    async with StageKit(making(DeadLimit(50, 1_000))) as kit:
        for _ in range(5):
            failing = kit.abort_next()
            assert await kit.feed("in", records(*[GOOD] * 8, POISON), within=60)
            assert failing.fired
        assert count(kit, "dead") == kit.app.dead_window.letters == 5


@KINDS
async def test_a_stage_that_is_to_stop_stops_before_the_first_one(making: Making) -> None:
    async with StageKit(making(DeadLimit(1, 1))) as kit:
        await kit.feed("in", records(GOOD, GOOD, POISON, GOOD), within=5)
        assert (count(kit, "out"), count(kit, "dead")) == (2, 0)
        assert kit.committed("in", 0) == 2
        assert "a record would be a dead letter" in kit.app.blockers["dead letters"]


@KINDS
async def test_a_stage_that_stands_still_stops_in_order(making: Making) -> None:
    async with StageKit(making(DeadLimit(5, 10))) as kit:
        await kit.feed("in", records(*[POISON] * 9), within=5)
        before = kit.clock.now_ms()
        await kit.restart(within=1)
        assert kit.clock.now_ms() - before < 5_000
        assert count(kit, "dead") == 0
