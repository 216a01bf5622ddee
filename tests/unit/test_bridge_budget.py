"""Back-pressure of the bridge: a full budget stops reading, and every byte comes back."""

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, cast

import pytest

from models.shard import Shard
from workers.engine.virtual_time import VirtualTime
from workers.kinesis.budget import Budget
from workers.kinesis.cursor import Gap, Part
from workers.kinesis.intake import BEHIND_BYTES, BEHIND_RECORDS, Intake
from workers.kinesis.pages import Record
from workers.kinesis.reader import ShardReader
from workers.kinesis.source import Source

A, B = ("stream", "a"), ("stream", "b")


@pytest.fixture
async def clock() -> AsyncIterator[VirtualTime]:
    """Nobody waits: time jumps to the next timer."""
    made = VirtualTime()
    made.install()
    yield made
    made.uninstall()


async def soon(condition: Callable[[], bool]) -> None:
    """Let other tasks run until the condition holds."""
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0)


async def settled() -> None:
    """Let every task run until it waits."""
    for _ in range(20):
        await asyncio.sleep(0)


async def waits(work: Awaitable[Any]) -> "asyncio.Future[Any]":
    task = asyncio.ensure_future(work)
    await settled()
    assert not task.done()
    return task


def part(size: int, records: int = 1, shard: str = "a") -> Part:
    return Part(Shard(shard, 0, 9), tuple(Record(str(n), b"") for n in range(records)), size, None, 0)


class Scripted:
    """Stands where a reader stands: takes from the budget, hands on what it was given, then waits."""

    def __init__(self, budget: Budget, *script: Part | Gap | Exception) -> None:
        self.budget = budget
        self.script = script
        self.handed_on = 0
        self.went_on = asyncio.Event()

    def go_on(self) -> None:
        self.went_on.set()

    async def parts(self) -> AsyncIterator[Part | Gap]:
        for found in self.script:
            if isinstance(found, Exception):
                raise found
            if isinstance(found, Part):
                await self.budget.reserve(found.size)
            self.handed_on += 1
            yield found
        await asyncio.Event().wait()


def reading(intake: Intake, key: tuple[str, str], *script: Part | Gap | Exception) -> Scripted:
    reader = Scripted(intake.budget, *script)
    intake.add(key, cast("Source", None), cast("ShardReader", reader))
    return reader


async def test_a_full_budget_waits_and_a_release_lets_go_on() -> None:
    budget = Budget(100)
    await budget.reserve(80)
    waiting = await waits(budget.reserve(30))
    await budget.release(80)
    await waiting
    assert budget.used == 30


async def test_more_than_the_whole_budget_is_let_in_alone() -> None:
    budget = Budget(100)
    await budget.reserve(1_000)
    waiting = await waits(budget.reserve(1))
    await budget.release(1_000)
    await waiting


async def test_a_slot_that_cannot_commit_leaves_room_for_the_others() -> None:
    worker = Budget(100)
    stuck, other = Budget(60, worker), Budget(60, worker)
    await stuck.reserve(60)
    waiting = await waits(stuck.reserve(10))
    await other.reserve(40)
    assert (worker.used, other.used) == (100, 40)
    await stuck.release(60)
    await waiting
    assert worker.used == 50


async def test_a_slot_waits_for_room_in_the_worker_and_is_woken_by_another_slot() -> None:
    worker = Budget(100)
    one, other = Budget(80, worker), Budget(80, worker)
    await one.reserve(80)
    waiting = await waits(other.reserve(40))
    await one.release(80)
    await waiting
    assert worker.used == 40


async def test_room_that_an_answer_did_not_need_is_there_for_whoever_waits() -> None:
    budget = Budget(100)
    await budget.reserve(100)
    waiting = await waits(budget.reserve(50))
    await budget.correct(100, 10)
    async with asyncio.timeout(5):
        await waiting
    assert budget.used == 60


