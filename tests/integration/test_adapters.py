"""The traffic of every adapter through bridge and enrich, on real Kafka: each record ends as the generator says."""

import asyncio
import contextlib
import json
import time
from pathlib import Path

import pytest

from models.dead_letter import DeadLetter
from models.source_spec import ADAPTERS, Adapter
from sandbox.generator.ledger import Ending, SourceChange
from sandbox.generator.sender import Sender
from sandbox.generator.traffic import Traffic
from sandbox.kafka_view import KEY_MOVED
from sandbox.verdict import Checker, Verdict
from sandbox.world import World
from tests.integration.pipeline import PARTITIONS, Pipeline
from tests.integration.stage import eventually, running
from workers.app import make_bridge, make_enrich
from workers.engine.ledger import DROP
from workers.settings.worker import load_settings

CHANGES = 240


class Run:
    """A pipeline of its own for one adapter, and the traffic it gets."""

    def __init__(self, world: World, directory: Path, monkeypatch: pytest.MonkeyPatch, adapter: Adapter) -> None:
        directory.mkdir()
        sources = directory / "sources.yaml"
        monkeypatch.delenv("CDC_SOURCES", raising=False)
        pipeline = Pipeline(world, directory, monkeypatch)
        stream = pipeline.environment["KINESIS_STREAM_NAME"]
        source = {"name": "core", "stream": stream, "adapter": adapter}
        sources.write_text(json.dumps({"version": 1, "sources": [source]}))
        monkeypatch.setenv("CDC_SOURCES", str(sources))
        pipeline.settings = load_settings()
        outside = pipeline.outside()
        self.kinesis = outside.client("kinesis")
        self.pipeline, self.adapter, self.stream = pipeline, adapter, stream
        traffic = Traffic(11, CHANGES, partitions=PARTITIONS, adapter=adapter)
        self.checker = Checker(traffic.canaries)
        self.changes = list(traffic)

    async def send(self, changes: list[SourceChange]) -> None:
        """Put them, as a source does, and wait until enrich has read all that was put until now."""
        sender = Sender(self.kinesis, self.stream, iter(changes), self.checker.put, rate=None)
        sender.start()

        async def sent() -> bool:
            return not sender.running

        await eventually(sent)
        assert sender.error is None

        async def read() -> bool:
            counts = await self.counts()
            return counts.get("in", 0) - counts.get(DROP + KEY_MOVED, 0) >= self.checker.seen["sent"]

        await eventually(read)

    async def counts(self) -> dict[str, int]:
        """What the ledgers of enrich say."""
        found: dict[str, int] = {}
        for _, ledger in (await self.pipeline.offsets("enrich", self.pipeline.raw)).values():
            for name, count in ledger.counts.items():
                found[name] = found.get(name, 0) + count
        return found

    async def verdict(self) -> Verdict:
        """Of what stands in the topics."""
        for record in await self.pipeline.read(self.pipeline.topics.events):
            self.checker.event(json.loads(record.value), record.value.decode(), time.monotonic())
        for record in await self.pipeline.read(self.pipeline.topics.dead):
            letter = DeadLetter.from_headers(record.headers)
            self.checker.dead_letter(letter.shard, letter.sequence, letter.code.value, letter.message)
        drops = {name.removeprefix(DROP): n for name, n in (await self.counts()).items() if name.startswith(DROP)}
        drops.pop(KEY_MOVED, None)
        self.checker.filtered(drops)
        return self.checker.verdict()


async def test_records_of_every_adapter_end_as_they_should(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = [Run(world, tmp_path / adapter, monkeypatch, adapter) for adapter in ADAPTERS]
    await asyncio.gather(*(run.pipeline.make_topics() for run in runs))
    async with contextlib.AsyncExitStack() as stack:
        apps = [make(run.pipeline.settings) for run in runs for make in (make_bridge, make_enrich)]
        await stack.enter_async_context(running(*apps))
        for there in (True, False):  # what is referred to first, so that nobody waits for it
            parts = [[change for change in run.changes if change.kind.endswith(" load") is there] for run in runs]
            await asyncio.gather(*(run.send(part) for run, part in zip(runs, parts, strict=True)))
    for run in runs:
        verdict = await run.verdict()
        assert verdict.passed, (run.adapter, verdict.problems)
        assert run.checker.ownerless == 0, run.adapter
        published = sum(change.ending is Ending.PUBLISHED for change in run.changes)
        assert (verdict.sent, verdict.published, verdict.redelivered) == (CHANGES, published, 0), run.adapter
