"""Units of the bridge on a broker in memory: how much goes into one."""

import asyncio
from collections.abc import AsyncIterator
from typing import cast

from enrichers.routing import Router
from models.catalogue import Catalogue
from models.shard import Shard
from models.start_position import StartAt
from sandbox.generator.aggregates import aggregated
from tests.contract.stages import KitStages
from workers.aws.client import IRequester
from workers.engine.app import StageApp
from workers.engine.slot import Slot
from workers.engine.testing import StageKit
from workers.kafka.topics import Topics
from workers.kinesis.budget import Budget
from workers.kinesis.cursor import Part, ShardCursor
from workers.kinesis.directory import ShardDirectory
from workers.kinesis.forwarding import Destination
from workers.kinesis.intake import Intake
from workers.kinesis.lineage import TRIM_HORIZON, Begin
from workers.kinesis.pages import Record
from workers.kinesis.reader import ReadOptions, ShardReader
from workers.kinesis.source import Bridge, Source
from workers.kinesis.transactions import Transactions

KEY = ("arn:aws:kinesis:us-east-1:0:stream/s", "shard")
USERS = aggregated([(f"k{n}", b"", None) for n in range(200)])
PARTS = 5
SHARD = Shard(KEY[1], 0, (1 << 128) - 1)


class Reader:
    """Hands on parts with one aggregate each."""

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self.cursor = ShardCursor(SHARD, Begin(TRIM_HORIZON))

    async def parts(self) -> AsyncIterator[Part]:
        for number in range(PARTS):
            await self.budget.reserve(len(USERS))
            record = Record(str(number), USERS, "k", 1.0)
            yield Part(SHARD, (record,), len(USERS), None, 0)
        await asyncio.Event().wait()


async def test_aggregates_that_fill_a_transaction_leave_the_rest_to_the_next_one() -> None:
    topics = Topics("config", "slots", "checkpoints", {"core": "raw"}, "events", "dead", "receipts")
    to = Destination("core", "raw", 2, topics.checkpoints, topics.dead, Router(Catalogue(())))
    directory = ShardDirectory(None, "s", 2)  # type: ignore[arg-type]
    source = Source("core", cast("IRequester", None), directory, StartAt("TRIM_HORIZON"), to)
    bridge = Bridge((source,), cast("ReadOptions", None), topics, 2, Budget(1 << 30), "stop", lambda: 0)

    def make() -> StageApp:
        app = KitStages().app("pull", output_bytes=20_000)

        @app.slot_task("slots")
        async def pull(slot: Slot, stopping: asyncio.Event) -> None:
            if slot.index:
                await stopping.wait()
                return
            intake = Intake(bridge.budget, stopping)
            intake.add(KEY, source, cast("ShardReader", Reader(bridge.budget)))
            transactions = Transactions(app, bridge, slot)
            while not stopping.is_set():
                await intake.wait(1, 0.1)
                assert await transactions.commit(intake)
            await intake.close()

        return app

    async with StageKit(make) as kit:
        await kit.advance(10)
        stats = kit.app.slots.stats
        assert stats.inputs == PARTS * 200
        assert stats.units == PARTS
        assert len(kit.output("raw")) == PARTS * 200
    assert bridge.budget.used == 0
