"""The trails of records that `cdc dlq import` took out of a queue: all of them claim one place of raw."""

import asyncio
import json
from pathlib import Path
from typing import Any

import boto3
import click
import pytest
from click.testing import CliRunner

from sandbox.world import World
from tests.integration.pipeline import Pipeline, user
from tests.integration.stage import eventually, running
from workers.app import make_enrich, make_publish
from workers.cli.dlq import dlq
from workers.cli.trace import trace

ROWS, NEW, KNOWN, LOADED, BAD = 8, 20, 0, 30, 40
"""Rows of raw 0 to 7; in the queue: two new rows, a change that raw holds, one of a full load, one of a wrong type."""


@pytest.fixture
async def pipeline(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    for name, value in world.environment().items():
        monkeypatch.setenv(name, value)
    made = Pipeline(world, tmp_path, monkeypatch)
    made.make_bus()
    await made.make_topics()
    return made


async def cdc(command: click.Command, *arguments: str) -> dict[str, Any]:
    """What it prints. In a thread: it runs a loop of its own."""
    ended = await asyncio.to_thread(CliRunner().invoke, command, [*arguments, "--output", "json"])
    assert ended.exit_code == 0, (ended.output, ended.exception)
    found: dict[str, Any] = json.loads(ended.stdout)
    return found


async def traced(asked: str) -> dict[str, Any]:
    (found,) = (await cdc(trace, asked))["trails"]
    return dict(found)


def told(trail: dict[str, Any]) -> tuple[str, str, list[str]]:
    return trail["ending"], trail["entity"], [hop["hop"] for hop in trail["hops"]]


async def imported(pipeline: Pipeline, rows: dict[int, bytes]) -> dict[int, str]:
    """The letters that they became, by the numbers of their rows."""
    queue = boto3.client("sqs").create_queue(QueueName=f"lambda-{id(pipeline)}")["QueueUrl"]
    for body in rows.values():
        boto3.client("sqs").send_message(QueueUrl=queue, MessageBody=body.decode())
    await cdc(dlq, "import", "--sqs", queue, "--yes")
    numbers = {body: number for number, body in rows.items()}
    letters = await pipeline.read(pipeline.topics.dead)
    return {numbers[letter.value]: f"{letter.partition}:{letter.offset}" for letter in letters}


async def test_each_imported_record_has_a_trail_of_its_own_from_its_letter_to_the_bus(pipeline: Pipeline) -> None:
    await pipeline.put(pipeline.raw, [user(n) for n in range(ROWS)])
    made = (NEW, NEW + 1, KNOWN)
    rows = {number: user(number)[1] for number in made} | {LOADED: user(LOADED, "load")[1]}
    letters = await imported(pipeline, rows | {BAD: user(BAD, HomeOrgID="office")[1]})
    for number in rows:
        assert told(await traced(letters[number])) == ("dead", f"users:{number}", ["commit", "dead letter"])
    assert told(await traced(letters[BAD])) == ("dead", f"users:{BAD}", ["dead letter"])
    async with running(make_enrich(pipeline.settings)):
        await pipeline.has_read("enrich", pipeline.raw, ROWS)
        assert told(await traced(f"users:{KNOWN}")) == ("waiting", f"users:{KNOWN}", ["commit", "raw", "event"])
        await cdc(dlq, "redrive", "--yes")
        await pipeline.has_read("enrich", pipeline.topics.redrive["enrich"], len(letters))

    back = ["commit", "dead letter", "redriven", "again"]
    for number in made:
        trail = await traced(letters[number])
        ending, entity, hops = told(trail)
        assert (ending, entity, sorted(hops)) == ("waiting", f"users:{number}", sorted([*back, "event"]))
        if number != KNOWN:  # whose change has a trail of its own
            assert await traced(trail["eventId"]) == trail
        assert await traced(next(hop["place"] for hop in trail["hops"] if hop["hop"] == "event")) == trail
        assert await traced(next(hop["place"] for hop in trail["hops"] if hop["hop"] == "again")) == trail
    dropped = await traced(letters[LOADED])
    ending, entity, hops = told(dropped)
    assert (ending, entity, sorted(hops), hops[-1]) == (
        "dropped",
        f"users:{LOADED}",
        sorted([*back, "enrich"]),
        "enrich",
    )
    assert "(snapshot)" in dropped["hops"][-1]["text"]
    failed = await traced(letters[BAD])
    assert (failed["ending"], [hop["hop"] for hop in failed["hops"]].count("dead letter")) == ("dead", 2)
    later = next(hop["letter"] for hop in reversed(failed["hops"]) if hop["hop"] == "dead letter")
    assert later in failed["told"]
    assert await traced(later) == failed

    async with running(make_publish(pipeline.settings)):

        async def all_are_published() -> bool:
            return len(await pipeline.read(pipeline.topics.receipts)) == ROWS + len(made)

        await eventually(all_are_published)
    assert told(await traced(letters[NEW]))[0] == "delivered"


async def test_the_first_record_of_a_raw_topic_has_nothing_of_those_out_of_a_queue(pipeline: Pipeline) -> None:
    await pipeline.put(pipeline.raw, [user(n) for n in range(ROWS)])
    await imported(pipeline, {number: user(number)[1] for number in range(NEW, NEW + ROWS)})
    await cdc(dlq, "redrive", "--yes")
    async with running(make_enrich(pipeline.settings)):
        await pipeline.has_read("enrich", pipeline.topics.redrive["enrich"], ROWS)
        await pipeline.has_read("enrich", pipeline.raw, ROWS)
    for partition in range(pipeline.settings.partitions):
        trail = await traced(f"{pipeline.raw}/{partition}:0")
        assert told(trail) == ("waiting", trail["entity"], ["commit", "raw", "event"])
        assert int(trail["entity"].partition(":")[2]) < ROWS
