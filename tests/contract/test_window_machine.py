"""P3, P4, P5, P7: whatever a sink answers and whatever happens to the stage meanwhile, every event is delivered, in
order of its entity, as the same bytes, and offsets pass nothing that is not."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.contract.windows import FAULTS, KEYS, World

T = TypeVar("T")

events = st.lists(
    st.tuples(st.sampled_from(KEYS), st.sampled_from(["event"] * 8 + ["poison", "refused"])), min_size=1, max_size=12
)


class WindowMachine(RuleBasedStateMachine):
    """What may happen, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.world = World()
        self.run(self.world.kit.__aenter__())

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    @rule(kinds=events)
    def feed(self, kinds: list[tuple[bytes, str]]) -> None:
        self.run(self.world.feed(kinds))

    @rule(faults=st.lists(st.sampled_from(FAULTS), min_size=1, max_size=5))
    def faults(self, faults: list[str]) -> None:
        self.world.sink.script.extend(faults)

    @rule(bus=st.sampled_from("ab"))
    def bus_down(self, bus: str) -> None:
        self.world.sink.down.add(bus)

    @precondition(lambda self: self.world.sink.down)
    @rule()
    def buses_up(self) -> None:
        self.world.sink.down.clear()

    @rule(seconds=st.sampled_from([0.01, 0.03, 0.3, 5.0, 60.0]))
    def time_passes(self, seconds: float) -> None:
        self.run(self.world.kit.advance(seconds))

    @rule()
    def rebalance(self) -> None:
        self.run(self.world.kit.rebalance(within=0))

    @rule(orderly=st.booleans())
    def restart(self, orderly: bool) -> None:
        self.run(self.world.kit.restart(orderly=orderly, within=0))

    @rule()
    def commit_fails(self) -> None:
        self.world.kit.abort_next()

    @invariant()
    def holds(self) -> None:
        self.world.check()

    def teardown(self) -> None:
        try:
            self.run(self.world.finish())
        finally:
            self.run(self.world.kit.__aexit__())
            self.loop.close()


TestWindowMachine = WindowMachine.TestCase
TestWindowMachine.settings = settings(
    max_examples=25, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
)
