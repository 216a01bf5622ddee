"""The life of one stage on a broker in memory: what Faust and the group do to it, in the same order."""

import asyncio
import dataclasses
import inspect
from collections.abc import Callable
from typing import Any

from aiokafka.structs import OffsetAndMetadata
from faust.types import TP

from workers.engine.app import StageApp
from workers.engine.faults import FaultyProducer
from workers.engine.memory_broker import MemoryBroker
from workers.engine.memory_consumer import MemoryConsumer
from workers.engine.memory_producer import MemoryProducer
from workers.engine.unit_producer import UnitProducer


class MemoryStage:
    """A started app, from its first assignment to its end. `wrap` stands in front of every producer it makes."""

    def __init__(self, app: StageApp, broker: MemoryBroker, wrap: Callable[[UnitProducer], FaultyProducer]) -> None:
        self.app = app
        self.broker = broker
        self.wrap = wrap
        self.generation = 0
        broker.default_partitions = app.options.partitions
        self.failures: list[BaseException] = []
        """What left an actor: a bug of the engine."""
        # Nothing is compared: the record lies in a topic that nobody here has written.
        app.options = dataclasses.replace(app.options, config_topic=None)
        self.consumer = MemoryConsumer(app, broker, self._ask_for_rejoin)
        app.consumer = self.consumer
        slots: Any = app.slots
        slots.new_producer = self._new_producer
        slots._catch_up = self.consumer.catch_up_slot
        self._actors: list[asyncio.Task[None]] = []
        self._changing = asyncio.Lock()
        self._rejoining: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """The first boot, if it is one, and an assignment of all slots."""
        for topic in self.app.source_topics:
            for index in range(self.app.options.partitions):
                start = self.broker.log(topic, index).start
                found = OffsetAndMetadata(start, "{}")
                self.broker.offsets.setdefault((self.app.conf.id, TP(topic, index)), found)
        await self.rebalance(set(range(self.app.options.partitions)))

    async def stop(self) -> None:
        """Everything is given back, in order."""
        async with self._changing:
            await self._revoke()
            await self.app.slots.stop()
        if self._rejoining is not None:
            await asyncio.wait([self._rejoining])
        self.broker.listeners.remove(self.consumer.wake)
        for end in self.app.on_end:
            answer = end()
            if inspect.isawaitable(answer):
                await answer

    async def rebalance(self, held: set[int]) -> None:
        """A new generation, in which the stage holds these slots."""
        async with self._changing:
            if self.generation:
                await self._revoke()
            await self._assign(held)

    async def _revoke(self) -> None:
        self.app.rebalancing = True
        await self.app.slots.quiesce()
        left = set(self._actors)
        while left:  # until 3.12 `wait_for` swallows a cancellation that meets the end of what it waits for
            for actor in left:
                actor.cancel()
            _, left = await asyncio.wait(left, timeout=0.1)
        self._actors = []
        self.consumer.clear()

    async def _assign(self, held: set[int]) -> None:
        app, consumer = self.app, self.consumer
        self.generation += 1
        app.rebalancing, app.consumer_generation_id = True, self.generation
        every = set(range(app.options.partitions))
        assigned = {TP(topic, index) for topic in app.source_topics for index in held}
        given_up: set[TP] = set()
        for table in app.tables.values():
            own = every if table.is_global else held
            assigned |= {TP(table.changelog_topic_name, index) for index in own}
            given_up |= {TP(table.changelog_topic_name, index) for index in every - own}
        consumer.assign(assigned)
        await app.slots.on_assigned(assigned, self.generation)
        for table in app.tables.values():
            await table.on_rebalance(assigned, given_up, assigned, self.generation)
            consumer.catch_up(table, every if table.is_global else held)
            await table.on_recovery_completed(set(), set())
        for agent in app.agents.values():
            for index in held:
                actor = asyncio.ensure_future(agent.fun(consumer.stream(TP(agent.channel.get_topic_name(), index))))
                actor.add_done_callback(self._ended)
                self._actors.append(actor)
        await consumer.perform_seek()
        app.rebalancing = False

    def _ended(self, actor: "asyncio.Task[None]") -> None:
        error = None if actor.cancelled() else actor.exception()
        if error is not None:
            self.failures.append(error)

    def _ask_for_rejoin(self) -> None:
        if self._rejoining is None or self._rejoining.done():
            self._rejoining = asyncio.ensure_future(self._rejoin())

    async def _rejoin(self) -> None:
        slots = self.app.slots
        if slots.open:  # else it is being given up anyway
            await self.rebalance(set(slots.owned))

    def _new_producer(self, index: int) -> FaultyProducer:
        name = f"{self.app.conf.id}-{index}"
        return self.wrap(MemoryProducer(self.broker, name, self.app.options.producer_batch_bytes))
