"""`cdc replay` on real Kafka: events come to the bus once more, and changes become their events again."""

import asyncio
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from models.raw import Origin, raw_headers
from sandbox.aws.control_client import StandInControl
from sandbox.world import World
from tests.integration.auditing import audited
from tests.integration.pipeline import Pipeline, user
from tests.integration.stage import eventually, running
from workers.app import make_enrich, make_publish
from workers.audit.verdicts import Verdict
from workers.cli.replay import replay
from workers.failures import ExitCode, RefusedError

ROWS = 12


async def cdc(*arguments: str) -> Result:
    """In a thread: the command runs a loop of its own."""
    return await asyncio.to_thread(CliRunner().invoke, replay, arguments)


async def told(*arguments: str, code: int = 0) -> Any:
    """The document that a command prints."""
    ended = await cdc(*arguments, "--output", "json")
    assert ended.exit_code == code, (ended.output, ended.exception)
    return json.loads(ended.stdout)


async def test_events_come_again_as_the_same_bytes_and_changes_become_their_events_again(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = Pipeline(world, tmp_path, monkeypatch)
    pipeline.outside()
    await pipeline.make_topics()
    control = StandInControl(pipeline.environment["AWS_ENDPOINT_URL"])
    bus = pipeline.environment["EVENT_BUS_NAME"]

    async def taken(count: int) -> list[Any]:
        """What the bus took, once that is so much."""

        async def all_are_there() -> bool:
            return len(control.accepted(bus)) >= count

        await eventually(all_are_there)
        return control.accepted(bus)

    headers = raw_headers(Origin("stream", "shard", "4966", 0, 1768473060400), adapter="dms")
    changes = [
        user(n, operation, UserName=f"u{n}v{at}")
        for at, operation in enumerate(("insert", "update"))
        for n in range(ROWS)
    ]
    await pipeline.put(pipeline.raw, changes, headers=headers)
    async with running(make_enrich(pipeline.settings)), running(make_publish(pipeline.settings)):
        first = await taken(2 * ROWS)
        assert isinstance((await cdc("--from", "1h")).exception, RefusedError)
        (kind,) = (await told("--from", "1h", "--key", "users:7", "--table", "users", "--dry-run"))["kinds"][:1]
        assert kind["table"] == "users"

        done = await told("--from", "1h", "--yes")
        assert (done["records"], done["replay"]) == (2 * ROWS, 1)
        again = (await taken(4 * ROWS))[2 * ROWS :]
        assert order(again) == order(first), "the same ids and bytes, in the order of each row"
        assert isinstance((await cdc("--from", "1h", "--yes")).exception, RefusedError), "it is done"
        assert (await told("--from", "1h", "--again", "--max", "3", "--yes"))["replay"] == 2
        await taken(4 * ROWS + 3)

        made = await told("--raw", "--from", "1h", "--key", "users:7", "--yes")
        assert (made["records"], made["replay"]) == (2, 3)
        late = (await taken(4 * ROWS + 5))[-2:]
    assert {one.event_id for one in late} == {one.event_id for one in first if one.entity == "users:7"}
    assert [one.replay for one in late] == [3, 3]
    assert [one.sequence for one in late] == [one.sequence for one in first if one.entity == "users:7"]

    report = await audited(pipeline, "enrich", "publish")
    judged = {line.verdict for line in report.lines if line.topic in pipeline.topics.redrive.values()}
    assert judged == {Verdict.OK}, report.document()
    receipts = [json.loads(record.value) for record in await pipeline.read(pipeline.topics.receipts)]
    assert Counter(receipt.get("replay") for receipt in receipts)[1] == 2 * ROWS

    await pipeline.delete_before(pipeline.topics.events, {0: 3})
    lost = await told("--from", "8d", "--dry-run", code=int(ExitCode.PARTIAL))
    assert [place.split(":")[0] for place in lost["gone"]] == [f"{pipeline.topics.events}/0"]


def order(taken: list[Any]) -> dict[str, list[tuple[str, str, int]]]:
    """What was taken of every row: id and digest of the bytes."""
    found: dict[str, list[tuple[str, str, int]]] = {}
    for one in taken:
        found.setdefault(one.entity, []).append((one.event_id, one.sha256, one.replay))
    return found
