"""Positions outside of the log are loud gaps, never jumps; slots that are not complete do not work."""

from pathlib import Path
from typing import Any

import pytest
from faust.types import TP

from tests.integration.stage import PARTITIONS, Bench, eventually, running
from workers.engine.app import StageApp
from workers.engine.unit import Done, UnitOfWork


@pytest.fixture
def bench(kafka_bootstrap: str, tmp_path: Path) -> Bench:
    return Bench(kafka_bootstrap, str(tmp_path))


def copying(bench: Bench, **options: Any) -> StageApp:
    app = bench.app("copy", **options)

    @app.process(bench.topic("in"), bury=lambda *_: None)
    async def copy(unit: UnitOfWork) -> Done:
        for record in unit.batch or ():
            unit.send(bench.topic("out"), record.key, record.value)
            unit.out()
        return Done()

    return app


async def copied(bench: Bench, count: int) -> bool:
    return len(await bench.read("out")) >= count


async def _with_a_gap(bench: Bench) -> None:
    """20 records copied, 400 more there, of which the next 100 or so of each partition are deleted."""
    await bench.create("in", "out")
    await bench.put("in", [(b"k%d" % n, b"old") for n in range(20)])
    async with running(copying(bench)):
        await eventually(lambda: copied(bench, 20))
    await bench.put("in", [(b"k%d" % n, b"new") for n in range(400)])
    await bench.delete_before("in", 110)


async def test_a_position_below_the_log_start_stops_the_partition_and_is_not_ready(bench: Bench) -> None:
    await _with_a_gap(bench)
    app = copying(bench)

    async def both_gaps_seen() -> bool:
        return app.slots.stats.gaps == PARTITIONS and not app.rebalancing

    async with running(app, wait_ready=False):
        await eventually(both_gaps_seen)
        assert not app.ready
        assert len(app.consumer.open_gaps) == PARTITIONS
    assert len(await bench.read("out")) == 20


async def test_on_gap_continue_goes_on_at_the_log_start_and_is_ready_again(bench: Bench) -> None:
    await _with_a_gap(bench)
    app = copying(bench, on_gap="continue")
    left = len(await bench.read("in"))
    async with running(app):
        await eventually(lambda: copied(bench, 20 + left))
        assert app.ready
        assert app.slots.stats.gaps == PARTITIONS
    assert len(await bench.read("out")) == 20 + left


def test_a_slot_without_all_its_partitions_is_not_complete(bench: Bench) -> None:
    app = copying(bench)
    app.source_topics.add(bench.topic("other"))
    held = {TP(bench.topic("in"), 0), TP(bench.topic("in"), 1), TP(bench.topic("other"), 1)}
    complete, incomplete = app.slots.complete(held)
    assert complete == {1}
    assert incomplete == {0: [bench.topic("other")]}
