"""`cdc dlq` on real Kafka: a flood of poison is looked at, redriven once in order whatever happens, and put aside."""

import asyncio
import base64
import json
import os
import stat
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from click.testing import CliRunner, Result

from models.redrive import origin_of
from sandbox.world import World
from tests.integration.pipeline import Pipeline, user
from tests.integration.stage import eventually, running
from tests.unit.letters import dead_letter, gap
from workers.app import make_enrich
from workers.cli.dlq import dlq
from workers.dead_letters import reading
from workers.dead_letters.depth import KafkaCount, OpenLetters
from workers.dead_letters.marks import sole_writer, transaction
from workers.failures import CommandError, ExitCode, NotFoundError, RefusedError
from workers.kafka.access import kafka_access

ROWS, VERSIONS = 18, 10


@pytest.fixture
async def pipeline(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    made = Pipeline(world, tmp_path, monkeypatch)
    await made.make_topics()
    return made


async def cdc(*arguments: str) -> Result:
    """In a thread: the command runs a loop of its own."""
    return await asyncio.to_thread(CliRunner().invoke, dlq, arguments)


async def told(*arguments: str) -> Any:
    """The document that a command prints."""
    ended = await cdc(*arguments, "--output", "json")
    assert ended.exit_code == 0, (ended.output, ended.exception)
    return json.loads(ended.stdout)


async def flood(pipeline: Pipeline) -> None:
    """A worker meets a table whose rows came with texts as ids: all of them end as dead letters."""
    poison = [user(n, HomeOrgID=f"office {v}") for v in range(VERSIONS) for n in range(ROWS)]
    await pipeline.put(pipeline.raw, [user(1_000), *poison])
    async with running(make_enrich(pipeline.settings)):
        await pipeline.has_read("enrich", pipeline.raw, len(poison) + 1)


async def test_a_count_that_goes_on_knows_what_a_count_from_the_beginning_knows(pipeline: Pipeline) -> None:
    counting, known = KafkaCount(pipeline.settings), OpenLetters()
    assert await counting(known)
    assert known.by_stage() == {"bridge": 0, "enrich": 0, "publish": 0}
    await flood(pipeline)
    assert await counting(known)
    assert known.by_stage()["enrich"] == ROWS * VERSIONS
    await told("drop", "--key", "users:3", "--yes")
    assert await counting(known)
    anew = OpenLetters()
    assert await KafkaCount(pipeline.settings)(anew)
    assert known.by_stage() == anew.by_stage() == {"bridge": 0, "enrich": (ROWS - 1) * VERSIONS, "publish": 0}
    before = dict(known.reached)
    assert await counting(known)
    assert known.reached == before


async def put_letters(
    pipeline: Pipeline, numbers: Iterable[int], *, partition: int = 0, of_partition: int | None = None, **fields: Any
) -> None:  # fmt: skip
    """Letters of a partition, or of another one than they stand in."""
    origin = partition if of_partition is None else of_partition
    producer = AIOKafkaProducer(**pipeline.client)
    await producer.start()
    try:
        for number in numbers:
            headers = dead_letter(number, partition=origin, **fields).to_headers()
            key = b'["core","users",%d]' % number
            await producer.send(pipeline.topics.dead, b"%d" % number, key=key, partition=partition, headers=headers)
        await producer.flush()
    finally:
        await producer.stop()


async def redriven(pipeline: Pipeline) -> list[Any]:
    return await pipeline.read(pipeline.topics.redrive["enrich"])


async def test_a_killed_redrive_goes_on_and_every_letter_comes_once_in_the_order_of_its_row(pipeline: Pipeline) -> None:
    await flood(pipeline)
    (kind,) = await told("stats")
    assert (kind["letters"], kind["code"], kind["table"]) == (ROWS * VERSIONS, "VALIDATION_ERROR", "users")
    listed = await cdc("list", "--limit", "3")
    assert "column HomeOrgID is not of type int" in listed.stdout
    (letter,) = await told("list", "--key", "users:7", "--oldest", "--limit", "1")
    shown = await told("show", letter["id"])
    assert shown["payload"]["content"]["after"]["HomeOrgID"] == "***"
    assert "office" not in json.dumps(shown)

    refused = await cdc("redrive")
    assert isinstance(refused.exception, RefusedError)
    assert await redriven(pipeline) == []

    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "workers", "dlq", "redrive", "--rate", "20", "--yes", cwd=pipeline.settings.data_dir,
        env=os.environ | pipeline.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:

        async def began() -> bool:
            assert child.returncode is None, "it ended before it could be killed"
            return bool(await redriven(pipeline))

        await eventually(began)
    finally:
        child.kill()
        await child.wait()
    before = len(await redriven(pipeline))
    assert 0 < before < ROWS * VERSIONS

    written = await told("redrive", "--yes")
    after = await redriven(pipeline)
    assert len(after) >= before + written["letters"] == len(after)
    origins = [origin_of(record.headers) for record in after]
    assert len({(o.partition, o.offset) for o in origins if o is not None}) == len(after) == ROWS * VERSIONS
    versions = defaultdict[bytes, list[str]](list)
    for record in after:
        versions[record.key].append(json.loads(record.value)["data"]["HomeOrgID"])
    assert len(versions) == ROWS
    assert all(found == [f"office {v}" for v in range(VERSIONS)] for found in versions.values())
    assert await told("list") == []
    again = await told("redrive", letter["id"], "--yes")
    assert again["letters"] == 0
    assert (await told("list", letter["id"]))[0]["handled"]["action"] == "redriven"


async def test_a_redrive_that_is_ended_says_that_letters_are_left(pipeline: Pipeline) -> None:
    await flood(pipeline)
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "workers", "dlq", "redrive", "--rate", "20", "--yes", cwd=pipeline.settings.data_dir,
        env=os.environ | pipeline.environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip

    async def began() -> bool:
        assert child.returncode is None, "it ended before it could be ended"
        return bool(await redriven(pipeline))

    await eventually(began)
    child.terminate()
    _, said = await child.communicate()
    assert child.returncode == ExitCode.PARTIAL
    assert "stopped before the end" in said.decode()
    assert "run it again: it goes on with the letters that are left" in said.decode()
    left = (await told("redrive", "--yes"))["letters"]
    assert 0 < left < len(await redriven(pipeline)) == ROWS * VERSIONS


async def test_what_another_program_wrote_about_no_letter_stops_no_command(pipeline: Pipeline) -> None:
    await put_letters(pipeline, range(2))
    await pipeline.put(pipeline.topics.handled, [(b"CANARY", b"CANARY"), (b"7", None)], partition=0)
    assert len(await told("list")) == 2
    await pipeline.put(pipeline.topics.handled, [(b"0:1", b"CANARY")], partition=0)
    refused = (await cdc("list")).exception
    assert isinstance(refused, CommandError)
    assert f"{pipeline.topics.handled}: partition 0, offset 2: a record that is not readable" in str(refused)
    assert "same key and no value" in (refused.hint or "")
    await pipeline.put(pipeline.topics.handled, [(b"0:1", None)], partition=0)


async def test_a_letter_that_the_other_filters_leave_out_is_not_told_as_none(pipeline: Pipeline) -> None:
    await put_letters(pipeline, range(3))
    oldest = (await told("list", "--oldest"))[0]["id"]
    refused = (await cdc("list", oldest, "--table", "orders")).exception
    assert str(refused) == f"the other filters do not fit {oldest}"
    await asyncio.sleep(1.1)  # an age is in seconds
    refused = (await cdc("list", oldest, "--since", "1s")).exception
    assert str(refused) == f"the other filters do not fit {oldest}"


async def test_a_handled_letter_is_named_beside_one_that_is_dropped(pipeline: Pipeline) -> None:
    await put_letters(pipeline, range(2))
    first, second = [found["id"] for found in await told("list")]
    await told("drop", first, "--yes")
    ended = await cdc("drop", first, second, "--dry-run")
    assert f"{first} is dropped already" in ended.stderr
    undone = await cdc("drop", first, second, "--undo", "--dry-run")
    assert f"{second} is not dropped" in undone.stderr


async def test_ids_that_are_none_are_named_beside_those_that_are(pipeline: Pipeline) -> None:
    await put_letters(pipeline, range(2))
    (letter, _) = [found["id"] for found in await told("list")]
    for command in ("list", "stats", "redrive", "drop"):
        ended = await cdc(command, letter, "0:999999", *(["--dry-run"] if command in ("redrive", "drop") else []))
        assert (ended.exit_code, "0:999999" in ended.stderr) == (ExitCode.PARTIAL, True), command
    assert isinstance((await cdc("stats", "0:999999")).exception, NotFoundError)


async def test_letters_that_cannot_be_redriven_stay_and_are_named(pipeline: Pipeline) -> None:
    await put_letters(pipeline, range(2))
    await put_letters(pipeline, [2], replay=5)
    await put_letters(pipeline, [3], partition=1, timestamp_ms=None)
    await put_letters(pipeline, [4], partition=1, of_partition=99)
    producer = AIOKafkaProducer(**pipeline.client)
    async with producer:
        headers = list(gap(0).record.headers)
        await producer.send_and_wait(pipeline.topics.dead, key=b"", partition=1, headers=headers)
        await producer.send_and_wait(pipeline.topics.dead, b"foreign", partition=1)
    ended = await cdc("redrive", "--yes", "--output", "json")
    assert ended.exit_code == ExitCode.PARTIAL
    found = json.loads(ended.stdout)
    assert (found["letters"], found["gaps"]) == (2, 1)
    assert {refused["id"]: refused["reason"][:20] for refused in found["refused"]} == {
        "0:2": "it was redriven or r", "1:0": "an earlier release w", "1:1": "it stands in another",
        "1:3": "it is no dead letter",
    }  # fmt: skip
    assert [record.value for record in await redriven(pipeline)] == [b"0", b"1"]
    more = await cdc("redrive", "0:2", "--max-replays", "6", "--yes")
    assert more.exit_code == 0
    assert len(await redriven(pipeline)) == 3


async def test_dropped_letters_are_out_of_sight_until_that_is_undone(pipeline: Pipeline) -> None:
    await put_letters(pipeline, range(4))
    assert (await cdc("drop", "--yes")).exit_code == ExitCode.USAGE
    assert (await told("drop", "0:1", "0:2", "--yes"))["letters"] == 2
    assert {letter["id"] for letter in await told("list")} == {"0:0", "0:3"}
    assert len(await told("list", "--all")) == 4
    assert (await told("redrive", "--dry-run"))["letters"] == 2
    assert (await told("drop", "0:2", "--undo", "--yes"))["letters"] == 1
    assert {letter["id"] for letter in await told("list")} == {"0:0", "0:2", "0:3"}
    assert isinstance((await cdc("show", "0:4")).exception, NotFoundError)


async def test_an_export_holds_the_originals_for_its_owner_alone(pipeline: Pipeline, tmp_path: Path) -> None:
    await put_letters(pipeline, range(3))
    file = tmp_path / "letters.jsonl"
    assert (await cdc("export", str(file))).exit_code == 0
    documents = [json.loads(line) for line in file.read_text().splitlines()]
    assert [base64.b64decode(document["valueB64"]) for document in documents] == [b"0", b"1", b"2"]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert isinstance((await cdc("export", str(file))).exception, RefusedError)


async def test_who_starts_later_takes_over_and_the_one_before_writes_nothing_more(pipeline: Pipeline) -> None:
    await put_letters(pipeline, range(3))

    async def slow() -> None:
        async with (
            kafka_access(pipeline.settings) as kafka, sole_writer(pipeline.settings, kafka) as producer,
            transaction(producer),
        ):  # fmt: skip
            await producer.send(pipeline.topics.redrive["enrich"], b"half", partition=0)
            await producer.flush()
            assert (await told("redrive", "--yes"))["letters"] == 3

    with pytest.raises(RefusedError, match="taken over"):
        await slow()
    assert [record.value for record in await redriven(pipeline)] == [b"0", b"1", b"2"]


async def test_letters_behind_an_open_transaction_are_said_to_be_hidden(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "PATIENCE", 0.2)
    await put_letters(pipeline, [0])
    producer = AIOKafkaProducer(**pipeline.client, transactional_id=f"{pipeline.topics.dead}-open")
    async with producer:
        await producer.begin_transaction()
        await producer.send_and_wait(pipeline.topics.dead, b"open", partition=0)
        await put_letters(pipeline, [1])
        await put_letters(pipeline, [2], partition=1)
        ended = await cdc("list", "--output", "jsonl")
        await producer.abort_transaction()
    assert ended.exit_code == ExitCode.PARTIAL
    assert {json.loads(line)["id"] for line in ended.stdout.splitlines()} == {"0:0", "1:0"}
    assert f"{pipeline.topics.dead}/0 from 1 on" in ended.stderr
