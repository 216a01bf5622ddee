"""The enrich stage as the product wires it, on real Kafka and real PostgreSQL: an owner only the database knows."""

import json
from pathlib import Path

import asyncpg
import pytest

from sandbox.world import World
from tests.integration.pipeline import Pipeline, row
from tests.integration.postgres import database, postgres
from tests.integration.stage import eventually, running
from tests.integration.test_database import execute
from workers.app import make_enrich

__all__ = ["database", "postgres"]


async def test_owners_only_the_database_knows_reach_the_events_and_a_slow_database_loses_none(
    world: World, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", database)
    monkeypatch.setenv("CDC_DATABASE_TIMEOUT", "0.5")
    pipeline = Pipeline(world, tmp_path, monkeypatch)
    await pipeline.make_topics()
    await execute(database, """INSERT INTO groups ("ID", "OrgID") VALUES (21, 4)""")
    columns = {"GroupID": 21, "UserID": 7, "Action": "ADD"}
    await pipeline.put(pipeline.raw, [row("group_maps_log", n, "insert", columns) for n in range(20)])

    async def published(count: int) -> bool:
        return len(await pipeline.read(pipeline.topics.events)) == count

    async with running(app := make_enrich(pipeline.settings)):
        await eventually(lambda: published(20))
        assert app.ready
        assert app.reports["database"]() == {"status": "AVAILABLE", "rows_waiting": 0}
        locker = await asyncpg.connect(database)
        await locker.execute("""BEGIN; LOCK TABLE groups; INSERT INTO groups ("ID", "OrgID") VALUES (22, 5)""")
        columns["GroupID"] = 22
        await pipeline.put(pipeline.raw, [row("group_maps_log", n, "insert", columns) for n in range(20, 30)])

        async def timed_out() -> bool:
            samples = [sample for measure in app.measures for sample in measure()]
            return any(sample.labels == ("groups", "failed") for sample in samples)

        await eventually(timed_out)
        assert await published(20)
        await locker.execute("COMMIT")
        await locker.close()
        await eventually(lambda: published(30))
    details = [json.loads(record.value) for record in await pipeline.read(pipeline.topics.events)]
    found = {(int(one["entityId"]), one["orgId"], one["metadata"]["enrichment"]["source"]) for one in details}
    assert found == {(n, "4" if n < 20 else "5", "database") for n in range(30)}
    assert await pipeline.read(pipeline.topics.dead) == []
