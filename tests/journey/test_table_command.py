"""`cdc table` as an operator meets it."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sandbox.world import World
from tests.integration.pipeline import PARTITIONS, Pipeline, user
from tests.integration.stage import running
from workers.app import make_enrich

SECRET = "jane.roe@acme.example"
USERS = 20


@pytest.fixture
def pipeline(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    made = Pipeline(world, tmp_path, monkeypatch)
    asyncio.run(worked(made))
    return made


async def worked(pipeline: Pipeline) -> None:
    await pipeline.make_topics()
    await pipeline.put(pipeline.raw, [user(n, Email=SECRET) for n in range(USERS)])
    async with running(make_enrich(pipeline.settings)):
        await pipeline.has_read("enrich", pipeline.raw, USERS)


def rebuild(pipeline: Pipeline, *arguments: str) -> subprocess.CompletedProcess[str]:
    return table(pipeline, "rebuild", *arguments)


def table(pipeline: Pipeline, *arguments: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("CDC_", "AWS_", "KAFKA_"))}
    ended = subprocess.run(
        [sys.executable, "-m", "workers", "table", *arguments], env=inherited | pipeline.environment,
        cwd=pipeline.settings.data_dir, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert SECRET not in ended.stdout + ended.stderr
    assert "Traceback" not in ended.stderr
    return ended


def test_sound_tables_need_nothing(pipeline: Pipeline) -> None:
    ended = rebuild(pipeline, "--yes")
    assert (ended.returncode, ended.stdout) == (0, "")
    assert "nothing is damaged" in ended.stderr


def test_a_rebuild_shows_what_it_would_write_and_waits_for_yes(pipeline: Pipeline) -> None:
    before = asyncio.run(pipeline.table("users"))
    asyncio.run(pipeline.recreate(pipeline.changelog("users")))
    ended = rebuild(pipeline)
    assert ended.returncode == 8
    assert f"{USERS} entries would be written" in ended.stderr
    assert "--yes" in ended.stderr
    assert rebuild(pipeline, "--dry-run").returncode == 0
    assert asyncio.run(pipeline.table("users")) == {}

    ended = rebuild(pipeline, "--yes", "--output", "json")
    assert ended.returncode == 0, ended.stderr
    report = json.loads(ended.stdout)
    assert (report["written"], report["rawRecords"]) == (True, USERS)
    assert sum(part["put"] for part in report["parts"]) == USERS
    assert all(part["whole"] and part["rawSince"] for part in report["parts"])
    assert asyncio.run(pipeline.table("users")) == before


def test_a_rebuild_says_from_when_if_raw_does_not_reach_back(pipeline: Pipeline) -> None:
    asyncio.run(pipeline.delete_before(pipeline.raw, dict.fromkeys(range(PARTITIONS), 2)))
    asyncio.run(pipeline.recreate(pipeline.changelog("users")))
    ended = rebuild(pipeline, "--yes")
    assert ended.returncode == 7, ended.stderr
    assert "raw reaches back to 20" in ended.stderr
    assert "stay lost" in ended.stderr


def test_a_table_that_does_not_exist_is_not_found_and_what_was_meant_is_told(pipeline: Pipeline) -> None:
    ended = rebuild(pipeline, "--table", "user")
    assert ended.returncode == 6
    assert "did you mean users?" in ended.stderr


def test_a_topic_that_is_gone_is_named(pipeline: Pipeline) -> None:
    ended = rebuild(pipeline)
    assert ended.returncode == 0
    pipeline.environment["CDC_APP"] = "nobody"
    ended = rebuild(pipeline)
    assert ended.returncode == 6
    assert "nobody-enrich-users-changelog" in ended.stderr


def test_a_row_is_looked_up_searched_and_exported(pipeline: Pipeline) -> None:
    ended = table(pipeline, "get", "users", "7", "users:99", "--output", "json")
    assert ended.returncode == 7, ended.stderr
    assert [(one["key"], one["orgId"]) for one in json.loads(ended.stdout)] == [("users:7", "3")]
    assert "holds nothing of users:99" in ended.stderr

    ended = table(pipeline, "find", "users", "--where", "userId == '7'", "--reveal", "--output", "jsonl")
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout)["keyInKafka"] == '["core","users",7]'
    assert "audit: 1 of the entries of users is shown as it is" in ended.stderr

    file = pipeline.settings.data_dir / "users.jsonl"
    assert table(pipeline, "export", "users", str(file)).returncode == 0
    assert (len(file.read_text().splitlines()), file.stat().st_mode & 0o777) == (USERS, 0o600)
    assert table(pipeline, "export", "users", str(file)).returncode == 8


def test_a_table_that_is_not_whole_ends_with_what_to_do(pipeline: Pipeline) -> None:
    assert table(pipeline, "verify").returncode == 0
    asyncio.run(pipeline.recreate(pipeline.changelog("users")))
    ended = table(pipeline, "verify")
    assert ended.returncode == 1, ended.stderr
    assert "users" in ended.stdout
    assert "cdc table rebuild --dry-run" in ended.stderr