async def test_an_answer_larger_than_its_reservation_is_counted_and_does_not_wait() -> None:
    budget = Budget(100)
    await budget.reserve(10)
    await budget.correct(10, 500)
    assert budget.used == 500


async def test_a_wait_that_is_cancelled_takes_nothing() -> None:
    budget = Budget(100, Budget(100))
    await budget.reserve(100)
    waiting = await waits(budget.reserve(50))
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert budget.used == 100
    await budget.release(100)
    assert budget.used == 0


async def test_what_was_taken_counts_until_it_is_committed() -> None:
    intake = Intake(Budget(1_000), asyncio.Event())
    reading(intake, A, part(300), part(200))
    await soon(lambda: intake.budget.used == 500)
    assert [found.size for _, found in intake.take()] == [300, 200]
    assert intake.budget.used == 500
    await intake.done()
    assert intake.budget.used == 0
    await intake.close()
    assert intake.budget.used == 0


async def test_reading_stops_at_the_budget_and_goes_on_behind_a_commit() -> None:
    intake = Intake(Budget(100), asyncio.Event())
    reader = reading(intake, A, *(part(40) for _ in range(5)))
    await settled()
    assert reader.handed_on == 2
    intake.take()
    await settled()
    assert reader.handed_on == 2
    await intake.done()
    await soon(lambda: reader.handed_on == 4)
    await intake.close()
    assert intake.budget.used == 0


async def test_a_unit_holds_no_more_bytes_and_records_than_fit() -> None:
    intake = Intake(Budget(BEHIND_BYTES * 8), asyncio.Event())
    reader = reading(intake, A, part(BEHIND_BYTES), part(1), part(1, BEHIND_RECORDS), part(1))
    await soon(lambda: reader.handed_on == 4)
    assert [[found.size for _, found in intake.take()] for _ in range(4)] == [[BEHIND_BYTES], [1], [1], [1]]
    await intake.done()
    assert intake.budget.used == 0
    await intake.close()


async def test_one_part_larger_than_a_unit_is_taken_alone() -> None:
    intake = Intake(Budget(1), asyncio.Event())
    reading(intake, A, part(BEHIND_BYTES * 5))
    await soon(lambda: intake.budget.used > 0)
    assert len(intake.take()) == 1
    await intake.close()
    assert intake.budget.used == 0


async def test_a_removed_shard_gives_back_what_was_not_taken_and_no_other_shards_bytes() -> None:
    intake = Intake(Budget(1_000), asyncio.Event())
    reading(intake, A, part(300))
    await soon(lambda: intake.budget.used == 300)
    intake.take()
    reading(intake, B, part(50, shard="b"), part(60, shard="b"))
    await soon(lambda: intake.budget.used == 410)
    await intake.remove(B)
    assert intake.budget.used == 300
    assert list(intake.shards) == [A]
    assert intake.take() == []
    await intake.done()
    await intake.close()
    assert intake.budget.used == 0


async def test_the_end_of_a_slot_gives_back_taken_and_waiting_parts_and_interrupted_waits() -> None:
    intake = Intake(Budget(500, worker := Budget(1_000)), asyncio.Event())
    reading(intake, A, part(300), part(400))
    reader = reading(intake, B, part(100, shard="b"))
    await soon(lambda: reader.handed_on == 1)
    intake.take()
    await settled()
    await intake.close()
    assert (intake.budget.used, worker.used) == (0, 0)


async def test_the_first_part_of_an_idle_slot_leaves_at_once(clock: VirtualTime) -> None:
    intake = Intake(Budget(1_000), asyncio.Event())
    waiting = await waits(intake.wait(60, 0.1))
    reading(intake, A, part(1))
    began = clock.time()
    await waiting
    assert clock.time() == began
    assert len(intake.take()) == 1
    await intake.close()


