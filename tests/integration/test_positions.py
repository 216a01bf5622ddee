"""Positions outside of the log are loud gaps, never jumps; slots that are not complete do not work."""

import time
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from faust.types import TP

from models.retry import RetryConfig
from tests.integration.stage import PARTITIONS, Bench, eventually, running
from workers.engine import stability
from workers.engine.app import StageApp
from workers.engine.delivery import Delivered, Retry, WindowOptions
from workers.engine.gaps import Gap
from workers.engine.stages import StageWorker
from workers.engine.unit import Done, Pause, UnitOfWork

SMALL_FETCH = 20_000
"""Bytes: a partition's fetch that does not take a whole test's records at once."""


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


async def test_a_worker_that_is_ended_beside_an_open_gap_ends_with_7_and_names_it(bench: Bench) -> None:
    await _with_a_gap(bench)
    worker = StageWorker({"copy": lambda: copying(bench)})
    (stage,) = worker.stages
    assert worker.exit_code == 0

    async def both_gaps_seen() -> bool:
        return stage.app is not None and stage.app.slots.stats.gaps == PARTITIONS and not stage.app.rebalancing

    await stage.start()
    try:
        await eventually(both_gaps_seen)
        worker.note_waiting()
    finally:
        await stage.stop()
    assert worker.exit_code == 7
    assert sorted(worker.waiting) == [f"copy: {bench.topic('in')}/{index}" for index in range(PARTITIONS)]


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


async def test_trailing_control_records_are_committed_when_nothing_follows_them(bench: Bench) -> None:
    """Retention may delete them with the log's end: a position that stayed behind would then look like a gap."""
    await bench.create("in", "out")
    app = copying(bench, trailing_seconds=0.2)
    async with running(app):
        await bench.put("in", [(b"k%d" % n, b"%d" % n) for n in range(20)])
        await eventually(lambda: copied(bench, 20))
        await bench.abort("in", 10)
        ends = await bench.ends("in")

        async def all_committed() -> bool:
            found = await bench.committed("copy", "in")
            return {index: offset for index, (offset, _) in found.items()} == ends

        await eventually(all_committed)
        await bench.delete_before("in", -1)
        assert await bench.read("in") == []
    async with running(again := copying(bench)):
        assert again.slots.stats.gaps == 0
    assert len(await bench.read("out")) == 20


class Dam:
    """Holds a stage back, with a few records in its memory, while the log before it is deleted."""

    def __init__(self, bench: Bench, **options: Any) -> None:
        self.open = False
        self.gaps: list[Gap] = []
        self.app = app = bench.app("copy", **options)
        app.conf.consumer_max_fetch_size = SMALL_FETCH
        app.record_gap = lambda _unit, gap: self.gaps.append(gap)

        @app.process(bench.topic("in"), bury=lambda *_: None)
        async def copy(unit: UnitOfWork) -> Done | Pause:
            for record in unit.batch or ():
                if not self.open:
                    return Pause(record.offset, 0.1)
                unit.send(bench.topic("out"), record.key, record.value)
                unit.out()
            return Done()


def large(first: int, last: int) -> list[tuple[bytes, bytes]]:
    """Numbered records of 1 KB: the client reads ahead, but not over all of them."""
    return [(b"k%d" % n, b"%d" % n + b" " * 1_000) for n in range(first, last)]


async def _fall_behind(bench: Bench, topic: str) -> set[int]:
    """400 records more, of which those below offset 110 of each partition are deleted; the numbers of the rest."""
    await bench.put(topic, large(20, 420))
    await bench.delete_before(topic, 110)
    return {int(record.value) for record in await bench.read(topic)}


async def _dammed(bench: Bench, dam: Dam) -> set[int]:
    await bench.put("in", large(0, 20))

    async def in_memory() -> bool:
        return sum(len(batch) for waiting in dam.app.consumer.inflight.values() for batch in waiting) == 20

    await eventually(in_memory)
    left = await _fall_behind(bench, "in")
    dam.open = True
    return left


async def test_what_is_in_memory_is_finished_before_a_gap_is_skipped(bench: Bench) -> None:
    await bench.create("in", "out")
    dam = Dam(bench, on_gap="continue")
    async with running(dam.app):
        left = await _dammed(bench, dam)

        async def all_left() -> bool:
            return left <= {int(record.value) for record in await bench.read("out")}

        await eventually(all_left)
        assert dam.app.ready
    copies = [int(record.value) for record in await bench.read("out")]
    assert len(set(copies)) == len(copies)
    assert set(range(20)) <= set(copies)
    assert [gap.end for gap in dam.gaps] == [110] * PARTITIONS
    ledgers = [ledger for _, ledger in (await bench.committed("copy", "in")).values()]
    assert sum(ledger.counts["skipped"] for ledger in ledgers) == 420 - len(copies)
    assert all(ledger.balanced for ledger in ledgers)


async def test_a_gap_under_a_running_stage_stops_its_partition_after_what_is_in_memory(bench: Bench) -> None:
    await bench.create("in", "out")
    dam = Dam(bench)
    async with running(dam.app):
        left = await _dammed(bench, dam)

        async def stopped() -> bool:
            return len(dam.app.consumer.open_gaps) == PARTITIONS

        await eventually(stopped)
        assert not dam.app.ready
    copies = {int(record.value) for record in await bench.read("out")}
    assert set(range(20)) <= copies
    assert not copies & left
    assert dam.gaps == []


async def test_a_window_skips_a_gap_and_goes_on_delivering(bench: Bench) -> None:
    await bench.create("events", "receipts")
    taken: list[int] = []
    down = True
    app = bench.app("deliver", on_gap="continue")
    app.conf.consumer_max_fetch_size = SMALL_FETCH

    async def sink(records: Any) -> list[Delivered | Retry]:
        if down:
            return [Retry("down") for _ in records]
        taken.extend(int(record.value) for record in records)
        return [Delivered() for _ in records]

    small = WindowOptions(max_records=5, retry=RetryConfig(0.01, 0.05))
    app.deliver(bench.topic("events"), emit=lambda *_: None, options=small)(sink)
    async with running(app):
        await bench.put("events", large(0, 20))

        async def fed() -> bool:
            return all(body.records for slot in app.slots.owned.values() for body in slot.bodies)

        await eventually(fed)
        left = await _fall_behind(bench, "events")
        down = False

        async def all_left() -> bool:
            return left <= set(taken)

        await eventually(all_left)
        assert app.slots.stats.gaps == PARTITIONS
        assert app.slots.stats.rejoins == 0
    assert len(set(taken)) == len(taken)
    assert set(range(20)) <= set(taken)


async def test_an_open_transaction_that_holds_a_partition_back_is_told(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(stability, "STUCK_SECONDS", 1.0)
    await bench.create("in", "out")
    app = copying(bench)
    hanging = AIOKafkaProducer(bootstrap_servers=bench.bootstrap, transactional_id=f"{bench.prefix}-hanging")
    await hanging.start()
    async with running(app):
        await hanging.begin_transaction()
        await hanging.send_and_wait(bench.topic("in"), b"open", partition=0)
        await bench.put("in", [(b"k%d" % n, b"%d" % n) for n in range(20)])

        async def told() -> bool:
            return "an open transaction has held back everything behind offset 0" in caplog.text

        await eventually(told)
        assert set(app.consumer.stable_offsets.stuck(time.monotonic())) == {TP(bench.topic("in"), 0)}
        await hanging.abort_transaction()

        async def over() -> bool:
            return not app.consumer.stable_offsets.stuck(time.monotonic())

        await eventually(over)
        await eventually(lambda: copied(bench, 20))
    await hanging.stop()
