"""A rebalance in the middle of the look for positions: what the look brings belongs to a generation that is over."""

import asyncio
from collections import Counter
from typing import Any

import pytest
from faust.tables.recovery import RebalanceAgain

from tests.contract.stages import KitStages
from tests.integration.stage import PARTITIONS
from workers.engine.app import StageApp
from workers.engine.slot import Slot
from workers.engine.testing import StageKit

PLACE = KitStages()


async def test_positions_that_come_after_a_rebalance_start_no_second_body_in_a_slot() -> None:
    running, most = Counter[int](), Counter[int]()

    def make() -> StageApp:
        app = PLACE.app("pull")

        @app.slot_task("slots")
        async def pull(slot: Slot, stopping: asyncio.Event) -> None:
            running[slot.index] += 1
            most[slot.index] = max(most[slot.index], running[slot.index])
            await stopping.wait()
            running[slot.index] -= 1

        return app

    async with StageKit(make) as kit:
        consumer, slots, answered = kit.stage.consumer, kit.app.slots, asyncio.Event()
        quick, assigned = consumer.committed_positions, slots.on_assigned

        async def slow(tps: Any) -> Any:
            await answered.wait()
            return await quick(tps)

        async def assigned_before_the_answer(held: Any, generation: int) -> None:
            await assigned(held, generation)
            answered.set()
            await asyncio.sleep(0.1)

        consumer.committed_positions = slow  # type: ignore[method-assign]
        late = asyncio.ensure_future(consumer.perform_seek())
        await kit.advance(1)
        consumer.committed_positions = quick  # type: ignore[method-assign]
        slots.on_assigned = assigned_before_the_answer  # type: ignore[assignment, method-assign]
        await kit.rebalance()
        with pytest.raises(RebalanceAgain):
            await late
        await kit.advance(1)
        assert most == dict.fromkeys(range(PARTITIONS), 1)
