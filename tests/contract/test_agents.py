"""Agents over a long life: partitions come and go, and nothing of them stays."""

import gc

from faust.agents.actor import Actor
from faust.types import TP

from tests.contract.stages import KitStages
from workers.engine.unit import Done, UnitOfWork


async def test_the_actors_of_partitions_that_were_given_up_are_forgotten() -> None:
    app = KitStages().app("move")

    @app.process("in", bury=lambda *_: None)
    async def move(unit: UnitOfWork) -> Done:
        return Done()

    (agent,) = app.agents.values()
    agent.supervisor = agent._new_supervisor()
    agent._first_assignment_done = True
    moved = {TP("in", index) for index in range(4)}
    for _ in range(3):
        await agent.on_partitions_assigned(moved)
        assert len(agent.supervisor._services) == len(moved)
        await agent.on_partitions_revoked(moved)
    gc.collect()
    assert [found for found in gc.get_objects() if isinstance(found, Actor) and found.agent is agent] == []
