"""Booters that fence each other part by lot, and a fenced one leaves no error behind for asyncio to log."""

import asyncio
import gc
import random
from typing import Any

import pytest
from aiokafka.errors import ProducerFenced

from workers.engine.boot import MOST_PAUSE, PAUSE, pause_after
from workers.engine.slot_producer import SlotProducer


def attempts_until_one_comes_through(seed: int, took: float) -> int:
    """Two booters, each of which fences the other when it begins; one comes through if nobody begins meanwhile."""
    lots = random.Random(seed)
    begins, lost, made = [0.0, took / 2], [0, 0], 2
    while True:
        first = begins.index(min(begins))
        if begins[1 - first] - begins[first] >= took:
            return made
        lost[first] += 1
        begins[first] += took + pause_after(lost[first], took, lots.random())
        made += 1


@pytest.mark.parametrize("took", [0.2, 1.0, 3.0])
def test_two_that_boot_together_part_after_a_few_attempts(took: float) -> None:
    needed = sorted(attempts_until_one_comes_through(seed, took) for seed in range(200))
    assert (needed[100] <= 6, needed[-1] <= 40) == (True, True)


def test_a_pause_is_never_shorter_than_between_two_looks_nor_endless() -> None:
    assert pause_after(1, 0.0, 0.0) == PAUSE
    assert pause_after(1_000, 60.0, 1.0) == PAUSE + MOST_PAUSE


async def test_a_fenced_boot_leaves_no_error_that_nobody_looks_at(event_loop_errors: list[Any]) -> None:
    producer = SlotProducer(bootstrap_servers="127.0.0.1:9", transactional_id="boot")
    producer._txn_manager.set_pid_and_epoch(1, 0)
    producer._txn_manager.begin_transaction()
    producer._txn_manager.fatal_error(ProducerFenced())
    await producer.stop()
    del producer
    gc.collect()
    assert event_loop_errors == []


@pytest.fixture
async def event_loop_errors() -> list[Any]:
    """What asyncio would log."""
    found: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: found.append(context))
    return found
