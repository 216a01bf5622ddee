"""A stage that crashes gets a new app; the process and the other stages do not notice."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.integration.stage import Bench, eventually
from workers.engine.app import StageApp
from workers.engine.stages import Stage, StageWorker
from workers.engine.unit import Done, UnitOfWork


@pytest.fixture
def bench(kafka_bootstrap: str, tmp_path: Path) -> Bench:
    return Bench(kafka_bootstrap, str(tmp_path))


def copying(bench: Bench, stage: str, source: str, output: str) -> Callable[[], StageApp]:
    def make() -> StageApp:
        app = bench.app(stage)

        @app.process(bench.topic(source), bury=lambda *_: None)
        async def copy(unit: UnitOfWork) -> Done:
            for record in unit.batch or ():
                unit.send(bench.topic(output), record.key, record.value)
                unit.out()
            return Done()

        return app

    return make


async def test_a_service_deep_in_one_app_that_crashes_ends_neither_the_process_nor_another_stage(bench: Bench) -> None:
    await bench.create("in", "middle", "out")
    worker = StageWorker({
        "first": copying(bench, "first", "in", "middle"), "second": copying(bench, "second", "middle", "out"),
    })  # fmt: skip
    first, second = worker.stages
    for stage in (first, second):
        await stage.start()
    try:
        await eventually(lambda: _ready(first, second))
        crashed, other = first.app, second.app
        assert crashed is not None

        async def broken(*_: Any) -> None:
            raise RuntimeError("injected into the fetcher")

        crashed.consumer._thread.fetch = broken
        await eventually(lambda: _crashed(crashed))
        await bench.put("in", [(b"k", b"v")])
        await eventually(lambda: _arrived(bench))
        assert first.app is not crashed
        assert (second.app, second.restarts, worker.crashed) == (other, 0, False)
    finally:
        for stage in (first, second):
            await stage.stop()


async def _arrived(bench: Bench) -> bool:
    return len(await bench.read("out")) == 1


async def _crashed(app: StageApp) -> bool:
    return app._crashed.is_set()


async def _ready(*stages: Stage) -> bool:
    return all(stage.app is not None and stage.app.ready for stage in stages)
