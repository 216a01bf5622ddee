"""One driver for a running stage, twice: in the test kit, and on the session's Kafka.

What a stage does is specified once and must be the same on both."""

import contextlib
import gc
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

import pytest
from aiokafka import AIOKafkaProducer

from models.routing import partition_of
from tests.integration.stage import PARTITIONS, Bench, eventually, running
from workers.engine.app import StageApp
from workers.engine.faults import Fault, Faults
from workers.engine.ledger import Ledger
from workers.engine.options import EngineOptions
from workers.engine.testing import StageKit

Pair = tuple[bytes | None, bytes | None]
KIT_SECONDS = 120.0


class Place(Protocol):
    """Where a stage is made: names and options."""

    def topic(self, name: str) -> str:
        """The topic's name here."""

    def app(self, stage: str, **options: Any) -> StageApp:
        """A stage without agents yet."""


MakeApp = Callable[[Place], StageApp]


class Stage(Protocol):
    """A running stage, its topics and its faults."""

    faults: Faults

    @property
    def app(self) -> StageApp:
        """The running app; another one after a restart."""

    async def feed(self, topic: str, records: Iterable[tuple[bytes, bytes]], *, aborted: bool = False) -> None:
        """Append (key, value) records to the partitions of their keys."""

    async def output(self, topic: str) -> list[Pair]:
        """(key, value) of the committed records, partition by partition."""

    async def committed(self, topic: str) -> dict[int, tuple[int, Ledger]]:
        """{partition: (offset, ledger)} of the stage's group."""

    async def until(self, condition: Callable[[], Awaitable[bool]]) -> None:
        """Wait until the condition holds; fails after a time that is long for the implementation."""

    async def restart(self, *, orderly: bool = True) -> None:
        """End the stage and start a new app. Not orderly: nothing it still has to commit arrives."""

    async def rebalance(self) -> None:
        """A new generation of the group."""

    async def fence(self, partition: int) -> None:
        """Somebody else opens the slot's transactional id."""

    def too_large(self, topic: str, limit: int) -> Fault:
        """The topic takes no batch of more than `limit` bytes."""


class Stages(Protocol):
    """Starts stages."""

    def running(
        self, make: MakeApp, *, topics: Sequence[str], tables: Sequence[str] = ()
    ) -> contextlib.AbstractAsyncContextManager[Stage]:
        """A stage with its topics and tables, stopped at the end."""


class KitStages:
    """In memory."""

    def topic(self, name: str) -> str:
        return name

    def app(self, stage: str, **options: Any) -> StageApp:
        return StageApp(stage, EngineOptions("nowhere:9092", PARTITIONS, **options))

    @contextlib.asynccontextmanager
    async def running(
        self, make: MakeApp, *, topics: Sequence[str], tables: Sequence[str] = ()
    ) -> AsyncIterator[Stage]:
        async with StageKit(lambda: make(self)) as kit:
            yield KitStage(kit)


class KitStage:
    """A stage in the kit."""

    def __init__(self, kit: StageKit) -> None:
        self.kit = kit
        self.faults = kit.faults

    @property
    def app(self) -> StageApp:
        return self.kit.app

    async def feed(self, topic: str, records: Iterable[tuple[bytes, bytes]], *, aborted: bool = False) -> None:
        await self.kit.feed(topic, records, aborted=aborted, within=0)

    async def output(self, topic: str) -> list[Pair]:
        return self.kit.output(topic)

    async def committed(self, topic: str) -> dict[int, tuple[int, Ledger]]:
        kit = self.kit
        return {index: (kit.committed(topic, index), kit.ledger(topic, index)) for index in range(PARTITIONS)}

    async def until(self, condition: Callable[[], Awaitable[bool]]) -> None:
        waited = 0.0
        while not await condition():
            assert waited < KIT_SECONDS, "the condition did not come true"
            await self.kit.advance(0.05)
            waited += 0.05

    async def restart(self, *, orderly: bool = True) -> None:
        await self.kit.restart(orderly=orderly, within=0)

    async def rebalance(self) -> None:
        await self.kit.rebalance(within=0)

    async def fence(self, partition: int) -> None:
        self.kit.fence(partition)

    def too_large(self, topic: str, limit: int) -> Fault:
        return self.kit.too_large(topic, limit)


