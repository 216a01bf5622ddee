"""Offsets of enrich are set by hand for one of several sources alone, or for all."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from sandbox.world import World
from tests.integration.pipeline import PARTITIONS, user
from tests.integration.stage import eventually, running
from tests.integration.two_sources import SECOND, TwoSources
from workers.app import make_enrich
from workers.cli.checkpoint import checkpoint
from workers.failures import ExitCode, NotFoundError

USERS, MORE = 20, 30


@pytest.fixture
def pipeline(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TwoSources:
    return TwoSources(world, tmp_path, monkeypatch)


async def worked(pipeline: TwoSources) -> None:
    await pipeline.make_topics()
    await pipeline.put(pipeline.raw, [user(number) for number in range(USERS)])
    await pipeline.put(pipeline.second, [user(1000 + number) for number in range(MORE)])
    async with running(make_enrich(pipeline.settings)):
        await pipeline.has_read_both(USERS, MORE)


async def cdc(*arguments: str) -> Result:
    """In a thread: the command runs a loop of its own."""
    return await asyncio.to_thread(CliRunner().invoke, checkpoint, arguments)


async def offsets(pipeline: TwoSources, topic: str) -> dict[int, int]:
    return {index: offset for index, (offset, _) in (await pipeline.offsets("enrich", topic)).items()}


async def test_one_source_is_set_to_its_start_and_the_other_stays(pipeline: TwoSources) -> None:
    await worked(pipeline)
    before = await pipeline.offsets("enrich", pipeline.raw)
    ended = await cdc("reset", "--stage", "enrich", "--source", SECOND, "--to-start", "--yes")
    assert ended.exit_code == 0, (ended.output, ended.exception)
    assert await pipeline.offsets("enrich", pipeline.raw) == before
    assert await offsets(pipeline, pipeline.second) == dict.fromkeys(range(PARTITIONS), 0)


async def test_only_events_of_the_source_that_was_set_come_again(pipeline: TwoSources) -> None:
    await worked(pipeline)
    assert (await cdc("reset", "--stage", "enrich", "--source", SECOND, "--to-start", "--yes")).exit_code == 0

    async def again() -> bool:
        return len(await pipeline.read(pipeline.topics.events)) >= USERS + 2 * MORE

    async with running(make_enrich(pipeline.settings)):
        await eventually(again)
    told = [dict(event.headers)["cdc-source"] for event in await pipeline.read(pipeline.topics.events)]
    assert (told.count(b"core"), told.count(SECOND.encode())) == (USERS, 2 * MORE)


async def test_without_a_source_all_of_them_are_set(pipeline: TwoSources) -> None:
    await worked(pipeline)
    assert (await cdc("reset", "--stage", "enrich", "--to-start", "--yes")).exit_code == 0
    for topic in (pipeline.raw, pipeline.second):
        assert await offsets(pipeline, topic) == dict.fromkeys(range(PARTITIONS), 0)


async def test_an_offset_of_a_partition_needs_its_source(pipeline: TwoSources) -> None:
    await worked(pipeline)
    before = await offsets(pipeline, pipeline.raw)
    ended = await cdc("reset", "--stage", "enrich", "--offset", "1=2", "--yes")
    assert ended.exit_code == ExitCode.USAGE
    assert "choose one with --source: core, orders" in ended.stderr
    ended = await cdc("reset", "--stage", "enrich", "--source", SECOND, "--offset", "1=2", "--yes")
    assert ended.exit_code == 0, (ended.output, ended.exception)
    assert (await offsets(pipeline, pipeline.second))[1] == 2
    assert await offsets(pipeline, pipeline.raw) == before


async def test_a_source_that_does_not_exist_is_told_with_one_like_it(pipeline: TwoSources) -> None:
    await pipeline.make_topics()
    ended = await cdc("status", "--stage", "enrich", "--source", "order")
    assert isinstance(ended.exception, NotFoundError)
    assert ended.exception.hint == "did you mean orders?"


async def test_the_events_are_those_of_all_sources(pipeline: TwoSources) -> None:
    await pipeline.make_topics()
    assert (await cdc("status", "--stage", "publish", "--source", SECOND)).exit_code == ExitCode.USAGE


async def test_rows_tell_their_topics(pipeline: TwoSources) -> None:
    await worked(pipeline)
    found = await document("status", "--stage", "enrich")
    topics = [pipeline.raw, pipeline.second]
    assert found["topics"] == topics
    assert [row["topic"] for row in found["partitions"]] == [topic for topic in topics for _ in range(PARTITIONS)]
    found = await document("status", "--stage", "enrich", "--source", SECOND)
    assert {row["topic"] for row in found["partitions"]} == {pipeline.second}


async def document(*arguments: str) -> dict[str, Any]:
    ended = await cdc(*arguments, "--output", "json")
    assert ended.exit_code == 0, (ended.output, ended.exception)
    found: dict[str, Any] = json.loads(ended.stdout)
    return found


async def test_a_partition_without_a_position_is_named_with_its_topic(pipeline: TwoSources) -> None:
    await pipeline.make_topics()
    ended = await cdc("status", "--stage", "enrich")
    assert ended.exit_code == ExitCode.PARTIAL
    assert f"{pipeline.second}/1" in ended.stderr
