"""P1-P3: rebalances under load. A record that was fetched is handed over or fetched again, whatever moves meanwhile."""

import asyncio
import random
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from mode.utils.queues import FlowControlQueue

from models.routing import partition_of
from tests.integration.stage import PARTITIONS, Bench, eventually, running
from workers.engine.app import StageApp
from workers.engine.consumer_thread import ConsumerThread
from workers.engine.delivery import Delivered
from workers.engine.unit import Done, UnitOfWork

REJOINS = 20


@pytest.fixture
def bench(kafka_bootstrap: str, tmp_path: Path) -> Bench:
    return Bench(kafka_bootstrap, str(tmp_path))


def keys_of(partition: int) -> list[bytes]:
    return [key for key in (b"k%d" % n for n in range(60)) if partition_of(key, PARTITIONS) == partition]


class Source:
    """Transactional traffic, 40 % of it aborted: what a stage reads when a bridge is killed again and again."""

    def __init__(self, bench: Bench, topic: str) -> None:
        self.bench = bench
        self.topic = bench.topic(topic)
        self.sent = 0
        self.stopping = False

    async def run(self) -> None:
        dice = random.Random(7)
        producer = AIOKafkaProducer(
            bootstrap_servers=self.bench.bootstrap, transactional_id=f"{self.bench.prefix}-source"
        )
        await producer.start()
        try:
            while not self.stopping:
                partition, aborted = dice.randrange(PARTITIONS), dice.random() < 0.4
                await producer.begin_transaction()
                deliveries = []
                for key in keys_of(partition)[:15]:
                    value = b"aborted" if aborted else b"%d" % self.sent
                    self.sent += not aborted
                    deliveries.append(await producer.send(self.topic, key=key, value=value, partition=partition))
                await asyncio.gather(*deliveries)
                await (producer.abort_transaction() if aborted else producer.commit_transaction())
                await asyncio.sleep(dice.random() * 0.05)
        finally:
            await producer.stop()


async def rejoin_again_and_again(app: StageApp, source: Source) -> int:
    """Force new generations while the source runs; returns how many there were."""
    traffic = asyncio.ensure_future(source.run())
    first = app.consumer_generation_id
    dice = random.Random(11)
    for _ in range(REJOINS):
        await asyncio.sleep(0.1 + dice.random() * 0.3)
        before = app.consumer_generation_id
        await app.consumer._thread.call(app.consumer._thread.rejoin)

        async def settled(before: int = before) -> bool:
            return app.consumer_generation_id != before and app.ready

        await eventually(settled)
    source.stopping = True
    await traffic
    return int(app.consumer_generation_id - first)


async def test_forced_rebalances_lose_nothing_from_a_window(bench: Bench) -> None:
    await bench.create("events", "receipts")
    taken: list[int] = []
    app = bench.app("deliver")

    def emit(unit: UnitOfWork, record: Any, *_: Any) -> None:
        unit.send(bench.topic("receipts"), record.key, record.value)

    async def sink(records: Any) -> list[Delivered]:
        taken.extend(int(record.value) for record in records)
        return [Delivered() for _ in records]

    app.deliver(bench.topic("events"), emit=emit)(sink)
    source = Source(bench, "events")

    async def all_taken() -> bool:
        return len(set(taken)) == source.sent

    async with running(app):
        generations = await rejoin_again_and_again(app, source)
        await eventually(all_taken)
    assert generations >= REJOINS


async def test_forced_rebalances_keep_tables_and_outputs_complete(bench: Bench) -> None:
    await bench.create("in", "out")
    await bench.create_changelog("count", "seen")
    await bench.create_changelog("count", "all")
    app = bench.app("count")
    seen, everywhere = app.partitioned("seen", "records per key"), app.everywhere("all", "last value per key")

    @app.process(bench.topic("in"), bury=lambda *_: None)
    async def count(unit: UnitOfWork) -> Done:
        for record in unit.batch or ():
            n = int(seen.get(record.key) or b"0") + 1
            seen[record.key] = b"%d" % n
            everywhere[record.key] = b"%d" % n
            unit.send(bench.topic("out"), record.key, record.value)
            unit.out()
        return Done()

    source = Source(bench, "in")

    async def all_out() -> bool:
        return len(await bench.read("out")) >= source.sent

    async with running(app):
        generations = await rejoin_again_and_again(app, source)
        await eventually(all_out)
        outputs = await bench.read("out")
        counted = {key: int(everywhere.find(key, PARTITIONS) or 0) for key in {record.key for record in outputs}}
    assert generations >= REJOINS
    assert sorted(int(record.value) for record in outputs) == list(range(source.sent))
    assert counted == {key: sum(1 for record in outputs if record.key == key) for key in counted}


async def test_records_drained_behind_the_stages_back_are_read_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a fetch of an older generation drains moves the position of the new one: the chain rule has to notice."""
    await bench.create("in", "out")
    app = bench.app("copy")

    @app.process(bench.topic("in"), bury=lambda *_: None)
    async def copy(unit: UnitOfWork) -> Done:
        for record in unit.batch or ():
            unit.send(bench.topic("out"), record.key, record.value)
            unit.out()
        return Done()

    stolen = 0
    fetch = ConsumerThread.fetch

    async def stealing(self: ConsumerThread, timeout: float) -> Any:
        nonlocal stolen
        active = self.consumer.fetchable()
        if active and stolen < 30:
            drained = await self._ensure_consumer()._fetcher.fetched_records(active, timeout=0)
            stolen += sum(map(len, drained.values()))
        return await fetch(self, timeout)

    monkeypatch.setattr(ConsumerThread, "fetch", stealing)
    async with running(app):
        await bench.put("in", [(b"k%d" % n, b"%d" % n) for n in range(200)])

        async def all_out() -> bool:
            return len(await bench.read("out")) >= 200

        await eventually(all_out, seconds=20)
    assert stolen >= 30, "the fault did not fire"
    assert len(await bench.read("out")) == 200


async def test_resuming_the_flow_keeps_what_is_queued(bench: Bench) -> None:
    """mode's own flow control clears its queues; changelog entries of a global table would vanish for good."""
    flow = bench.app("any").flow_control
    queue: FlowControlQueue = FlowControlQueue(flow_control=flow, clear_on_resume=True)
    flow.resume()
    await queue.put("entry")
    flow.resume()
    assert queue.qsize() == 1


async def test_a_recovery_step_without_end_is_a_crash_and_not_a_silence(bench: Bench) -> None:
    recovery = bench.app("any").tables.recovery
    with pytest.raises(TimeoutError):
        await recovery._wait(asyncio.Event(), timeout=0.05)
