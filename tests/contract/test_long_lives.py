"""What months of running do to a stage: nothing that failed long ago may slow down what fails today."""

import asyncio
import socket
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.contract.stages import KitStages
from tests.contract.webbing import settings_of
from workers.contract import read_catalogue
from workers.engine import runner, stages
from workers.engine.app import StageApp
from workers.engine.clock import monotonic
from workers.engine.errors import Broken, DataError
from workers.engine.slot import Slot
from workers.engine.stages import Stage
from workers.engine.testing import Input, StageKit
from workers.engine.unit import Done, UnitOfWork
from workers.failures import ConfigurationError
from workers.process import make_process

DAY = 86_400.0


async def test_a_slot_task_that_fails_once_a_day_is_started_again_as_soon_as_on_the_first_day() -> None:
    pauses: list[float] = []

    def make() -> StageApp:
        app = KitStages().app("pull")
        ended: dict[int, float] = {}

        @app.slot_task("slots")
        async def pull(slot: Slot, stopping: asyncio.Event) -> None:
            if slot.index in ended:
                pauses.append(monotonic() - ended[slot.index])
            await app.slots.wait_stopping(DAY)
            ended[slot.index] = monotonic()
            if not stopping.is_set():
                raise Broken("a commit that was not answered")

        return app

    async with StageKit(make) as kit:
        await kit.advance(20 * DAY)
    assert len(pauses) >= 20
    assert max(pauses) < 1


async def test_a_slot_task_that_fails_again_and_again_is_left_alone_for_ever_longer() -> None:
    begun: list[float] = []

    def make() -> StageApp:
        app = KitStages().app("pull")

        @app.slot_task("slots")
        async def pull(slot: Slot, _stopping: asyncio.Event) -> None:
            if slot.index == 0:
                begun.append(monotonic())
            raise Broken("at once")

        return app

    async with StageKit(make) as kit:
        await kit.advance(600)
    assert 20 < len(begun) < 60
    assert begun[-1] - begun[-2] > 25


async def test_a_body_that_has_failed_a_thousand_times_goes_on_without_a_rebalance_when_it_can(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    broken = True

    def make() -> StageApp:
        app = KitStages().app("copy")

        def bury(_unit: UnitOfWork, _record: Any, _error: DataError, _with_value: bool) -> None:
            raise AssertionError("nothing is buried")

        @app.process("in", bury=bury)
        async def copy(unit: UnitOfWork) -> Done:
            if broken:
                raise RuntimeError("a bug")
            for record in unit.batch or ():
                unit.send("out", record.key, record.value)
                unit.out()
            return Done()

        return app

    monkeypatch.setattr(runner, "MAX_BODY_PAUSE", 1.0)
    async with StageKit(make) as kit:
        assert not await kit.feed("in", [Input(b"k", b"v")], within=1)
        await kit.advance(1_100)  # as often as in a working day, with the pauses of production
        broken = False
        await kit.advance(60)
        assert len(kit.output("out")) == 1
        assert kit.app.slots.stats.rejoins == 0


class Crashing(Stage):
    """Its apps live as long as the test says; time passes without anybody waiting for it."""

    def __init__(self, *lives: float) -> None:
        self.now = 0.0
        self.pauses: list[float] = []
        self._lives = list(lives)
        super().__init__("enrich", lambda: KitStages().app("enrich"), SimpleNamespace(refused=False))  # type: ignore[arg-type]

    async def _run_until_end(self, app: StageApp) -> None:
        self.now += self._lives.pop(0)

    async def sleep(self, n: Any, **_: Any) -> None:
        self.pauses.append(n)
        self.now += n
        if not self._lives:
            self._stopped.set()


async def test_a_stage_that_crashes_once_a_day_is_made_anew_as_soon_as_on_the_first_day(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stage = Crashing(*[0.0] * 7, *[DAY] * 3, 0.0)
    monkeypatch.setattr(stages, "monotonic", lambda: stage.now)
    await Stage._live.fun(stage)
    assert stage.pauses == [1, 2, 4, 8, 16, 30, 30, 1, 1, 1, 2]


def test_a_stage_that_is_made_anew_has_the_tables_that_its_worker_began_with(tmp_path: Path) -> None:
    tables = tmp_path / "tables.yaml"
    entry = "version: 1\ntables:\n  - {table: orders, entity: order, key: [order_id], operations: [%s]}\n"
    tables.write_text(entry % "INSERT", encoding="utf-8")
    settings = settings_of(tmp_path).model_copy(update={"tables": tables})
    with socket.create_server(("127.0.0.1", 0)) as listening:
        worker = make_process(settings, ("enrich", "publish"), listening)
    enrich, publish = worker.stages
    before = enrich.factory().fingerprint
    for text in (entry % "UPDATE", "no tables at all"):
        tables.write_text(text, encoding="utf-8")
        assert [stage.factory().fingerprint for stage in (enrich, publish)] == [before, before]
    with pytest.raises(ConfigurationError):
        read_catalogue(settings.model_copy())
