"""A source that goes back and sends its last changes again adds nothing to `cdc.events` (docs/decisions/0038)."""

import contextlib
import itertools
import json
from pathlib import Path

import pytest

from models.routing import entity_key
from sandbox.world import World
from tests.integration.pipeline import Pipeline
from tests.integration.stage import eventually, running
from tests.unit.changes import USER, dms
from workers.agents.recent import RecentChanges
from workers.app import make_enrich
from workers.engine.app import StageApp
from workers.engine.configuration import read_config
from workers.kafka import topics
from workers.kafka.access import kafka_access
from workers.kafka.topics import RECENT_TABLE
from workers.rebuild.plan import plan_rebuild
from workers.rebuild.restore import write_rebuild

HOT, UPDATES, DELETED, LOGGED = 12, 45, 30, 450


def changes() -> list[tuple[bytes, bytes]]:
    """1,062 changes as DMS names them: rows that change more often than a row remembers, rows that are gone again, and
    entries of a log, of which nothing is remembered."""
    numbers = itertools.count(1)

    def record(operation: str, table: str, data: dict[str, object]) -> tuple[bytes, bytes]:
        value = dms(operation, data, table=table, transaction=next(numbers))
        return entity_key("core", table, (data["ID"],)), value

    found = [record("insert", "users", USER | {"ID": n}) for n in range(HOT + DELETED)]
    found += [
        record("update", "users", USER | {"ID": n, "UserName": f"u{version}"})
        for version in range(UPDATES)
        for n in range(HOT)
    ]
    found += [record("delete", "users", {"ID": HOT + n}) for n in range(DELETED)]
    log = {"OrgID": 3, "UserID": 7, "Status": "BUSY"}
    return found + [record("insert", "availability_log", log | {"ID": n}) for n in range(LOGGED)]


@pytest.fixture
def pipeline(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    return Pipeline(world, tmp_path, monkeypatch)


async def sent(pipeline: Pipeline, times: int) -> None:
    """Put all changes once more, the `times`-th time, and wait until the stage has read them."""
    await pipeline.put(pipeline.raw, changes())
    await pipeline.has_read("enrich", pipeline.raw, times * len(changes()))


async def event_ids(pipeline: Pipeline) -> list[str]:
    return [json.loads(record.value)["eventId"] for record in await pipeline.read(pipeline.topics.events)]


async def shared(*apps: StageApp) -> None:
    """Wait until each of them holds slots."""

    async def settled() -> bool:
        return all(app.ready and app.slots.owned for app in apps)

    await eventually(settled)


async def test_a_restart_of_the_source_adds_nothing_to_the_events(pipeline: Pipeline) -> None:
    await pipeline.make_topics()
    assert len(changes()) > 1_000
    async with running(make_enrich(pipeline.settings)):
        await sent(pipeline, 1)
        first = await event_ids(pipeline)
        assert len(set(first)) == len(first) == len(changes())
        await sent(pipeline, 2)
    recovered = make_enrich(pipeline.settings)
    async with contextlib.AsyncExitStack() as stays:
        await stays.enter_async_context(running(recovered))
        await sent(pipeline, 3)
        other = make_enrich(pipeline.settings)
        async with running(other):
            await shared(recovered, other)
            await sent(pipeline, 4)
        await sent(pipeline, 5)  # what the other one had comes back
    assert await event_ids(pipeline) == first
    ledgers = [ledger for _, ledger in (await pipeline.offsets("enrich", pipeline.raw)).values()]
    assert sum(ledger.counts["drop.resent"] for ledger in ledgers) == 4 * len(first)


async def test_changes_are_known_again_after_their_table_was_lost_and_rebuilt(pipeline: Pipeline) -> None:
    await pipeline.make_topics()
    async with running(make_enrich(pipeline.settings)):
        await sent(pipeline, 1)
    first, before = await event_ids(pipeline), await pipeline.table(RECENT_TABLE)
    await pipeline.recreate(pipeline.changelog(RECENT_TABLE))
    async with kafka_access(pipeline.settings) as kafka:
        found = await plan_rebuild(pipeline.settings, kafka, (), discard=False, tell=lambda *_: None)
        assert {part.table for part in found.mended} == {RECENT_TABLE}
        await write_rebuild(pipeline.settings, kafka, found, lambda *_: None)
    assert await pipeline.table(RECENT_TABLE) == before
    async with running(make_enrich(pipeline.settings)):
        await sent(pipeline, 2)
    assert await event_ids(pipeline) == first


async def test_a_stage_from_before_the_table_existed_goes_on_with_it(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as former:
        former.setattr(topics, "OWN_TABLES", tuple(name for name in topics.OWN_TABLES if name != RECENT_TABLE))
        former.setattr(RecentChanges, "holds", lambda *_: False)
        former.setattr(RecentChanges, "add", lambda *_: None)
        await pipeline.make_topics()
        old = make_enrich(pipeline.settings)
        old.tables.pop(RECENT_TABLE)
        async with running(old):
            await sent(pipeline, 1)
        record = await read_config(old)
    assert record is not None
    assert pipeline.changelog(RECENT_TABLE) not in record.changelogs
    new = make_enrich(pipeline.settings)
    async with running(new):
        await sent(pipeline, 2)
        known = await event_ids(pipeline)
        await sent(pipeline, 3)
    assert await event_ids(pipeline) == known
    record = await read_config(new)
    assert record is not None
    assert pipeline.changelog(RECENT_TABLE) in record.changelogs
