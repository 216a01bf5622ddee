"""`cdc status` as an operator meets it."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sandbox.world import World
from tests.integration.pipeline import PARTITIONS, Pipeline, user
from tests.integration.stage import running
from workers.app import make_enrich

SECRET = "jane.roe@acme.example"
RECORDS = 40


@pytest.fixture
def pipeline(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    return Pipeline(world, tmp_path, monkeypatch)


def status(pipeline: Pipeline, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("CDC_", "AWS_", "KAFKA_"))}
    return subprocess.run(
        [sys.executable, "-m", "workers", "status", *arguments], env=inherited | pipeline.environment | settings,
        cwd=pipeline.settings.data_dir, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


async def has_worked(pipeline: Pipeline, times: int = 1) -> None:
    """The enrich stage has read users and poison, for the n-th time."""
    await pipeline.make_topics()
    records: list[tuple[bytes | None, bytes | None]] = [user(n, Email=SECRET) for n in range(RECORDS)]
    await pipeline.put(pipeline.raw, [*records, (SECRET.encode(), SECRET.encode())])
    async with running(make_enrich(pipeline.settings)):
        await pipeline.has_read("enrich", pipeline.raw, times * (RECORDS + 1))


async def moved_back(pipeline: Pipeline) -> None:
    """Partition 0 of raw lost its counts, as after a reset by hand."""
    await pipeline.set_offset("enrich", pipeline.raw, 0, 3)


def verdicts(report: dict[str, Any]) -> list[str]:
    return [line["verdict"] for line in report["lines"]]


def test_every_partition_has_a_line_with_its_counts(pipeline: Pipeline) -> None:
    asyncio.run(has_worked(pipeline))
    ended = status(pipeline, "--stage", "enrich", "--details")
    assert ended.returncode == 0, ended.stderr
    head, _, *rows = ended.stdout.splitlines()
    assert head == "enrich: group Empty, 0 members"
    assert rows[0].split() == [
        "STAGE", "PARTITION", "OFFSET", "LAG", "SINCE", "IN", "OUT", "DEAD", "DROPPED", "SKIPPED",
    ]  # fmt: skip
    assert len(rows) == 1 + PARTITIONS
    counted = [[int(cell) for cell in row.split()[5:]] for row in rows[1:]]
    assert [sum(column) for column in zip(*counted, strict=True)] == [RECORDS + 1, RECORDS, 1, 0, 0]
    assert SECRET not in ended.stdout + ended.stderr


def test_an_audit_of_a_sound_stage_ends_with_0_and_one_that_does_not_add_up_with_1(pipeline: Pipeline) -> None:
    asyncio.run(has_worked(pipeline))
    ended = status(pipeline, "--audit", "--stage", "enrich")
    assert ended.returncode == 0, ended.stdout
    assert ended.stderr.splitlines()[-1] == f"cdc status: OK: {PARTITIONS} OK, 0 UNKNOWN, 0 BROKEN"
    asyncio.run(moved_back(pipeline))
    ended = status(pipeline, "--audit", "--stage", "enrich")
    assert ended.returncode == 1, ended.stdout
    assert "the offset was set by hand" in ended.stdout
    assert SECRET not in ended.stdout + ended.stderr


def test_the_screen_says_what_is_wrong_and_what_mends_it(pipeline: Pipeline) -> None:
    asyncio.run(has_worked(pipeline))
    ended = status(pipeline, "--stage", "enrich", "--sample", "0")
    assert ended.returncode == 0, ended.stderr
    row = next(line.split() for line in ended.stdout.splitlines() if line.startswith("enrich"))
    assert row[:4] == ["enrich", "STOPPED", "0", "-"]
    assert "1 in the last hour, 1 waiting" in ended.stdout
    assert "! enrich: no worker runs" in ended.stdout
    assert SECRET not in ended.stdout + ended.stderr


def test_stages_that_never_ran_are_unknown(pipeline: Pipeline) -> None:
    asyncio.run(pipeline.make_topics())
    ended = status(pipeline, "--audit", "--output", "json")
    assert ended.returncode == 7, ended.stderr
    assert verdicts(json.loads(ended.stdout)) == ["UNKNOWN"] * 2 * PARTITIONS


def test_an_audit_goes_on_from_the_document_of_an_earlier_one(pipeline: Pipeline) -> None:
    asyncio.run(has_worked(pipeline))
    earlier = pipeline.settings.data_dir / "earlier.json"
    earlier.write_text(status(pipeline, "--audit", "--output", "json").stdout)
    asyncio.run(has_worked(pipeline, times=2))
    ended = status(pipeline, "--audit", "--stage", "enrich", "--since", "earlier.json", "--output", "json")
    assert ended.returncode == 0, ended.stdout
    assert sum(line["counts"]["in"] for line in json.loads(ended.stdout)["lines"]) == RECORDS + 1


def test_a_file_that_is_no_audit_is_named_and_not_quoted(pipeline: Pipeline) -> None:
    (pipeline.settings.data_dir / "other.json").write_text(json.dumps({"lines": [SECRET]}))
    ended = status(pipeline, "--audit", "--since", "other.json")
    assert ended.returncode == 3
    assert "other.json is not the JSON of an earlier audit" in ended.stderr
    assert SECRET not in ended.stderr
    assert status(pipeline, "--since", "other.json").returncode == 2


def test_topics_that_do_not_exist_are_named(pipeline: Pipeline) -> None:
    ended = status(pipeline)
    assert ended.returncode == 6
    assert pipeline.topics.checkpoints in ended.stderr
    assert "CDC_TOPIC_PREFIX" in ended.stderr


def test_a_kafka_that_is_away_ends_with_5(pipeline: Pipeline) -> None:
    ended = status(pipeline, KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:1")
    assert ended.returncode == 5, ended.stderr
    assert "Traceback" not in ended.stderr
