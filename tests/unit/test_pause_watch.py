"""One follower of the pauses for all stages of a process: it ends with the last one that needs it."""

import asyncio
import math
from collections.abc import Callable
from typing import Any

import pytest

from workers.engine.app import StageApp
from workers.engine.options import EngineOptions
from workers.pauses import watch
from workers.settings.worker import Settings


class Following:
    """A follower that has read everything when it is told so."""

    made: list["Following"]

    def __init__(self, _client: Any, _topic: str, _partitions: int, _apply: Callable[[Any], None]) -> None:
        self.complete_as_of = self.wanted = -math.inf
        self.moved = asyncio.Event()
        self.stopped = False
        self.made.append(self)

    def start(self) -> None:
        """Nothing to begin."""

    async def stop(self) -> None:
        self.stopped = True


async def test_a_stage_that_ends_takes_the_pauses_away_from_none_that_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Following] = []
    Following.made = made
    monkeypatch.setattr(watch, "Follower", Following)
    pauses = watch.PauseWatch(Settings(_env_file=None), "worker", lambda: 0)
    ends, starts = (StageApp(name, EngineOptions("nowhere:9092", 2)) for name in ("enrich", "publish"))
    for app, stage in ((ends, "enrich"), (starts, "publish")):
        pauses.govern(stage, app)
    made[0].complete_as_of = math.inf
    await ends.before_boot[-1]()
    made[0].complete_as_of = -math.inf
    starting = asyncio.ensure_future(starts.before_boot[-1]())
    await asyncio.sleep(0)
    await ends.on_end[-1]()
    assert not made[0].stopped
    made[0].complete_as_of = math.inf
    made[0].moved.set()
    await starting
    await starts.on_end[-1]()
    assert made[0].stopped