class KafkaStages:
    """On a real broker."""

    def __init__(self, bootstrap: str, directory: Path) -> None:
        self.bench = Bench(bootstrap, str(directory))

    def topic(self, name: str) -> str:
        return self.bench.topic(name)

    def app(self, stage: str, **options: Any) -> StageApp:
        return self.bench.app(stage, **options)

    @contextlib.asynccontextmanager
    async def running(
        self, make: MakeApp, *, topics: Sequence[str], tables: Sequence[str] = ()
    ) -> AsyncIterator[Stage]:
        await self.bench.create(*topics)
        stage = KafkaStage(self.bench, lambda: make(self))
        if tables:
            await self.bench.create(*(f"{stage.name}-{table}-changelog" for table in tables), compact=True)
        await stage.start()
        try:
            yield stage
        finally:
            await stage.stop()


class KafkaStage:
    """A stage on a real broker."""

    def __init__(self, bench: Bench, make: Callable[[], StageApp]) -> None:
        self.bench = bench
        self.faults = Faults()
        self._make = make
        self._app = make()
        self._life = contextlib.AsyncExitStack()

    @property
    def app(self) -> StageApp:
        return self._app

    @property
    def name(self) -> str:
        """The stage as the bench knows it."""
        return str(self._app.conf.id).removeprefix(self.bench.topic(""))

    async def start(self) -> None:
        slots: Any = self._app.slots
        real = slots.new_producer
        slots.new_producer = lambda index: self.faults.wrap(real(index))
        await self._life.enter_async_context(running(self._app))

    async def stop(self) -> None:
        await self._life.aclose()

    async def feed(self, topic: str, records: Iterable[tuple[bytes, bytes]], *, aborted: bool = False) -> None:
        if not aborted:
            await self.bench.put(topic, records)
            return
        name = self.bench.topic(topic)
        async with AIOKafkaProducer(bootstrap_servers=self.bench.bootstrap, transactional_id=f"{name}-feed") as source:
            await source.begin_transaction()
            for key, value in records:
                await source.send_and_wait(name, value, key=key, partition=partition_of(key, PARTITIONS))
            await source.abort_transaction()

    async def output(self, topic: str) -> list[Pair]:
        return [(record.key, record.value) for record in await self.bench.read(topic)]

    async def committed(self, topic: str) -> dict[int, tuple[int, Ledger]]:
        return await self.bench.committed(self.name, topic)

    async def until(self, condition: Callable[[], Awaitable[bool]]) -> None:
        await eventually(condition)

    async def restart(self, *, orderly: bool = True) -> None:
        if not orderly:
            self.faults.cut()
        await self.stop()
        self._app = self._make()
        await self.start()

    async def rebalance(self) -> None:
        app, before = self._app, self._app.slots.generation
        await app.consumer._thread.call(app.consumer._thread.rejoin)

        async def joined() -> bool:
            return app.ready and app.slots.generation != before

        await eventually(joined)

    async def fence(self, partition: int) -> None:
        other = type(self._app.slots).new_producer(self._app.slots, partition)
        await other.start()
        await other.stop()

    def too_large(self, topic: str, limit: int) -> Fault:
        return self.faults.too_large(self.bench.topic(topic), limit)


def bury_unseen_errors() -> None:
    """aiokafka never looks at the failed transaction of a fenced producer, and asyncio tells so with a traceback when
    that is collected. While pytest parses a file, Python 3.11 ends over it (`SystemError: AST constructor recursion
    depth mismatch`). So it happens here, at the end of a module."""
    gc.collect()


KINDS = ("kit", "kafka")


def stages_of(kind: str, request: pytest.FixtureRequest, directory: Path) -> Stages:
    """The implementation of that kind; a Kafka is started for its own only."""
    return KitStages() if kind == "kit" else KafkaStages(request.getfixturevalue("kafka_bootstrap"), directory)
