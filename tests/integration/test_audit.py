"""P5: `cdc status --audit` proves that counts add up, and says so of nothing that it could not see."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from sandbox.world import World
from tests.integration.pipeline import PARTITIONS, Pipeline, user
from tests.integration.stage import eventually, running
from workers.app import make_bridge, make_enrich, make_publish
from workers.audit.counts import Baseline
from workers.audit.report import Audit, audit
from workers.audit.verdicts import Check, Verdict
from workers.engine.ledger import Ledger

RECORDS = 60


@pytest.fixture
def pipeline(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    return Pipeline(world, tmp_path, monkeypatch)


async def audited(
    pipeline: Pipeline, *stages: str, since: Audit | None = None, patience: float = 30.0
) -> Audit:  # fmt: skip
    baseline = Baseline.read(json.loads(json.dumps(since.document()))) if since is not None else None
    return await audit(
        pipeline.settings, pipeline.connection, stages or ("bridge", "enrich", "publish"), baseline, lambda *_: None,
        patience=patience,
    )  # fmt: skip


def failed(report: Audit, verdict: Verdict = Verdict.BROKEN) -> dict[str, Check]:
    """Checks with that verdict, by name."""
    return {check.name: check for line in report.lines for check in line.checks if check.verdict is verdict}


def raw_records(start: int = 0) -> list[tuple[bytes | None, bytes | None]]:
    """Events, snapshots, poison, tombstones: two thirds of them become events."""
    found: list[tuple[bytes | None, bytes | None]] = []
    for n in range(start, start + RECORDS):
        key, value = user(n, "load" if n % 6 == 0 else "insert")
        found.append((key, b"poison" if n % 6 == 1 else value))
    return [*found, (user(start)[0], None)]


async def enriched(pipeline: Pipeline, start: int = 0) -> None:
    """A life of the enrich stage."""
    await pipeline.make_topics()
    await pipeline.put(pipeline.topics.raw, raw_records(start))
    await pipeline.abort(pipeline.topics.raw, 3, 0)
    before = sum(led.counts.get("in", 0) for _, led in (await pipeline.offsets("enrich", pipeline.topics.raw)).values())
    async with running(make_enrich(pipeline.settings)):
        await pipeline.has_read("enrich", pipeline.topics.raw, before + RECORDS + 1)


async def published(pipeline: Pipeline) -> None:
    """The publish stage delivers all events."""
    events = len(await pipeline.read(pipeline.topics.events))
    async with running(make_publish(pipeline.settings)):
        await pipeline.has_read("publish", pipeline.topics.events, events)


async def tampered(pipeline: Pipeline, partition: int = 0, offset: int = 0, **counts: int) -> None:
    """Change the ledger of a partition of enrich, and move its offset by `offset`."""
    at, ledger = (await pipeline.offsets("enrich", pipeline.topics.raw))[partition]
    changed = Ledger({name: ledger.counts.get(name, 0) for name in ledger.counts} | counts, ledger.since)
    await pipeline.set_offset("enrich", pipeline.topics.raw, partition, at + offset, changed.encode())


async def counts_of(pipeline: Pipeline, partition: int = 0) -> dict[str, int]:
    return (await pipeline.offsets("enrich", pipeline.topics.raw))[partition][1].counts


async def test_all_three_stages_add_up_while_they_run_and_afterwards(pipeline: Pipeline) -> None:
    outside = pipeline.outside()
    kinesis, stream = outside.client("kinesis"), pipeline.settings.kinesis_stream_name

    def put(start: int) -> None:
        entries = [{"PartitionKey": f"k{n}", "Data": user(n)[1]} for n in range(start, start + 200)]
        moved = json.loads(user(start)[1])
        moved["metadata"]["operation"], moved["before-image"] = "update", {"ID": start + 1000}
        entries += [{"PartitionKey": "poison", "Data": b"poison"}, {"PartitionKey": "m", "Data": json.dumps(moved)}]
        assert kinesis.put_records(StreamName=stream, Records=entries)["FailedRecordCount"] == 0

    running_audits: list[Audit] = []
    settings = pipeline.settings
    async with running(make_bridge(settings), make_enrich(settings), make_publish(settings)):
        for start in range(0, 1000, 200):
            await asyncio.to_thread(put, start)
            running_audits.append(await audited(pipeline))
        # five markers of changed keys on top
        await pipeline.has_read("enrich", pipeline.topics.raw, 1015)
        await pipeline.has_read("publish", pipeline.topics.events, 1005)
    assert {report.verdict for report in running_audits} == {Verdict.OK}, [failed(r) for r in running_audits]
    report = await audited(pipeline)
    assert report.verdict is Verdict.OK, failed(report)
    lines = {stage: [line for line in report.lines if line.stage == stage] for stage in report.stages}
    assert sum(line.counted.records for line in lines["bridge"]) == 1010  # type: ignore[union-attr]
    assert sum(line.markers for line in lines["bridge"]) == 5
    assert sum(line.counted.inputs for line in lines["enrich"]) == 1015  # type: ignore[union-attr]
    assert sum(line.counted.dead for line in lines["enrich"]) == 5  # type: ignore[union-attr]
    assert sum(line.counted.out for line in lines["publish"]) == 1005  # type: ignore[union-attr]
