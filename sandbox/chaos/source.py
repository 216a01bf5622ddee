"""Produces the input: every record has its own uid, and a version per key that only grows."""

import asyncio
import contextlib
import random
from collections import Counter
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from models.routing import partition_of
from sandbox.chaos.history import History
from sandbox.chaos.plan import Plan

TICK = 0.05
STOP_SECONDS = 60.0
ABANDONED = 0.1
"""Share of aborted transactions that are left open instead, as by a killed producer."""


class Source:
    """Runs until `stop`; the history says of every record whether it is there (ok), not (fail), or unclear (info)."""

    def __init__(self, plan: Plan, bootstrap: str, history: History) -> None:
        self.plan = plan
        self.bootstrap = bootstrap
        self.history = history
        self.topic = plan.workload.source
        self.uid = 0
        self.versions: Counter[str] = Counter()
        self.counts: Counter[str] = Counter()
        self._dice = random.Random(f"source:{plan.seed}")
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._pending: set[asyncio.Future[Any]] = set()

    def start(self) -> None:
        """Begin to produce."""
        workload = self.plan.workload
        self._task = asyncio.ensure_future(self._transactions() if workload.transactional else self._stream())

    async def stop(self) -> None:
        """Finish what is on its way."""
        self._stopping.set()
        if self._task is not None:
            await asyncio.wait_for(self._task, STOP_SECONDS)

    def _next(self) -> tuple[str, int, int]:
        """(key, uid, version) of the next record."""
        key = f"k{self._dice.randrange(self.plan.workload.keys)}"
        self.uid += 1
        self.versions[key] += 1
        return key, self.uid, self.versions[key]

    def _record(self, key: str, uid: int, version: int) -> dict[str, Any]:
        raw = key.encode()
        value = f"{uid}:{version}" if self.topic == "in" else f"{uid}:{version}:0"
        return {"key": raw, "value": value.encode(), "partition": partition_of(raw, self.plan.workload.partitions)}

    def _producer(self, **options: Any) -> AIOKafkaProducer:
        return AIOKafkaProducer(
            bootstrap_servers=self.bootstrap, client_id="chaos-source", enable_idempotence=True, linger_ms=5,
            request_timeout_ms=20_000, retry_backoff_ms=50, **options,
        )  # fmt: skip

    def _tell(self, type_: Any, key: str, uid: int, version: int, **fields: Any) -> None:
        self.counts[type_] += 1
        self.history.add("source", "put", type_, key=key, uid=uid, version=version, **fields)

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)

    async def _opened(self, **options: Any) -> AIOKafkaProducer | None:
        """A started producer; waits for Kafka. None when it is time to stop."""
        while not self._stopping.is_set():
            producer = self._producer(**options)
            try:
                await asyncio.wait_for(producer.start(), 10)
            except (KafkaError, OSError, TimeoutError):
                await _discard(producer)
                await self._pause(0.3)
            else:
                return producer
        return None

    # without transactions

    async def _stream(self) -> None:
        while not self._stopping.is_set():
            producer = await self._opened()
            if producer is None:
                return
            healthy = asyncio.Event()
            healthy.set()
            while healthy.is_set() and not self._stopping.is_set():
                for _ in range(self._share()):
                    await self._send(producer, healthy)
                await self._pause(TICK)
            if self._pending:  # nothing of the old producer may come behind what the next one writes
                await asyncio.wait(list(self._pending), timeout=STOP_SECONDS / 2)
            await _discard(producer)

    def _share(self) -> int:
        exact = self.plan.workload.rate * TICK
        return int(exact) + (self._dice.random() < exact % 1)

    async def _send(self, producer: AIOKafkaProducer, healthy: asyncio.Event) -> None:
        key, uid, version = self._next()
        self._tell("invoke", key, uid, version)
        try:
            delivery = await producer.send(self.topic, **self._record(key, uid, version))
        except (KafkaError, OSError):
            healthy.clear()
            self._tell("fail", key, uid, version)
            return

        def ended(done: asyncio.Future[Any]) -> None:
            self._pending.discard(done)
            if done.cancelled() or done.exception() is not None:
                healthy.clear()
                self._tell("info", key, uid, version)
            else:
                place = done.result()
                self._tell("ok", key, uid, version, partition=place.partition, offset=place.offset)

        self._pending.add(delivery)
        delivery.add_done_callback(ended)

    # with transactions

    async def _transactions(self) -> None:
        while not self._stopping.is_set():
            producer = await self._opened(transactional_id="chaos-source", transaction_timeout_ms=20_000)
            if producer is None:
                return
            healthy = True
            while healthy and not self._stopping.is_set():
                healthy = await self._transaction(producer)
                await self._pause(TICK)
            await _discard(producer)

    async def _transaction(self, producer: AIOKafkaProducer) -> bool:
        """One transaction; whether the producer can go on."""
        aborts = self._dice.random() < self.plan.workload.aborted
        abandons = aborts and self._dice.random() < ABANDONED
        records = [self._next() for _ in range(max(1, self._share()))]
        places: list[Any] = []
        outcome, clear = "info", False
        for record in records:
            self._tell("invoke", *record)
        try:
            await producer.begin_transaction()
            deliveries = [await producer.send(self.topic, **self._record(*record)) for record in records]
            places = await asyncio.gather(*deliveries)
            if abandons:
                outcome = "fail"  # the next producer's InitProducerId aborts it
            elif aborts:
                await asyncio.wait_for(producer.abort_transaction(), 20)
                outcome, clear = "fail", True
            else:
                await asyncio.wait_for(producer.commit_transaction(), 20)
                outcome, clear = "ok", True
        except (KafkaError, OSError, TimeoutError):
            self.counts["broken_transactions"] += 1
        self.counts["abandoned"] += abandons
        for index, record in enumerate(records):
            place = places[index] if index < len(places) else None
            where = {"partition": place.partition, "offset": place.offset} if place is not None else {}
            self._tell(outcome, *record, **where)
        return clear


async def _discard(producer: AIOKafkaProducer) -> None:
    """Stop a producer that may hang."""
    with contextlib.suppress(Exception):
        await asyncio.wait_for(producer.stop(), 10)
