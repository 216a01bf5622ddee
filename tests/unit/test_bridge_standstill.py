"""What the probe of life sees of the bridge: its loops and readers, each by a number that moves."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tests.contract.test_probes import app_with_work
from tests.unit.test_shard_reader import Directory, Reading, Wire, page
from workers.aws.errors import AwsUnavailable
from workers.engine.progress import in_hand
from workers.kinesis.cursor import Part
from workers.kinesis.intake import Intake
from workers.kinesis.slot_work import SlotWork
from workers.kinesis.source import Source
from workers.probes.liveness import STUCK_SECONDS, Life

KEY = ("arn", "s")
SOURCE = cast("Source", SimpleNamespace(directory=SimpleNamespace(label="stream")))
LOOP, READER = "source slot 3", "shard s of stream"


class Reading3:
    """Slot 3 of a bridge that reads one shard."""

    def __init__(self, wire: Wire) -> None:
        self.reading = Reading(wire, Directory())
        self.intake = Intake(self.reading.budget, asyncio.Event())
        self.slot: Any = SimpleNamespace(index=3, usable=True, refused="")
        self.app: Any = app_with_work(inflight={})
        self.work = SlotWork(self.app, cast("Any", None), cast("Any", None), cast("Any", self.slot), asyncio.Event())
        self.work._intake = self.intake
        self.app.in_hand.append(self.work.in_hand)
        self.intake.add(KEY, SOURCE, self.reading.reader)

    @property
    def moving(self) -> dict[str, int]:
        return dict(in_hand(self.app))


@pytest.fixture
async def slot() -> AsyncIterator[Reading3]:
    made = Reading3(Wire(page(1)))
    yield made
    await made.intake.close()


async def settled() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_a_loop_and_a_reader_that_stand_are_seen_and_each_turn_is_another_number(slot: Reading3) -> None:
    await settled()
    before = slot.moving
    assert before.keys() == {LOOP, READER}
    await settled()
    assert slot.moving == before  # both stand: nobody calls `wait`, and Kinesis never answers
    life = Life(0).seen(before, 0).seen(slot.moving, STUCK_SECONDS + 1)
    assert len(life.reasons(STUCK_SECONDS + 1)) == 2
    await slot.intake.wait(0.0, 0.0)
    assert slot.moving[LOOP] != before[LOOP]
    assert slot.moving[READER] == before[READER]


async def test_a_reader_moves_on_while_kinesis_fails_and_a_new_one_is_another(slot: Reading3) -> None:
    wire = Wire(*(AwsUnavailable("InternalFailure") for _ in range(50)))
    failing = Reading(wire, Directory())
    before = failing.reader.turn
    task = asyncio.ensure_future(anext(aiter(failing.reader.parts())))
    seen = set()
    while wire.pages:
        seen.add(failing.reader.turn)
        await asyncio.sleep(0)
    task.cancel()
    assert len(seen - {before}) > 10
    assert Reading(wire, Directory()).reader.turn not in seen


async def test_a_reader_that_waits_for_room_is_not_in_hand(slot: Reading3) -> None:
    reader = slot.reading.reader
    await slot.intake.remove(KEY)
    await reader.budget.reserve(reader.budget.limit)
    slot.intake.add(KEY, SOURCE, reader)
    await settled()
    assert slot.moving.keys() == {LOOP}
    await reader.budget.release(reader.budget.limit)
    await settled()
    assert slot.moving.keys() == {LOOP, READER}


async def test_a_reader_whose_share_is_used_up_is_not_in_hand(slot: Reading3) -> None:
    reader = Reading(Wire(page(1)), Directory()).reader
    reader.options = replace(reader.options, share=1e-6)  # a day between two calls
    slot.intake.add(("arn", "slow"), SOURCE, reader)
    await settled()
    assert slot.moving.keys() == {LOOP, READER}


async def test_a_shard_that_was_read_to_its_end_is_not_in_hand() -> None:
    slot = Reading3(Wire(page(1, iterator=None)))
    slot.reading.reader.directory = cast("Any", Directory(opened=False))
    try:
        await settled()
        [(_, part)] = slot.intake.take()
        assert isinstance(part, Part)
        assert part.last
        assert slot.moving.keys() == {LOOP}
    finally:
        await slot.intake.close()


@pytest.mark.parametrize("how", ["kafka", "refused", "paused", "given up", "rebalance"])
async def test_a_slot_that_others_hold_up_is_not_in_hand(slot: Reading3, how: str) -> None:
    await settled()
    match how:
        case "kafka":
            slot.slot.usable = False
        case "refused":
            slot.slot.refused = "no rights"
        case "paused":
            slot.app.brake.held_slots = (3,)
        case "given up":
            slot.work.stopping.set()
        case _:
            slot.app.rebalancing = True
    assert slot.moving == {}


async def test_a_stopped_shard_hides_no_other_that_stands(slot: Reading3) -> None:
    slot.app.blockers["arn|other"] = "a gap"
    assert slot.moving.keys() == {LOOP, READER}
