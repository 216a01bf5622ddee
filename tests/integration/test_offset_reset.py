"""Offsets of enrich and publish that are set by hand: the ledger says what it counts, and tables are not lost."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from sandbox.world import World
from tests.integration.pipeline import PARTITIONS, Pipeline, user
from tests.integration.stage import eventually, running
from tests.journey.traffic import Outside
from workers.app import make_enrich, make_publish
from workers.cli.checkpoint import checkpoint
from workers.cli.status import status
from workers.failures import ExitCode, RefusedError

USERS = 20


@pytest.fixture
def pipeline(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    return Pipeline(world, tmp_path, monkeypatch)


async def worked(pipeline: Pipeline) -> None:
    await pipeline.make_topics()
    await pipeline.put(pipeline.raw, [user(number) for number in range(USERS)])
    async with running(make_enrich(pipeline.settings)):
        await pipeline.has_read("enrich", pipeline.raw, USERS)


async def cdc(*arguments: str) -> Result:
    """In a thread: the command runs a loop of its own."""
    return await asyncio.to_thread(CliRunner().invoke, checkpoint, arguments)


async def events(pipeline: Pipeline) -> list[str]:
    """Ids, in the order of the topic."""
    found: list[str] = [json.loads(record.value)["eventId"] for record in await pipeline.read(pipeline.topics.events)]
    return found


async def test_a_stage_that_is_set_to_the_start_brings_the_same_events_again_and_counts_from_there(
    pipeline: Pipeline,
) -> None:
    await worked(pipeline)
    before, ids = await pipeline.offsets("enrich", pipeline.raw), await events(pipeline)
    ended = await cdc("reset", "--stage", "enrich", "--to-start", "--yes")
    assert ended.exit_code == 0, (ended.output, ended.exception)
    for index, (offset, ledger) in (await pipeline.offsets("enrich", pipeline.raw)).items():
        assert (offset, ledger.since, ledger.counts) == (0, 0, {})
        assert ledger.changelogs == before[index][1].changelogs
        assert ledger.changelogs

    async with running(make_enrich(pipeline.settings)):
        await eventually(lambda: again(pipeline, 2 * USERS))
    assert sorted(await events(pipeline)) == sorted(2 * ids)
    after = await pipeline.offsets("enrich", pipeline.raw)
    assert sum(ledger.counts["in"] for _, ledger in after.values()) == USERS


async def again(pipeline: Pipeline, count: int) -> bool:
    return len(await events(pipeline)) >= count


async def test_an_audit_finds_what_came_again_and_the_next_one_since_it_is_sound(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    await worked(pipeline)
    assert (await cdc("reset", "--stage", "enrich", "--to-start", "--yes")).exit_code == 0
    assert (await audit()).exit_code == 0
    async with running(make_enrich(pipeline.settings)):
        await eventually(lambda: again(pipeline, 2 * USERS))
    found = await audit()
    assert found.exit_code == ExitCode.ERROR
    assert {line["verdict"] for line in json.loads(found.stdout)["lines"]} == {"BROKEN"}
    (tmp_path / "after.json").write_text(found.stdout)
    await pipeline.put(pipeline.raw, [user(number, UserName="later") for number in range(USERS)])
    async with running(make_enrich(pipeline.settings)):
        await eventually(lambda: again(pipeline, 3 * USERS))
    assert (await audit("--since", str(tmp_path / "after.json"))).exit_code == 0


async def audit(*arguments: str) -> Result:
    options = ["--audit", "--stage", "enrich", "--output", "json", *arguments]
    return await asyncio.to_thread(CliRunner().invoke, status, options)


async def test_a_single_partition_is_set_and_its_neighbour_stays(pipeline: Pipeline) -> None:
    await worked(pipeline)
    before = await pipeline.offsets("enrich", pipeline.raw)
    assert (await cdc("reset", "--stage", "enrich", "--offset", "1=2", "--yes")).exit_code == 0
    after = await pipeline.offsets("enrich", pipeline.raw)
    assert after[0] == before[0]
    assert (after[1][0], after[1][1].since) == (2, 2)


async def test_a_stage_that_skips_to_the_end_reads_nothing_of_what_was_there(pipeline: Pipeline) -> None:
    await worked(pipeline)
    await pipeline.put(pipeline.raw, [user(number, UserName="skipped") for number in range(USERS)])
    assert (await cdc("reset", "--stage", "enrich", "--to-end", "--yes")).exit_code == 0
    found = await document("status", "--stage", "enrich")
    assert [(row["lag"], row["since"] == row["offset"]) for row in found["partitions"]] == [(0, True)] * PARTITIONS


async def test_a_time_is_the_first_record_that_came_then(pipeline: Pipeline) -> None:
    await worked(pipeline)
    for time, expected in (("2020-01-01", "start"), ("2100-01-01", "end")):
        found = await document("reset", "--stage", "enrich", "--at-time", time, "--dry-run")
        assert [row["target"] for row in found["partitions"]] == [row[expected] for row in found["partitions"]]


async def document(*arguments: str) -> dict[str, Any]:
    ended = await cdc(*arguments, "--output", "json")
    assert ended.exit_code == 0, (ended.output, ended.exception)
    found: dict[str, Any] = json.loads(ended.stdout)
    return found


async def test_nothing_is_set_while_a_worker_runs_or_without_yes_or_outside_of_the_log(pipeline: Pipeline) -> None:
    await worked(pipeline)
    before = await pipeline.offsets("enrich", pipeline.raw)
    async with running(make_enrich(pipeline.settings)):
        ended = await cdc("reset", "--stage", "enrich", "--to-start", "--yes")
        assert isinstance(ended.exception, RefusedError)
        assert "are running" in str(ended.exception)
    for arguments, why in ((["--to-start"], "would be set"), (["--offset", "0=100000", "--yes"], "holds the offsets")):
        ended = await cdc("reset", "--stage", "enrich", *arguments)
        assert isinstance(ended.exception, RefusedError)
        assert why in str(ended.exception)
    assert await pipeline.offsets("enrich", pipeline.raw) == before


async def test_options_of_the_stream_are_none_of_a_stage(pipeline: Pipeline) -> None:
    assert (await cdc("reset", "--stage", "enrich", "--latest", "--yes")).exit_code == ExitCode.USAGE
    assert (await cdc("reset", "--to-start", "--yes")).exit_code == ExitCode.USAGE


async def test_a_stage_that_has_no_offsets_has_no_position(pipeline: Pipeline) -> None:
    await pipeline.make_topics()
    ended = await cdc("status", "--stage", "publish")
    assert ended.exit_code == ExitCode.PARTIAL
    assert "no position in the log: 0, 1" in ended.stderr


class Bus:
    """What consumers behind the bus receive."""

    def __init__(self, pipeline: Pipeline) -> None:
        outside = Outside(pipeline.environment)
        self.url = outside.make(shards=1)
        self.sqs = outside.client("sqs")

    def bodies(self) -> list[str]:
        """The details that came since the last look, as they are."""
        found: list[str] = []
        while messages := self.sqs.receive_message(QueueUrl=self.url, MaxNumberOfMessages=10).get("Messages", []):
            for message in messages:
                found.append(json.dumps(json.loads(message["Body"])["detail"]))
                self.sqs.delete_message(QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])
        return found


async def published(pipeline: Pipeline, inputs: int) -> None:
    """The publish stage works until its ledgers count so many."""
    async with running(make_publish(pipeline.settings)):
        await pipeline.has_read("publish", pipeline.topics.events, inputs)


async def test_publish_that_is_set_to_the_start_sends_the_same_bytes_again_and_then_goes_on(
    pipeline: Pipeline,
) -> None:
    await worked(pipeline)
    bus = await asyncio.to_thread(Bus, pipeline)
    await published(pipeline, USERS)
    first = await asyncio.to_thread(bus.bodies)
    assert len(first) == USERS
    ended = await cdc("reset", "--stage", "publish", "--to-start", "--yes")
    assert ended.exit_code == 0, (ended.output, ended.exception)
    offsets = await pipeline.offsets("publish", pipeline.topics.events)
    assert {(offset, ledger.since, sum(ledger.counts.values())) for offset, ledger in offsets.values()} == {(0, 0, 0)}
    await published(pipeline, USERS)
    assert sorted(await asyncio.to_thread(bus.bodies)) == sorted(first)
    assert len(await pipeline.read(pipeline.topics.receipts)) == 2 * USERS


async def test_publish_that_skips_to_the_end_sends_nothing_of_what_was_there(pipeline: Pipeline) -> None:
    await worked(pipeline)
    bus = await asyncio.to_thread(Bus, pipeline)
    await published(pipeline, USERS)
    await asyncio.to_thread(bus.bodies)
    await pipeline.put(pipeline.raw, [user(number, "update", UserName="skipped") for number in range(USERS)])
    async with running(make_enrich(pipeline.settings)):
        await pipeline.has_read("enrich", pipeline.raw, 2 * USERS)
    assert (await cdc("reset", "--stage", "publish", "--to-end", "--yes")).exit_code == 0
    await pipeline.put(pipeline.raw, [user(number, "update", UserName="later") for number in range(USERS)])
    async with running(make_enrich(pipeline.settings)):
        await pipeline.has_read("enrich", pipeline.raw, 3 * USERS)
    await published(pipeline, USERS)
    assert len(await asyncio.to_thread(bus.bodies)) == USERS


async def test_publish_is_not_set_while_a_worker_runs(pipeline: Pipeline) -> None:
    await worked(pipeline)
    await asyncio.to_thread(Bus, pipeline)
    async with running(make_publish(pipeline.settings)):
        await pipeline.has_read("publish", pipeline.topics.events, USERS)
        before = await pipeline.offsets("publish", pipeline.topics.events)
        ended = await cdc("reset", "--stage", "publish", "--to-start", "--yes")
        assert isinstance(ended.exception, RefusedError)
        assert "are running" in str(ended.exception)
    assert await pipeline.offsets("publish", pipeline.topics.events) == before
