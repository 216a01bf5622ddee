"""`cdc tail`, `cdc trace` and Peek on real Kafka."""

import asyncio
import json
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from models.raw import Origin, raw_headers
from models.written import Writer
from sandbox.world import World
from tests.integration.pipeline import PARTITIONS, Pipeline, user
from tests.integration.stage import eventually, running
from workers.app import make_enrich, make_publish
from workers.cli.tail import tail
from workers.cli.trace import trace
from workers.failures import NotFoundError
from workers.filters import Filter
from workers.tail.peek import Peeks
from workers.tail.selection import Wanted

ROWS = 8


async def cdc(command: click.Command, *arguments: str) -> Result:
    """In a thread: the command runs a loop of its own."""
    return await asyncio.to_thread(CliRunner().invoke, command, arguments)


async def tailed(*arguments: str) -> list[dict[str, Any]]:
    """The documents that `cdc tail` prints of the past."""
    ended = await cdc(tail, *arguments, "--no-follow", "--output", "jsonl")
    assert ended.exit_code == 0, (ended.output, ended.exception)
    return [json.loads(line) for line in ended.stdout.splitlines()]


async def traced(*arguments: str) -> list[dict[str, Any]]:
    """The trails that `cdc trace` prints."""
    ended = await cdc(trace, *arguments, "--output", "json")
    assert ended.exit_code == 0, (ended.output, ended.exception)
    found: list[dict[str, Any]] = json.loads(ended.stdout)["trails"]
    return found


def hops(trail: dict[str, Any]) -> list[str]:
    return [hop["hop"] for hop in trail["hops"]]


async def test_records_are_shown_and_traced_through_all_stages(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = Pipeline(world, tmp_path, monkeypatch)
    pipeline.make_bus()
    await pipeline.make_topics()
    assert isinstance((await cdc(trace, "users:7")).exception, NotFoundError)
    for nowhere in ("9:99", "cdc.nothing/0:1"):
        assert isinstance((await cdc(trace, nowhere)).exception, NotFoundError)
    headers = raw_headers(Origin("stream", "shard-1", "4966" * 8, 0, 1768473060400), adapter="dms", table="users")
    changes = [user(n, "insert", UserName=f"u{n}") for n in range(ROWS)]
    await pipeline.put(pipeline.raw, [*changes, user(ROWS, "load"), (b"broken", b"{")], headers=headers)

    raw = await tailed("--stage", "bridge", "--last", "100")
    assert len(raw) == ROWS + 2
    assert [record["timeMs"] for record in raw] == sorted(record["timeMs"] for record in raw)
    assert sum("broken" in record for record in raw) == 1
    (waiting,) = await traced("users:3")
    assert (waiting["ending"], hops(waiting)[-1]) == ("waiting", "raw")

    async with running(make_enrich(pipeline.settings)):

        async def all_are_enriched() -> bool:
            return len(await pipeline.read(pipeline.topics.events)) == ROWS

        await eventually(all_are_enriched)
        await peeks_see_events(pipeline)
    (waiting,) = await traced("users:3")
    assert (waiting["ending"], hops(waiting)[-1]) == ("waiting", "event")
    assert "publish" in waiting["told"]

    async with running(make_publish(pipeline.settings)):

        async def all_are_published() -> bool:
            return len(await pipeline.read(pipeline.topics.receipts)) == ROWS

        await eventually(all_are_published)
    events = await tailed("--last", "100")
    assert {record["stage"] for record in events} == {"enrich", "dead"}
    assert [r["entity"] for r in await tailed("--key", "users:3", "--last", "9")] == ["users:3"]
    assert [r["entity"] for r in await tailed("--where", "changes.UserName.new == 'u5'")] == ["users:5"]
    limited = await tailed("--stage", "enrich", "--partition", "0", "--from", "1", "--limit", "1")
    assert [(record["partition"], record["offset"]) for record in limited] == [(0, 1)]

    event = next(record for record in events if record["entity"] == "users:3")
    place = f"{event['topic']}/{event['partition']}:{event['offset']}"
    asked = ((event["eventId"],), ("3", "--table", "users"), (place,))
    by_id, by_row, by_place = [(await traced(*words))[0] for words in asked]
    assert by_id == by_row == by_place
    assert hops(by_id) == ["commit", "stream", "raw", "event", "receipt"]
    assert (by_id["ending"], by_id["eventId"]) == ("delivered", event["eventId"])
    (bus_event,) = [hop["busEventId"] for hop in by_id["hops"] if hop["hop"] == "receipt"]
    assert (await traced(bus_event))[0]["eventId"] == event["eventId"]

    (dropped,) = await traced(f"users:{ROWS}")
    assert (dropped["ending"], hops(dropped)[-1]) == ("dropped", "enrich")
    assert "(snapshot)" in dropped["hops"][-1]["text"]
    (letter,) = [record["letter"]["id"] for record in events if record["stage"] == "dead"]
    (dead,) = await traced(letter)
    assert (dead["ending"], hops(dead)) == ("dead", ["stream", "raw", "dead letter"])
    assert len(await traced("4966" * 8, "--limit", "50")) == ROWS + 2


async def peeks_see_events(pipeline: Pipeline) -> None:
    """A look begins with what is there, filters it, and ends."""
    peeks = Peeks()
    try:
        found = await peeks.since(pipeline.settings, Writer.ENRICH, 0, Wanted(), limit=50, wait=60)
        assert len(found.records) == ROWS
        wanted = Wanted(where=Filter("contains(changedFields, 'UserName') && partition == `0`"))
        some = await peeks.since(pipeline.settings, Writer.ENRICH, 0, wanted, limit=50)
        assert {written.place.partition for _, written in some.records} == {0}
        assert 0 < len(some.records) < ROWS
        assert (await peeks.since(pipeline.settings, Writer.ENRICH, found.next, Wanted(), limit=50)).records == ()
    finally:
        await peeks.end()
    assert all(look.task is not None and look.task.done() for look in peeks.looks.values())
    assert PARTITIONS > 1