async def test_what_comes_behind_a_unit_waits_until_that_began_long_enough_ago(clock: VirtualTime) -> None:
    intake = Intake(Budget(1_000), asyncio.Event())
    reading(intake, A, part(1))
    await intake.wait(60, 0.1)
    intake.take()
    began = clock.time()
    for _ in range(3):
        reading(intake, B, part(1, shard="b"))
        await intake.wait(60, 0.1)
        assert len(intake.take()) == 1
        await intake.remove(B)
    assert clock.time() - began == pytest.approx(0.3)
    await intake.close()


async def test_a_look_that_finds_nothing_makes_nobody_wait(clock: VirtualTime) -> None:
    intake = Intake(Budget(1_000), asyncio.Event())
    await intake.wait(60, 0.1)
    assert intake.take() == []
    reading(intake, A, part(1))
    began = clock.time()
    await intake.wait(60, 0.1)
    assert clock.time() == began
    await intake.close()


async def test_a_units_worth_is_not_waited_for() -> None:
    intake = Intake(Budget(math.inf), asyncio.Event())  # type: ignore[arg-type]
    reading(intake, A, part(1))
    await settled()
    intake.take()
    waiting = await waits(intake.wait(60, 60))
    reading(intake, B, part(BEHIND_BYTES, shard="b"))
    async with asyncio.timeout(5):
        await waiting
    await intake.close()


async def test_a_gap_and_the_end_of_the_slot_end_the_wait_at_once() -> None:
    stopping = asyncio.Event()
    intake = Intake(Budget(1_000), stopping)
    gap = Gap(Shard("a", 0, 9), 7, "gone")
    reader = reading(intake, A, gap)
    async with asyncio.timeout(5):
        await intake.wait(60, 60)
        assert intake.gaps == {A: gap}
        assert not intake.idle(A)
        intake.settle(A)
        assert reader.went_on.is_set()
        assert intake.idle(A)
        stopping.set()
        await intake.wait(60, 60)
    await intake.close()


async def test_a_gap_that_waits_for_an_operator_does_not_hurry_the_units_of_its_neighbours() -> None:
    stopping = asyncio.Event()
    intake = Intake(Budget(1_000), stopping)
    reading(intake, A, part(1), Gap(Shard("a", 0, 9), 7, "gone"))
    async with asyncio.timeout(5):
        await settled()
        intake.take()
        await intake.wait(60, 60)
        waiting = await waits(intake.wait(60, 60))
        reader = reading(intake, B, part(1, shard="b"))
        await soon(lambda: reader.handed_on == 1)
        await settled()
        assert not waiting.done()
        stopping.set()
        await waiting
    await intake.close()


async def test_what_a_reader_raises_reaches_the_slot_and_costs_no_bytes() -> None:
    intake = Intake(Budget(1_000), asyncio.Event())
    reading(intake, A, part(5), ZeroDivisionError())
    async with asyncio.timeout(5):
        await settled()
        with pytest.raises(ZeroDivisionError):
            await intake.wait(1, 0.01)
    await intake.close()
    assert intake.budget.used == 0


@pytest.mark.parametrize("ticks", range(1, 8))
async def test_an_end_that_is_cut_off_leaves_no_reader_and_no_byte_behind(ticks: int) -> None:
    intake = Intake(Budget(500, worker := Budget(1_000)), asyncio.Event())
    readers = [reading(intake, (A[0], name), part(50, shard=name), part(50, shard=name)) for name in "abc"]
    await soon(lambda: all(reader.handed_on == 2 for reader in readers))
    intake.take()
    reading(intake, B, part(10, shard="b"))
    await settled()
    tasks = [lane.task for lane in intake._lanes.values()]
    end = asyncio.ensure_future(intake.close())
    for _ in range(ticks):
        await asyncio.sleep(0)
    end.cancel()  # the slot had too little time for its end
    await asyncio.gather(end, return_exceptions=True)
    await settled()
    assert all(task.done() for task in tasks)
    assert (intake.budget.used, worker.used) == (0, 0)
