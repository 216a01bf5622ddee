"""Taking a slot over: fence first, then read; and nobody keeps the group waiting."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.structs import OffsetAndMetadata

from tests.integration.stage import PARTITIONS, Bench, eventually, running
from workers.engine.app import StageApp
from workers.engine.ledger import Ledger
from workers.engine.slot import Slot
from workers.engine.unit import Done, Pause, UnitOfWork

ENGINE_PAUSE = 2.5
"""Seconds: the engine's part of a rebalance, however its bodies behave."""


@pytest.fixture
async def bench(kafka_bootstrap: str, tmp_path: Path) -> Bench:
    made = Bench(kafka_bootstrap, str(tmp_path))
    await made.create("in", "out")
    return made


async def copied(bench: Bench, count: int) -> bool:
    return len(await bench.read("out")) >= count


async def rejoin(app: StageApp) -> None:
    before = app.consumer_generation_id
    await app.consumer._thread.call(app.consumer._thread.rejoin)

    async def settled() -> bool:
        return app.consumer_generation_id != before and app.ready

    await eventually(settled)


def numbers(records: list[Any]) -> list[int]:
    return sorted(int(record.value) for record in records)


async def test_a_predecessor_that_commits_until_it_is_fenced_is_not_repeated(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its last commit falls between our assignment and our InitProducerId: positions are read after that."""
    await bench.put("in", [(b"k%d" % n, b"%d" % n) for n in range(40)])
    sources: dict[int, list[Any]] = {index: [] for index in range(PARTITIONS)}
    for record in await bench.read("in"):
        sources[record.partition].append(record)
    open_producer, late = Slot.open_producer, []

    async def after_the_predecessor(self: Slot) -> None:
        if self.index not in late:
            late.append(self.index)
            await commit_half(bench, self, sources[self.index])
        await open_producer(self)

    monkeypatch.setattr(Slot, "open_producer", after_the_predecessor)
    async with running(copying(bench)):
        await eventually(lambda: copied(bench, 40))
    assert sorted(late) == list(range(PARTITIONS))
    assert numbers(await bench.read("out")) == list(range(40))


async def commit_half(bench: Bench, slot: Slot, records: list[Any]) -> None:
    """What a worker does that still thinks it owns the slot: half of the partition, outputs and offset."""
    half = records[: len(records) // 2]
    producer: AIOKafkaProducer = slot.app.slots.new_producer(slot.index)
    await producer.start()
    await producer.begin_transaction()
    for record in half:
        await producer.send(bench.topic("out"), record.value, key=record.key, partition=slot.index)
    position = OffsetAndMetadata(half[-1].offset + 1, Ledger({"in": len(half), "out": len(half)}, since=0).encode())
    await producer.send_offsets_to_transaction(
        {TopicPartition(bench.topic("in"), slot.index): position}, slot.app.conf.id
    )
    await producer.commit_transaction()
    await producer.stop()


def copying(bench: Bench, wait: Any = None) -> StageApp:
    """Copies records; `wait(record)` may hold the body, or say Pause."""
    app = bench.app("copy")

    @app.process(bench.topic("in"), bury=lambda *_: None)
    async def copy(unit: UnitOfWork) -> Done | Pause:
        for record in unit.batch or ():
            if wait is not None and (pause := await wait(record)) is not None:
                return Pause(record.offset, pause)
            unit.send(bench.topic("out"), record.key, record.value)
            unit.out()
        return Done()

    return app


async def test_a_paused_partition_goes_on_in_the_next_generation(bench: Bench) -> None:
    """What an actor waits for ends with its generation, or the records of the next one starve behind it."""
    asked, opened = asyncio.Event(), False

    async def wait(record: Any) -> float | None:
        asked.set()
        return None if opened else 3_600.0

    app = copying(bench, wait)
    await bench.put("in", [(b"k%d" % n, b"%d" % n) for n in range(40)])
    async with running(app):
        await asked.wait()
        opened = True
        await rejoin(app)
        await eventually(lambda: copied(bench, 40))
        assert max(app.slots.stats.engine_pauses) <= ENGINE_PAUSE
    assert numbers(await bench.read("out")) == list(range(40))


async def test_a_body_that_ignores_the_end_of_its_generation_is_cut_off_and_repeated(bench: Bench) -> None:
    held: list[int] = []

    async def wait(record: Any) -> None:
        if record.partition not in held:
            held.append(record.partition)
            await asyncio.sleep(3_600)

    app = copying(bench, wait)
    await bench.put("in", [(b"k%d" % n, b"%d" % n) for n in range(40)])
    async with running(app):

        async def all_held() -> bool:
            return len(held) == PARTITIONS

        await eventually(all_held)
        await rejoin(app)
        await eventually(lambda: copied(bench, 40))
        assert max(app.slots.stats.engine_pauses) <= ENGINE_PAUSE + 1.0  # the machine's share, not the body's hour
    assert numbers(await bench.read("out")) == list(range(40))
