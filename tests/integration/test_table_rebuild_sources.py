"""Damaged tables come back from the raw topics of all sources, and all ledgers of a slot tell of the new changelog."""

import asyncio
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from sandbox.world import World
from tests.integration.pipeline import ORDERS, PARTITIONS, order, user
from tests.integration.stage import running
from tests.integration.two_sources import TwoSources
from workers.app import make_enrich
from workers.cli.table import table
from workers.engine.errors import BootRefused
from workers.engine.ledger import UNFINISHED
from workers.failures import ConfigurationError, ExitCode, RefusedError, UnreachableError
from workers.kafka.access import kafka_access
from workers.rebuild import restore
from workers.rebuild.plan import plan_rebuild, tables_of
from workers.rebuild.restore import Rebuild, write_rebuild

COUNT = 12

Tables = dict[str, dict[bytes, bytes]]


@pytest.fixture
def pipeline(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TwoSources:
    (tmp_path / "tables.yaml").write_text(ORDERS)
    monkeypatch.setenv("CDC_TABLES", str(tmp_path / "tables.yaml"))
    return TwoSources(world, tmp_path, monkeypatch)


async def users_come(pipeline: TwoSources, times: int = 1) -> None:
    """Users of source `core`, each changed `times` times, which leaves as many entries."""
    async with running(make_enrich(pipeline.settings)):
        for time in range(times):
            await pipeline.put(pipeline.raw, [user(n, HomeOrgID=7 + time) for n in range(COUNT)])
            await pipeline.has_read("enrich", pipeline.raw, (time + 1) * COUNT)


async def orders_come(pipeline: TwoSources, count: int = COUNT) -> None:
    """Orders of source `orders`, which belong to users of the other one."""
    await pipeline.put(pipeline.second, [order(n, n % COUNT) for n in range(count)])


async def worked(pipeline: TwoSources, times: int = 1) -> Tables:
    """Two lives of the stage: users come, and then orders that look for them. Returns its tables."""
    await pipeline.make_topics()
    await users_come(pipeline, times)
    async with running(make_enrich(pipeline.settings)):
        await orders_come(pipeline)
        await pipeline.has_read("enrich", pipeline.second, COUNT)
    return await tables(pipeline)


async def tables(pipeline: TwoSources) -> Tables:
    return {name: await pipeline.table(name) for name in tables_of(pipeline.settings)}


async def planned(pipeline: TwoSources, *forced: str, discard: bool = False) -> Rebuild:
    async with kafka_access(pipeline.settings) as kafka:
        return await plan_rebuild(pipeline.settings, kafka, forced, discard=discard, tell=lambda *_: None)


async def written(pipeline: TwoSources, found: Rebuild) -> Rebuild:
    async with kafka_access(pipeline.settings) as kafka:
        await write_rebuild(pipeline.settings, kafka, found, lambda *_: None)
    return found


async def rebuilt(pipeline: TwoSources, *forced: str, discard: bool = False) -> Rebuild:
    return await written(pipeline, await planned(pipeline, *forced, discard=discard))


async def refused(pipeline: TwoSources) -> str:
    with pytest.raises(BootRefused) as caught:
        async with running(make_enrich(pipeline.settings)):
            pass
    return str(caught.value)


async def damaged(pipeline: TwoSources, *names: str) -> None:
    for name in names or ("users", "schemas", "owners"):
        await pipeline.recreate(pipeline.changelog(name))


async def lasts(pipeline: TwoSources, name: str, topic: str) -> dict[int, int]:
    """How far the changelog reached, by the ledgers of one source."""
    found = await pipeline.offsets("enrich", topic)
    return {index: ledger.changelogs[name].last for index, (_, ledger) in found.items() if name in ledger.changelogs}


async def test_tables_that_two_sources_have_filled_are_restored_from_both(pipeline: TwoSources) -> None:
    before = await worked(pipeline)
    assert all(before[name] for name in ("users", "schemas", "owners"))
    await damaged(pipeline)
    found = await rebuilt(pipeline)
    assert found.records == 2 * 2 * COUNT
    assert not found.cut
    assert await tables(pipeline) == before


async def test_the_stage_goes_on_though_both_ledgers_told_of_a_longer_changelog(pipeline: TwoSources) -> None:
    """The new log is shorter than the old one: an extent of before in any ledger would say that it was truncated."""
    await worked(pipeline, times=3)
    before = [await lasts(pipeline, "users", topic) for topic in (pipeline.raw, pipeline.second)]
    await damaged(pipeline, "users")
    assert "the changelog of users" in await refused(pipeline)
    await rebuilt(pipeline)
    after = [await lasts(pipeline, "users", topic) for topic in (pipeline.raw, pipeline.second)]
    assert after[0] == after[1]
    assert all(after[0][index] < max(old.get(index, -1) for old in before) for index in range(PARTITIONS))
    await orders_come(pipeline, 2 * COUNT)
    async with running(make_enrich(pipeline.settings)):
        await pipeline.has_read("enrich", pipeline.second, 3 * COUNT)
    events = [event for event in await pipeline.read(pipeline.topics.events) if b"orders" in event.key]
    assert {json.loads(event.value)["orgId"] for event in events} == {"9"}


async def test_damage_that_only_the_ledger_of_one_source_knows_of_is_found(pipeline: TwoSources) -> None:
    await worked(pipeline)
    for index, (at, ledger) in (await pipeline.offsets("enrich", pipeline.second)).items():
        ledger.changelogs.clear()  # as of a source that was read for the last time before the tables were written
        await pipeline.set_offset("enrich", pipeline.second, index, at, ledger.encode())
    assert (await planned(pipeline)).mended == ()
    await damaged(pipeline, "users")
    assert {part.table for part in (await planned(pipeline)).mended} == {"users"}


async def cut_off(*_: object) -> int:
    raise ConnectionResetError


async def test_a_rebuild_that_was_cut_off_is_refused_by_every_ledger_and_can_be_repeated(
    pipeline: TwoSources, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = await worked(pipeline)
    found = await planned(pipeline, "users", discard=True)
    with monkeypatch.context() as patched:
        patched.setattr(restore, "_write_entries", cut_off)
        with pytest.raises(UnreachableError):
            await written(pipeline, found)
    assert "a rebuild of users was not completed" in await refused(pipeline)
    for topic in (pipeline.raw, pipeline.second):
        assert (await lasts(pipeline, "users", topic))[0] == UNFINISHED
    await rebuilt(pipeline, discard=True)
    assert await tables(pipeline) == before
    async with running(make_enrich(pipeline.settings)):
        pass


async def test_a_second_source_that_has_gone_on_meanwhile_is_not_set_back(pipeline: TwoSources) -> None:
    await worked(pipeline)
    found = await planned(pipeline, "users", discard=True)
    await orders_come(pipeline)
    async with running(make_enrich(pipeline.settings)):
        await pipeline.has_read("enrich", pipeline.second, 2 * COUNT)
    positions = await pipeline.offsets("enrich", pipeline.second)
    with pytest.raises(RefusedError, match="started meanwhile"):
        await written(pipeline, found)
    assert await pipeline.offsets("enrich", pipeline.second) == positions


async def test_a_source_whose_raw_records_were_deleted_is_told(pipeline: TwoSources) -> None:
    await worked(pipeline)
    at = {index: offset for index, (offset, _) in (await pipeline.offsets("enrich", pipeline.second)).items()}
    await pipeline.delete_before(pipeline.second, at)
    await damaged(pipeline, "users")
    ended = await asyncio.to_thread(CliRunner().invoke, table, ["rebuild", "--yes"])
    assert ended.exit_code == ExitCode.PARTIAL, (ended.output, ended.exception)
    assert f"{pipeline.second} holds no record only (partitions 0, 1)" in ended.stderr
    assert pipeline.raw not in ended.stderr
    assert len(await pipeline.table("users")) == COUNT


async def test_a_source_that_was_added_since_is_not_waited_for(pipeline: TwoSources) -> None:
    """The stage would not start before the tables are whole, and so never give it offsets."""
    stream = pipeline.settings.sources[0].stream
    pipeline.configure(stream, None)
    pipeline.read_again()
    await pipeline.make_topics()
    await users_come(pipeline)
    before = await tables(pipeline)
    await damaged(pipeline)
    pipeline.configure(stream, "orders-stream")
    pipeline.read_again()
    await pipeline.make_topics()
    await orders_come(pipeline)
    assert "cdc table rebuild" in await refused(pipeline)
    await rebuilt(pipeline)
    assert await tables(pipeline) == before
    async with running(make_enrich(pipeline.settings)):
        await pipeline.has_read("enrich", pipeline.second, COUNT)


async def test_a_source_whose_offsets_were_lost_is_no_new_one(pipeline: TwoSources) -> None:
    await worked(pipeline)
    await pipeline.set_offset("enrich", pipeline.second, 0, -1)  # Kafka answers so where there is none
    with pytest.raises(ConfigurationError, match="nobody knows how far"):
        await planned(pipeline, "users")
