"""A change of columns is reported once, over all slots, workers and restarts."""

import asyncio
import json
import logging
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from enrichers.observe import read_history
from enrichers.schema_memory import history_key
from sandbox.world import World
from tests.integration.pipeline import Pipeline, user
from tests.integration.stage import eventually, running
from workers import metrics
from workers.app import make_enrich
from workers.cli.schema import schema
from workers.contract import read_catalogue
from workers.engine.app import StageApp
from workers.kafka.access import kafka_access
from workers.schemas.drift import changes_of, read_schemas


@pytest.fixture
def pipeline(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    return Pipeline(world, tmp_path, monkeypatch)


def reports(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if "schema of" in record.getMessage()]


async def shown(pipeline: Pipeline) -> list[tuple[str, str]]:
    specs = read_catalogue(pipeline.settings).specs
    async with kafka_access(pipeline.settings) as kafka:
        found = await read_schemas(pipeline.settings, kafka, specs, lambda *_: None)
    return [(row["column"], row["change"]) for one in found for row in changes_of(one)]


async def command(*arguments: str) -> list[str]:
    """Lines on stdout."""
    return (await ended(*arguments)).stdout.splitlines()


async def ended(*arguments: str) -> Result:
    """A command has an event loop of its own."""
    result = await asyncio.to_thread(CliRunner().invoke, schema, arguments)
    assert result.exit_code == 0, result.stderr
    return result


async def reported(pipeline: Pipeline, count: int) -> bool:
    raw = (await pipeline.table("schemas")).get(history_key("users"))
    return raw is not None and len(read_history(raw).changes) == count


def counted(app: StageApp) -> dict[tuple[str, ...], Any]:
    samples = (sample for measure in app.measures for sample in measure())
    return {
        sample.labels: sample.value for sample in samples if sample.metric is metrics.SCHEMA_CHANGES and sample.value
    }


async def counts(
    pipeline: Pipeline, rows: Iterable[tuple[bytes, bytes]], expected: dict[tuple[str, ...], int], workers: int = 1
) -> None:
    """A life of the stage, until this is what its metrics say in sum and its table holds."""
    apps = [make_enrich(pipeline.settings) for _ in range(workers)]

    async def told() -> bool:
        added = Counter[tuple[str, ...]]()
        for app in apps:
            added.update(counted(app))
        return added == expected and await reported(pipeline, sum(expected.values()))

    async with running(*apps):
        assert all(app.slots.owned for app in apps)
        await pipeline.put(pipeline.raw, rows)
        await eventually(told)


async def test_a_change_seen_by_every_slot_is_reported_once_over_restarts_and_workers(
    pipeline: Pipeline, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    await pipeline.make_topics()
    rows = [user(n, ShoeSize=42, Status=5) for n in range(20)]
    await counts(pipeline, rows, {("users", "new"): 1, ("users", "retyped"): 1})
    assert await shown(pipeline) == [("ShoeSize", "new"), ("Status", "retyped")]
    rows = [user(n, ShoeSize=43, Status=6, Hat="L") for n in range(20, 40)]
    await counts(pipeline, rows, {("users", "new"): 2, ("users", "retyped"): 1}, workers=2)
    assert await shown(pipeline) == [("ShoeSize", "new"), ("Status", "retyped"), ("Hat", "new")]
    assert len(reports(caplog)) == len(set(reports(caplog))) == 3
    assert any(line.endswith("column ShoeSize is new (number): masked by unknown_columns") for line in reports(caplog))
    assert not any("42" in line for line in reports(caplog))


async def test_what_no_worker_has_reported_yet_is_shown_all_the_same(pipeline: Pipeline) -> None:
    await pipeline.make_topics()
    await pipeline.put(pipeline.raw, [user(1, ShoeSize=42)])
    app = make_enrich(pipeline.settings)
    app.slot_bodies.clear()  # nobody reports
    async with running(app):
        await pipeline.has_read("enrich", pipeline.raw, 1)
    assert history_key("users") not in await pipeline.table("schemas")
    assert await shown(pipeline) == [("ShoeSize", "new")]


async def test_the_command_shows_changes_and_columns(pipeline: Pipeline) -> None:
    await pipeline.make_topics()
    await pipeline.put(pipeline.raw, [user(1, ShoeSize=42)])
    async with running(make_enrich(pipeline.settings)):
        await pipeline.has_read("enrich", pipeline.raw, 1)
    lines = await command("drift", "--table", "users")
    assert lines[0].split() == ["TABLE", "COLUMN", "CHANGE", "TYPE", "WHEN", "TREATED"]
    assert lines[1].split()[:4] == ["users", "ShoeSize", "new", "number"]
    columns = [json.loads(line) for line in await command("drift", "--columns", "--output", "jsonl")]
    assert {(row["column"], row["configured"]) for row in columns} >= {("ShoeSize", None), ("HomeOrgID", "int")}
    assert all(row["present"] and row["firstSeen"] == row["lastSeen"] for row in columns)
    assert await command("drift", "--table", "orgs") == []


async def test_whoever_has_other_tables_than_the_workers_is_told(
    pipeline: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await pipeline.make_topics()
    await pipeline.put(pipeline.raw, [user(1, ShoeSize=42)])
    async with running(make_enrich(pipeline.settings)):
        await pipeline.has_read("enrich", pipeline.raw, 1)
    same = await ended("drift", "--table", "users")
    assert ("workers run with" in same.stderr, same.stdout.split()[5]) == (False, "TREATED")
    mine = tmp_path / "mine.yaml"
    mine.write_text("version: 1\ntables:\n  - {table: users, unknown_columns: drop}\n", encoding="utf-8")
    monkeypatch.setenv("CDC_TABLES", str(mine))
    other = await ended("drift", "--table", "users")
    assert "the workers run with other tables (fingerprint " in other.stderr
    assert ("TREATED HERE" in other.stdout, "dropped by unknown_columns" in other.stdout) == (True, True)
    (row,) = map(json.loads, await command("drift", "--table", "users", "--output", "jsonl"))
    assert row["sameTables"] is False
    assert "CONFIGURED HERE" in (await ended("drift", "--columns")).stdout
    nothing = await ended("drift", "--table", "orgs")
    assert ("run with other tables" in nothing.stderr, nothing.stdout) == (True, "")
