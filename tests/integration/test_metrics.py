"""What Prometheus gets from a bridge that is throttled, has lost something, and met a broken aggregate."""

import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, cast

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from sandbox.generator.aggregates import aggregated, sealed
from sandbox.ports import free_ports
from sandbox.world import World
from tests.integration.bridging import change
from tests.integration.hostile import Hostile, hostile
from tests.integration.stage import eventually
from workers.engine.app import StageApp
from workers.engine.stages import Stage
from workers.settings.web import LOOPBACK
from workers.settings.worker import load_settings
from workers.web.server import WebServer

HALF = 1 << 127


@pytest.fixture
def kinesis(world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hostile]:
    with hostile(world, monkeypatch, tmp_path) as found:
        yield found


class Scrapes:
    """A worker's web server, asked as Prometheus does."""

    def __init__(self, url: str) -> None:
        self.url = url

    async def text(self) -> str:
        async with aiohttp.ClientSession() as http, http.get(self.url) as answer:
            assert answer.status == 200
            return await answer.text()

    async def value(self, name: str, **labels: str) -> float | None:
        """Of the one series that has these labels among its own; None if there is none."""
        found = [
            sample.value
            for family in text_string_to_metric_families(await self.text())
            for sample in family.samples
            if sample.name == f"cdc_{name}" and labels.items() <= sample.labels.items()
        ]
        assert len(found) <= 1
        return found[0] if found else None

    async def becomes(self, wanted: float | None, name: str, **labels: str) -> None:
        """Wait until a series has a value, or is gone."""

        async def there() -> bool:
            return await self.value(name, **labels) == wanted

        await eventually(there)


@contextlib.asynccontextmanager
async def served(app: StageApp) -> AsyncIterator[Scrapes]:
    stage = Stage("bridge", lambda: app, cast("Any", None))
    stage.app = app
    [port] = free_ports(1)
    server = WebServer([stage], load_settings(env_file=None), "served", port)
    await server.start()
    try:
        yield Scrapes(f"http://{LOOPBACK}:{port}/metrics")
    finally:
        await server.stop()


async def test_a_throttled_shard_a_gap_and_a_broken_aggregate_are_counted(kinesis: Hostile) -> None:
    stream, name = kinesis.stream, kinesis.stream.name
    stopped, read = kinesis.shard(0), kinesis.shard(1)
    stream.put()
    async with kinesis.bridge():
        await eventually(stream.arrived)
    before = {checkpoint.shard: checkpoint.records for checkpoint in (await stream.checkpoints()).values()}
    stream.put()
    assert kinesis.control.trim(name, stopped)[stopped]
    stream.put()
    async with kinesis.bridge(wait_ready=False) as app, served(app) as metrics:
        await metrics.becomes(1, "source_stopped", shard=stopped)
        throttles = kinesis.control.fault("throttle", "GetRecords", stream=name, shard=read, times=4)
        refusals = kinesis.control.fault("access_denied", "GetRecords", stream=name, shard=read, times=2)
        for data in (aggregated([("a", b"1", HALF), ("b", b"2", HALF)]), sealed(b"\x0b")):
            stream.kinesis.put_record(StreamName=name, PartitionKey="k", Data=data, ExplicitHashKey=str(HALF))
        await kinesis.struck(throttles, 4)
        await kinesis.struck(refusals, 2)
        await metrics.becomes(1, "source_kpl_failures_total", source="core")
        shards = {"source": "core", "shard": read}
        assert await metrics.value("source_throttles_total", **shards) == 4
        assert await metrics.value("source_errors_total", **shards, code="ProvisionedThroughputExceededException") == 4
        assert await metrics.value("source_errors_total", **shards, code="AccessDeniedException") == 2
        assert await metrics.value("source_records_total", **shards) == 3 * before[read] + 3
        assert await metrics.value("source_stopped", **shards) == 0
        assert await metrics.value("gaps_total", stage="bridge") == 1
        assert await metrics.value("stage_ready", stage="bridge") == 0
        await metrics.becomes(2 * before[read] + 3, "txn_records_total", stage="bridge")
        assert (await metrics.value("txn_seconds_count", stage="bridge") or 0) >= 2
        assert await metrics.value("fenced_total", stage="bridge") == 0
        kinesis.later(1)

        async def an_hour_behind() -> bool:
            return (await metrics.value("source_seconds_behind", source="core", shard=stopped) or 0) > 3_600

        await eventually(an_hour_behind)
        text = await metrics.text()
    assert "row-" not in text
    assert change(1, 0).decode()[:30] not in text


async def test_a_child_is_blocked_until_its_parent_ends_and_an_ended_shard_has_no_series(kinesis: Hostile) -> None:
    stream, name = kinesis.stream, kinesis.stream.name
    parent = kinesis.shard(0)
    stream.put()
    async with kinesis.bridge() as app, served(app) as metrics:
        await eventually(stream.arrived)
        fault = kinesis.control.fault("throttle", "GetRecords", stream=name, shard=parent)
        await kinesis.struck(fault)
        stream.split()
        child = kinesis.shard(0)
        await metrics.becomes(1, "source_blocked_on_parents", source="core", shard=child)
        assert await metrics.value("source_blocked_on_parents", source="core", shard=parent) == 0
        kinesis.control.remove_fault(fault)
        await metrics.becomes(0, "source_blocked_on_parents", source="core", shard=child)
        await metrics.becomes(None, "source_seconds_behind", source="core", shard=parent)
        await metrics.becomes(None, "source_blocked_on_parents", source="core", shard=parent)
