"""Faults of a transactional producer on request, in memory and in front of a real broker alike."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from aiokafka.errors import KafkaConnectionError, KafkaError, MessageSizeTooLargeError, RequestTimedOutError

from workers.engine.unit_producer import PackedBatch, UnitProducer, Written

BEFORE, AFTER, NEVER = "before", "after", "never"


@dataclass(slots=True, eq=False)
class Fault:
    """What goes wrong, how often still, and how often it has. A test asserts on `fired`: a fault that did not fire
    proves nothing."""

    left: float
    fired: int = 0

    def fire(self) -> bool:
        """Whether it goes wrong this time."""
        if self.left <= 0:
            return False
        self.left -= 1
        self.fired += 1
        return True

    def lift(self) -> None:
        """From now on it does not."""
        self.left = 0


class Faults:
    """The faults of all producers of one stage."""

    def __init__(self) -> None:
        self._commits: list[tuple[str, Fault]] = []
        self._refusals: list[tuple[str, Callable[[PackedBatch], bool], type[KafkaError], Fault]] = []
        self._alive: list[FaultyProducer] = []

    def wrap(self, producer: UnitProducer) -> "FaultyProducer":
        """The producer, with these faults in front of it."""
        wrapped = FaultyProducer(producer, self)
        self._alive.append(wrapped)
        return wrapped

    def abort_next(self, n: int = 1) -> Fault:
        """The next `n` transactions fail after records and offsets were sent, and never commit."""
        return self._commit_fault(BEFORE, n)

    def lose_answers(self, n: int = 1) -> Fault:
        """The next `n` transactions commit, but the answer does not arrive."""
        return self._commit_fault(AFTER, n)

    def stall_next(self, n: int = 1) -> Fault:
        """The next `n` transactions never commit, and nobody says so."""
        return self._commit_fault(NEVER, n)

    def refuse(self, topic: str, error: type[KafkaError], n: float = float("inf")) -> Fault:
        """The broker refuses batches for a topic, until lifted or `n` times."""
        return self._refusal(topic, lambda _: True, error, n)

    def too_large(self, topic: str, limit: int) -> Fault:
        """The topic takes no batch of more than `limit` bytes."""
        return self._refusal(topic, lambda batch: batch.size() > limit, MessageSizeTooLargeError, float("inf"))

    def cut(self) -> None:
        """Nothing that the producers made so far do reaches the broker any more, as if their process had died."""
        for producer in self._alive:
            producer.dead = True
        self._alive.clear()

    def of_commit(self) -> str:
        """The fault of the commit that is about to begin; empty if there is none."""
        return next((kind for kind, fault in self._commits if fault.fire()), "")

    def of_batch(self, batch: PackedBatch, topic: str) -> type[KafkaError] | None:
        """The error this batch meets."""
        for refused, applies, error, fault in self._refusals:
            if refused == topic and applies(batch) and fault.fire():
                return error
        return None

    def _commit_fault(self, kind: str, n: int) -> Fault:
        fault = Fault(n)
        self._commits.append((kind, fault))
        return fault

    def _refusal(self, topic: str, applies: Callable[[PackedBatch], bool], error: type[KafkaError], n: float) -> Fault:
        fault = Fault(n)
        self._refusals.append((topic, applies, error, fault))
        return fault


class FaultyProducer:
    """See UnitProducer."""

    def __init__(self, inner: UnitProducer, faults: Faults) -> None:
        self.inner = inner
        self.faults = faults
        self.dead = False

    def _reach(self) -> None:
        if self.dead:
            raise KafkaConnectionError("cut off")

    async def start(self) -> None:
        """See UnitProducer."""
        self._reach()
        await self.inner.start()

    async def partitions_for(self, topic: str) -> set[int]:
        """See UnitProducer."""
        self._reach()
        return await self.inner.partitions_for(topic)

    async def begin_transaction(self) -> None:
        """See UnitProducer."""
        self._reach()
        await self.inner.begin_transaction()

    def create_batch(self) -> PackedBatch:
        """See UnitProducer."""
        return self.inner.create_batch()

    async def send_batch(self, batch: Any, topic: str, *, partition: int) -> "asyncio.Future[Written]":
        """See UnitProducer."""
        self._reach()
        error = self.faults.of_batch(batch, topic)
        if error is None:
            return await self.inner.send_batch(batch, topic, partition=partition)
        refused: asyncio.Future[Written] = asyncio.get_running_loop().create_future()
        refused.set_exception(error())
        return refused

    async def send_offsets_to_transaction(self, offsets: Mapping[Any, Any], group_id: str) -> None:
        """See UnitProducer."""
        self._reach()
        await self.inner.send_offsets_to_transaction(offsets, group_id)

    async def commit_transaction(self) -> None:
        """See UnitProducer."""
        self._reach()
        kind = self.faults.of_commit()
        if kind == BEFORE:
            raise RequestTimedOutError("a fault, before the commit")
        if kind == NEVER:
            await asyncio.Event().wait()
        await self.inner.commit_transaction()
        if kind == AFTER:
            raise RequestTimedOutError("a fault, after the commit")

    async def stop(self) -> None:
        """See UnitProducer. A dead one too: only what it still wants to send does not arrive."""
        await self.inner.stop()
