"""P1, P7: a Kafka that stands still, neither dead nor alive, for much longer than every time-out of the worker."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from types import SimpleNamespace
from typing import Any, cast

import psutil
import pytest

from sandbox.kafka.broker import KafkaBroker
from sandbox.world import World
from tests.integration.hostile import Hostile, hostile, report, said
from tests.integration.stage import eventually
from workers.engine import slot, slots
from workers.kinesis import reader, slot_work
from workers.kinesis.budget import Budget

SESSION, REQUEST, COMMIT, TRANSACTION = 2.0, 2.0, 1.5, 2.0
"""Seconds, in place of 10, 40, 20 and 30."""
TIMES = 5
"""So many time-outs pass while Kafka stands still."""
BUDGET = 1 << 16
"""Of a slot: what one answer may hold, so that a second one has to wait for the commit of the first."""


@dataclass(slots=True)
class Held:
    """What all budgets of the process have seen."""

    full: set[int] = field(default_factory=set)
    """Budgets in which a reader has had to wait for room."""
    peak: Counter[int] = field(default_factory=Counter)
    """Most bytes, by budget."""

    def watch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        reserve, add = Budget.reserve, Budget._add

        async def reserving(budget: Budget, size: int) -> None:
            if not budget._fits(size):
                self.full.add(id(budget))
            await reserve(budget, size)

        def adding(budget: Budget, size: int) -> None:
            add(budget, size)
            self.peak[id(budget)] = max(self.peak[id(budget)], budget.used)

        monkeypatch.setattr(Budget, "reserve", reserving)
        monkeypatch.setattr(Budget, "_add", adding)


@pytest.fixture
def kafka(tmp_path: Path) -> Iterator[KafkaBroker]:
    """One of the test's own: nobody else has to live with its being frozen."""
    with contextlib.closing(KafkaBroker(tmp_path / "kafka")) as broker:
        broker.start()
        yield broker


@pytest.fixture
def kinesis(kafka: KafkaBroker, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hostile]:
    names = {"ENVIRONMENT": "LOCAL", "CDC_REDACTION_KEY": "0123456789abcdef", "CDC_REPLICATION_FACTOR": "1"}
    names |= {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_REGION": "us-east-1"}
    names |= {"AWS_DEFAULT_REGION": "us-east-1"}
    world = cast("World", SimpleNamespace(environment=lambda: names | kafka.environment()))
    monkeypatch.setattr(slot, "COMMIT_TIMEOUT", COMMIT)
    monkeypatch.setattr(slot, "OPEN_TIMEOUT", COMMIT)
    monkeypatch.setattr(slots, "TRANSACTION_TIMEOUT_MS", int(TRANSACTION * 1000))
    monkeypatch.setattr(slot_work, "SLOT_BYTES", BUDGET)
    with hostile(world, monkeypatch, tmp_path) as found:
        yield found


@contextlib.contextmanager
def frozen(kafka: KafkaBroker) -> Iterator[Callable[[], bool]]:
    """SIGSTOP, and SIGCONT in the end; gives what says whether the kernel has it stopped."""
    process = psutil.Process(kafka.pid)
    kafka.pause()
    try:
        yield lambda: bool(process.status() == psutil.STATUS_STOPPED)
    finally:
        kafka.resume()


async def test_a_frozen_kafka_stops_reading_at_the_budget_and_loses_and_repeats_nothing(
    kafka: KafkaBroker, kinesis: Hostile, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    held = Held()
    held.watch(monkeypatch)
    stream = kinesis.stream
    stream.put(3)

    async def true(condition: Callable[[], Any]) -> None:
        async def is_true() -> bool:
            return bool(condition())

        await eventually(is_true)

    def asked() -> int:
        return kinesis.control.status().calls["kinesis.GetRecords"]

    async with kinesis.bridge(session_timeout=SESSION, kafka_request_timeout=REQUEST) as app:
        await eventually(stream.arrived)
        stats = app.slots.stats
        with frozen(kafka) as still:
            await true(still)
            since = monotonic()
            held.full.clear()
            await asyncio.to_thread(stream.put, 30)
            await true(lambda: len(held.full) == 2)
            await true(lambda: stats.aborted >= 2)
            calls = asked()
            await asyncio.to_thread(stream.put, 30)
            await true(lambda: said(caplog, "re-initialisation", 30) >= 2 * TIMES)
            await true(lambda: monotonic() - since > TIMES * max(SESSION, REQUEST, COMMIT, TRANSACTION))
            assert asked() == calls
            assert {shard["state"] for shard in report(app).values()} == {"WAITING"}
            assert not app.ready
            assert still()
        await eventually(stream.arrived)
        await true(lambda: app.ready)
        assert stats.gaps == 0
    assert max(held.peak.values()) <= 2 * reader.FIRST_PAGE_BYTES  # two slots: one answer is let in alone in each
    await stream.holds_everything_once_and_in_order()
