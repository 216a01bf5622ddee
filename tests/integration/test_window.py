"""P3, P4: the window delivers every event, in order per key, and commits only past what was delivered."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from models.retry import RetryConfig
from tests.integration.stage import Bench, eventually, running
from workers.engine.app import StageApp
from workers.engine.delivery import Delivered, Outcome, Retry, Undeliverable, WindowOptions
from workers.engine.unit import UnitOfWork


@pytest.fixture
def bench(kafka_bootstrap: str, tmp_path: Path) -> Bench:
    return Bench(kafka_bootstrap, str(tmp_path))


@dataclass
class Bus:
    """A sink that answers as told, and remembers what it took."""

    taken: list[tuple[bytes, bytes]] = field(default_factory=list)
    refused: frozenset[bytes] = frozenset()
    failures_of: Counter[bytes] = field(default_factory=Counter)
    down: bool = False
    calls: int = 0
    together: list[list[bytes]] = field(default_factory=list)

    async def put(self, records: Sequence[Any]) -> list[Outcome]:
        self.calls += 1
        self.together.append([record.key for record in records])
        await asyncio.sleep(0.002)
        return [self._one(record) for record in records]

    def _one(self, record: Any) -> Outcome:
        if self.down:
            return Retry("down")
        if self.failures_of[record.value] > 0:
            self.failures_of[record.value] -= 1
            return Retry("throttled")
        if record.value in self.refused:
            return Undeliverable("EVENTBRIDGE_ERROR", "refused")
        self.taken.append((record.key, record.value))
        return Delivered()


def delivering(bench: Bench, bus: Bus, **options: Any) -> StageApp:
    app = bench.app("deliver", **options)

    def emit(unit: UnitOfWork, record: Any, outcome: Any, attempts: int, with_value: bool) -> None:
        topic = "receipts" if isinstance(outcome, Delivered) else "dead"
        unit.send(bench.topic(topic), record.key, b"%s:%d" % (record.value, attempts) if with_value else None)

    app.deliver(bench.topic("events"), emit=emit, options=WindowOptions(retry=RetryConfig(0.01, 0.1)))(bus.put)
    return app


def events(first: int, last: int) -> list[tuple[bytes, bytes]]:
    return [(b"k%d" % (n % 5), b"%d" % n) for n in range(first, last)]


async def settled(bench: Bench, receipts: int, dead: int = 0) -> bool:
    return len(await bench.read("receipts")) >= receipts and len(await bench.read("dead")) >= dead


def order_of(taken: list[tuple[bytes, bytes]]) -> dict[bytes, list[int]]:
    found: dict[bytes, list[int]] = {}
    for key, value in taken:
        found.setdefault(key, []).append(int(value))
    return found


async def test_a_retried_event_holds_back_the_later_events_of_its_key_only(bench: Bench) -> None:
    await bench.create("events", "receipts", "dead")
    bus = Bus(failures_of=Counter({b"0": 5, b"7": 3, b"20": 2}))
    await bench.put("events", events(0, 100))
    async with running(delivering(bench, bus)):
        await eventually(lambda: settled(bench, 100))
    assert bus.failures_of.total() == 0
    assert order_of(bus.taken) == {b"k%d" % key: list(range(key, 100, 5)) for key in range(5)}


async def test_no_request_carries_two_events_of_one_key(bench: Bench) -> None:
    await bench.create("events", "receipts", "dead")
    bus = Bus()
    await bench.put("events", events(0, 100))
    async with running(delivering(bench, bus)):
        await eventually(lambda: settled(bench, 100))
    assert all(len(keys) == len(set(keys)) for keys in bus.together)


async def test_offsets_stay_behind_an_event_that_was_not_delivered(bench: Bench) -> None:
    await bench.create("events", "receipts", "dead")
    bus = Bus(failures_of=Counter({b"10": 10**9}))
    await bench.put("events", events(0, 60))
    async with running(delivering(bench, bus)):
        await eventually(lambda: _taken(bus, 48))
    after = await bench.committed("deliver", "events")
    records = {record.value: record for record in await bench.read("events")}
    stuck = records[b"10"]
    assert after[stuck.partition][0] <= stuck.offset
    bus.failures_of.clear()
    async with running(delivering(bench, bus)):
        await eventually(lambda: _all_taken(bus, 60))
    assert {int(value) for _, value in bus.taken} == set(range(60))


async def test_an_event_the_bus_refuses_becomes_a_dead_letter_and_its_lane_goes_on(bench: Bench) -> None:
    await bench.create("events", "receipts", "dead")
    bus = Bus(refused=frozenset({b"5", b"23"}))
    await bench.put("events", events(0, 50))
    async with running(delivering(bench, bus)):
        await eventually(lambda: settled(bench, 48, 2))
    assert sorted(record.value.split(b":")[0] for record in await bench.read("dead")) == [b"23", b"5"]
    ledgers = [ledger for _, ledger in (await bench.committed("deliver", "events")).values()]
    assert all(ledger.balanced for ledger in ledgers)
    assert sum(ledger.counts.get("dead", 0) for ledger in ledgers) == 2


async def test_an_outage_of_the_sink_loses_nothing_and_dead_letters_nothing(bench: Bench) -> None:
    await bench.create("events", "receipts", "dead")
    bus = Bus(down=True)
    await bench.put("events", events(0, 40))
    async with running(delivering(bench, bus)):
        await eventually(lambda: _called(bus, 8))
        bus.down = False
        await eventually(lambda: _ended(bench, 40))
    assert await bench.read("dead") == []
    assert order_of(bus.taken) == {b"k%d" % key: list(range(key, 40, 5)) for key in range(5)}


async def test_an_orderly_stop_sends_nothing_again(bench: Bench) -> None:
    await bench.create("events", "receipts", "dead")
    bus = Bus()
    await bench.put("events", events(0, 50))
    async with running(delivering(bench, bus)):
        await eventually(lambda: _taken(bus, 20))
    async with running(delivering(bench, bus)):
        await eventually(lambda: settled(bench, 50))
    assert len(bus.taken) == 50


async def _ended(bench: Bench, count: int) -> bool:
    return len(await bench.read("receipts")) + len(await bench.read("dead")) >= count


async def _taken(bus: Bus, count: int) -> bool:
    return len(bus.taken) >= count


async def _all_taken(bus: Bus, count: int) -> bool:
    return len({value for _, value in bus.taken}) >= count


async def _called(bus: Bus, calls: int) -> bool:
    return bus.calls >= calls
