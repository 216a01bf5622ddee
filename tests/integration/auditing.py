"""Audits of a pipeline in a test, and what there is to audit."""

import json
from typing import Any

from tests.integration.pipeline import Pipeline, user
from tests.integration.stage import running
from workers.app import make_enrich
from workers.audit.counts import Baseline, Counted, Forwarded
from workers.audit.examination import audit
from workers.audit.report import Audit
from workers.audit.verdicts import Check, Line, Verdict

RECORDS = 60


async def audited(
    pipeline: Pipeline, *stages: str, since: Audit | dict[str, Any] | None = None, patience: float = 30.0
) -> Audit:  # fmt: skip
    """`since`: an audit, or its document."""
    document = since.document() if isinstance(since, Audit) else since
    earlier = json.loads(json.dumps(document)) if document is not None else None
    baseline = Baseline.read(earlier, pipeline.topics) if earlier is not None else None
    return await audit(
        pipeline.settings, pipeline.connection, stages or ("bridge", "enrich", "publish"), baseline, lambda *_: None,
        patience=patience,
    )  # fmt: skip


def failed(report: Audit, verdict: Verdict = Verdict.BROKEN) -> dict[str, Check]:
    """Checks with that verdict, by name."""
    return {check.name: check for line in report.lines for check in line.checks if check.verdict is verdict}


def counts_in(line: Line) -> Counted:
    """Of a partition."""
    assert isinstance(line.counted, Counted)
    return line.counted


def shard_of(line: Line) -> Forwarded:
    """Of a shard."""
    assert isinstance(line.counted, Forwarded)
    return line.counted


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
    await pipeline.put(pipeline.raw, raw_records(start))
    await pipeline.abort(pipeline.raw, 3, 0)
    before = sum(led.counts.get("in", 0) for _, led in (await pipeline.offsets("enrich", pipeline.raw)).values())
    async with running(make_enrich(pipeline.settings)):
        await pipeline.has_read("enrich", pipeline.raw, before + RECORDS + 1)
