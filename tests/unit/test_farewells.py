"""Who said goodbye, and for how long it is told."""

from collections.abc import Callable
from typing import Any, cast

import pytest

from workers.cluster.farewells import KEPT_SECONDS, MOST, Farewells
from workers.engine.stages import StageWorker


def told(farewells: Farewells) -> dict[str, float]:
    """Of the workers that have ended."""
    return {
        sample.labels[0]: cast("float", sample.value)
        for sample in farewells.measure()
        if sample.metric.name == "worker_left_timestamp_seconds"
    }


def test_a_farewell_is_told_for_a_while() -> None:
    clock = [1000.0]
    farewells = Farewells("here", now=lambda: clock[0])
    assert farewells.hear("b")
    clock[0] += KEPT_SECONDS - 1
    assert told(farewells) == {"b": 1000.0}
    clock[0] += 1
    assert told(farewells) == {}


def test_of_two_farewells_of_a_worker_the_later_one_counts() -> None:
    clock = [1000.0]
    farewells = Farewells("here", now=lambda: clock[0])
    farewells.hear("b")
    clock[0] = 1010.0
    farewells.hear("b")
    assert told(farewells) == {"b": 1010.0}


@pytest.mark.parametrize("name", ["", "x" * 251, "two\nlines", "\x00"])
def test_what_cannot_be_a_name_is_not_heard(name: str) -> None:
    farewells = Farewells("here")
    assert not farewells.hear(name)
    assert told(farewells) == {}


def test_the_oldest_of_too_many_are_forgotten() -> None:
    farewells = Farewells("here")
    for number in range(MOST + 1):
        farewells.hear(f"w-{number}")
    assert told(farewells).keys() == {f"w-{number}" for number in range(1, MOST + 1)}


async def ended(prepare: Callable[[StageWorker], None]) -> int:
    """How often a worker that ends like this says goodbye."""
    said: list[None] = []

    async def leaving() -> None:
        said.append(None)

    worker = StageWorker({}, leaving=leaving)
    prepare(worker)
    await worker.on_stop()
    return len(said)


@pytest.fixture(autouse=True)
def _nothing_ends_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    class Timer:
        daemon = False

        def __init__(self, *_: Any) -> None: ...

        def start(self) -> None: ...

    monkeypatch.setattr("threading.Timer", Timer)


async def test_a_worker_says_goodbye_when_it_is_ended() -> None:
    assert await ended(lambda _: None) == 1


async def test_a_worker_that_crashes_or_may_not_boot_says_nothing() -> None:
    assert await ended(lambda worker: setattr(worker, "refused", True)) == 0
    assert await ended(lambda worker: worker._crashed.set()) == 0
