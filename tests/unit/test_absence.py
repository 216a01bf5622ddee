"""What a worker says while Kafka is away, and who notices that nobody follows its topics any more."""

import asyncio
import itertools
import logging
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sandbox.ports import free_ports
from tests.contract.test_probes import app_with_work
from tests.contract.webbing import settings_of
from tests.unit.clock import Clock
from workers.app import make_bridge
from workers.engine import follower as module
from workers.engine.absence import LONGEST_PAUSE, Absence
from workers.engine.follower import Follower
from workers.engine.progress import in_hand
from workers.pauses.watch import PauseWatch
from workers.probes.liveness import STUCK_SECONDS, Life

STAGES = range(3)


def test_stages_that_wait_together_say_it_once_an_attempt_and_ever_less_often(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = Clock()
    absence = Absence("kafka:9092", clock)
    told = []
    for second in range(600):
        clock.now = float(second)
        for _ in STAGES:
            absence.tell("nobody answers")
        told += [second] * len(caplog.records)
        caplog.clear()
    assert told[:6] == [0, 1, 3, 7, 15, 31]
    assert {later - earlier for earlier, later in itertools.pairwise(told[7:])} == {int(LONGEST_PAUSE)}


def test_another_reason_is_said_at_once(caplog: pytest.LogCaptureFixture) -> None:
    absence = Absence("kafka:9092", Clock())
    for why in ("nobody answers", "no login", "nobody answers", "no login"):
        absence.tell(why)
    assert [record.getMessage() for record in caplog.records] == [
        "waiting for Kafka at kafka:9092: nobody answers", "waiting for Kafka at kafka:9092: no login",
    ]  # fmt: skip


def test_that_it_is_there_is_said_once_and_only_if_it_was_away(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    absence = Absence("kafka:9092", clock)
    with caplog.at_level(logging.INFO):
        absence.over()
        absence.tell("nobody answers")
        clock.now += 12
        for _ in STAGES:
            absence.over()
        absence.tell("nobody answers")
    assert [record.getMessage() for record in caplog.records] == [
        "waiting for Kafka at kafka:9092: nobody answers",
        "Kafka at kafka:9092 is there, after 12 s",
        "waiting for Kafka at kafka:9092: nobody answers",
    ]


async def until(met: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not met():
            await asyncio.sleep(0.01)


@pytest.fixture
def away(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Arguments of clients of a Kafka that is not there."""
    monkeypatch.setattr(module, "PAUSE", 0.01)
    [port] = free_ports(1)
    return {"bootstrap_servers": f"127.0.0.1:{port}"}


async def test_a_follower_lives_while_kafka_is_away_and_shows_when_it_is_dead(away: dict[str, Any]) -> None:
    follower = Follower(away, "checkpoints", 2, lambda _: None)
    assert follower.in_hand == {}
    follower.start()
    try:
        seen = follower.in_hand
        assert seen.keys() == {"following checkpoints"}
        await until(lambda: follower.in_hand != seen)
        assert follower._task is not None
        follower._task.cancel()
        await asyncio.gather(follower._task, return_exceptions=True)
        life = Life(0).seen(follower.in_hand, 0)
        await asyncio.sleep(0.05)
        life = life.seen(follower.in_hand, STUCK_SECONDS + 1)
        assert life.reasons(STUCK_SECONDS + 1) == ["following checkpoints has work and has not moved for 301 s"]
    finally:
        await follower.stop()
    assert follower.in_hand == {}


async def test_a_follower_of_brokers_that_take_connections_and_never_answer_goes_round(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "PAUSE", 0.01)
    monkeypatch.setattr(module, "START_SECONDS", 0.05)
    with socket.create_server(("127.0.0.1", 0), backlog=100) as frozen:
        servers = f"127.0.0.1:{frozen.getsockname()[1]}"
        follower = Follower({"bootstrap_servers": servers}, "checkpoints", 2, lambda _: None)
        follower.start()
        try:
            first = follower.in_hand["following checkpoints"]
            await until(lambda: follower.in_hand["following checkpoints"] > first + 2)
            assert follower.trouble == "TimeoutError"
        finally:
            await follower.stop()


async def test_the_probe_of_life_sees_who_follows_checkpoints_and_pauses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_of(tmp_path)
    app = PauseWatch(settings, "w", lambda: 0).govern("bridge", make_bridge(settings))
    seen = app_with_work(inflight={})
    seen.in_hand = app.in_hand
    assert in_hand(seen) == {}
    monkeypatch.setattr(Follower, "in_hand", property(lambda self: {self._tps[0].topic: 1}))
    assert in_hand(seen) == {settings.topic("checkpoints"): 1, settings.topic("pauses"): 1}
