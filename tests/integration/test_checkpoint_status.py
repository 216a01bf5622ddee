"""What `cdc checkpoint status` sees of a bridge at work, and of one that has stopped."""

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from sandbox.world import World
from tests.integration.bridging import Stream, own_stream
from tests.integration.stage import eventually, running
from workers.app import make_bridge
from workers.cli.checkpoint import checkpoint


@pytest.fixture
def stream(world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Stream:
    return own_stream(world, monkeypatch, tmp_path, f"positions{time.time_ns() % 10**9}", CDC_SOURCE_SLOTS="8")


async def status(*arguments: str) -> Result:
    """In a thread: the command runs a loop of its own."""
    return await asyncio.to_thread(CliRunner().invoke, checkpoint, ["status", *arguments])


async def document(*arguments: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((await status("--output", "json", *arguments)).stdout)
    return found


async def test_a_shard_is_shown_with_the_worker_that_holds_its_slot(stream: Stream) -> None:
    stream.put(2)
    settings = stream.settings.model_copy(update={"worker_name": "pod-7"})
    async with running(make_bridge(settings)):
        await eventually(stream.arrived)
        found = await document()
    assert found["members"] == ["pod-7"]
    (source,) = found["sources"]
    assert [(shard["state"], shard["owner"], shard["listed"]) for shard in source["shards"]] == [
        ("READING", "pod-7", True)
    ] * 2
    assert sum(shard["records"] for shard in source["shards"]) == stream.count
    assert all(shard["shareOfRetention"] < 0.1 for shard in source["shards"])
    assert source["boot"]["start"] == "TRIM_HORIZON"


async def test_a_child_of_a_closed_shard_waits_while_nobody_reads(stream: Stream) -> None:
    stream.put()
    async with running(make_bridge(stream.settings)):
        await eventually(stream.arrived)
    stream.split()
    ended = await status()
    assert ended.exit_code == 0, ended.output
    states = sorted(shard["state"] for shard in (await document())["sources"][0]["shards"])
    assert states == ["BLOCKED", "BLOCKED", "IDLE", "IDLE"]
    assert f"{stream.shards()[0]['ShardId']} (waits)" in ended.stdout


async def test_without_aws_what_kafka_knows_is_shown_and_said_to_be_a_part(
    stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream.put()
    async with running(make_bridge(stream.settings)):
        await eventually(stream.arrived)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    ended = await status()
    assert ended.exit_code == 7
    assert "AWS did not tell (EndpointConnectionError)" in ended.stderr
    assert ended.stdout.count("IDLE") == 2
