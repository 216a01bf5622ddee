"""The thread that talks to Kafka says when it gets no CPU time, and does not call that an error."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from workers.engine import consumer_thread
from workers.engine.consumer_thread import KEEPALIVE, LATE, TOLD_EVERY, ConsumerThread


class Thread:
    """A consumer thread whose sleeps take as long as the test says; then it stops."""

    def __init__(self, *sleeps: float) -> None:
        self.now, self.sleeps = 0.0, list(sleeps)
        self.told: list[tuple[Any, ...]] = []
        self.app = SimpleNamespace(log=SimpleNamespace(warning=lambda *said: self.told.append(said)))

    @property
    def should_stop(self) -> bool:
        return not self.sleeps

    async def sleep(self, _seconds: float) -> None:
        self.now += self.sleeps.pop(0)

    async def _wakeup_timer_in_thread(self) -> None:
        pass


async def told(monkeypatch: pytest.MonkeyPatch, *sleeps: float) -> list[tuple[Any, ...]]:
    thread = Thread(*sleeps)
    monkeypatch.setattr(consumer_thread, "monotonic", lambda: thread.now)
    await ConsumerThread._keepalive2(cast("Any", thread))
    return thread.told


async def test_a_loop_that_ran_late_says_so_once_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    late = KEEPALIVE + LATE + 1
    said = await told(monkeypatch, KEEPALIVE, late, late, *[KEEPALIVE] * int(TOLD_EVERY), late)
    assert [line[1] for line in said] == pytest.approx([LATE + 1, LATE + 1])


async def test_a_loop_that_is_in_time_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert await told(monkeypatch, *[KEEPALIVE + LATE / 2] * 100) == []
