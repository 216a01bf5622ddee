"""How far a stage is behind, on the test kit: time jumps, so that ages are exact."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from faust.types import TP

from tests.contract.stages import KitStages
from workers.engine.app import StageApp
from workers.engine.delivery import Outcome, Retry
from workers.engine.lag import Lag
from workers.engine.testing import Input, StageKit
from workers.engine.unit import Done, Pause, UnitOfWork

PLACE = KitStages()


def waiting_for(seconds: float) -> Callable[[], StageApp]:
    """Passes records on, and pauses `seconds` at the first record `wait`."""

    def make() -> StageApp:
        app = PLACE.app("behind")
        waited: set[int] = set()

        @app.process("in", bury=lambda *_: None)
        async def pass_on(unit: UnitOfWork) -> Done | Pause:
            for record in unit.batch or ():
                if record.value == b"wait" and record.offset not in waited:
                    waited.add(record.offset)
                    return Pause(record.offset, seconds)
                unit.send("out", record.key, record.value)
                unit.out()
            return Done()

        return app

    return make


def lag_of(kit: StageKit) -> Lag:
    return kit.app.lags.of_stage(kit.clock.now_ms())


async def test_a_stage_that_has_caught_up_is_not_behind() -> None:
    async with StageKit(waiting_for(0)) as kit:
        await kit.feed("in", [(b"k", b"v")])
        await kit.advance(60)
        assert lag_of(kit) == Lag(0, 0.0)


async def test_the_oldest_record_that_waits_says_how_far_a_stage_is_behind() -> None:
    async with StageKit(waiting_for(30)) as kit:
        now = kit.clock.now_ms()
        await kit.feed("in", [Input(b"k", b"v", 0), Input(b"k", b"wait", 0, timestamp_ms=now - 5_000)], within=1)
        await kit.feed("in", [Input(b"k", b"v", 0)] * 3, within=9)
        lag = lag_of(kit)
        assert lag.records == 4
        assert lag.seconds == pytest.approx(15, abs=0.5)
        await kit.advance(30)
        assert lag_of(kit) == Lag(0, 0.0)


async def test_what_a_window_holds_waits_until_it_is_committed() -> None:
    def make() -> StageApp:
        app = PLACE.app("window")

        @app.deliver("in", emit=lambda *_: None)
        async def refuse(records: Sequence[Any]) -> Sequence[Outcome]:
            return [Retry("down") for _ in records]

        return app

    async with StageKit(make) as kit:
        await kit.feed("in", [Input(b"k", b"v", 0), Input(b"l", b"v", 0)], within=20)
        lag = lag_of(kit)
        assert lag.records == 2
        assert lag.seconds == pytest.approx(20, abs=0.5)


async def test_the_age_of_what_cannot_be_read_grows_from_when_it_was_first_seen() -> None:
    async with StageKit(waiting_for(0)) as kit:
        kit.broker.write(TP("in", 0), [(None, b"k", b"lost", ()), (None, b"k", b"v", ()), (None, b"k", b"v", ())])
        kit.delete_records("in", 0, 1)
        kit.broker.tell()
        await kit.advance(1)
        assert kit.app.consumer.open_gaps
        first = lag_of(kit)
        await kit.advance(40)
        assert (first.records, lag_of(kit).records) == (3, 3)
        assert lag_of(kit).seconds == pytest.approx(40, abs=0.5)


async def test_a_stage_whose_source_is_outside_of_kafka_is_as_far_behind_as_it_says() -> None:
    async with StageKit(waiting_for(0)) as kit:
        kit.app.lags.outside = lambda: Lag(None, 7.0)
        assert lag_of(kit) == Lag(None, 7.0)


def test_what_is_unknown_of_a_part_does_not_hide_the_others() -> None:
    assert Lag.of_all([Lag(None, None), Lag(2, 1.0), Lag(3, 9.0)]) == Lag(5, 9.0)
    assert Lag.of_all([Lag(None, None)]) == Lag(None, None)
