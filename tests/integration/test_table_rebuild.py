"""Damaged tables come back from the raw topic, as they were, and nothing that is sound is touched."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import PolicyViolationError

from models.routing import partition_of
from sandbox.world import World
from tests.integration.pipeline import ORDERS, PARTITIONS, Pipeline, order, user
from tests.integration.stage import eventually, running
from workers.app import make_enrich
from workers.engine.errors import BootRefused
from workers.failures import ConfigurationError, RefusedError, UnreachableError
from workers.kafka.access import kafka_access
from workers.kafka.log_ranges import in_order
from workers.rebuild import plan, restore
from workers.rebuild.plan import plan_rebuild, tables_of
from workers.rebuild.restore import Rebuild, write_rebuild
from workers.settings.worker import load_settings


@pytest.fixture
def pipeline(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    made = Pipeline(world, tmp_path, monkeypatch)
    (tmp_path / "tables.yaml").write_text(ORDERS)
    monkeypatch.setenv("CDC_TABLES", str(tmp_path / "tables.yaml"))
    made.settings = load_settings()
    return made


def at_position(record: tuple[bytes, bytes], position: int) -> tuple[bytes, bytes]:
    """The change has a name of its own, so that it is known when it is sent again."""
    document = json.loads(record[1])
    document["metadata"] |= {"transaction-id": position, "transaction-record-id": 1, "stream-position": f"{position}.1"}
    return record[0], json.dumps(document).encode()


async def worked(pipeline: Pipeline, start: int = 0, count: int = 30) -> dict[str, dict[bytes, bytes]]:
    """A life of the stage: users that come, change and go, and orders that look for them. Returns its tables."""
    await pipeline.make_topics()
    await feed(pipeline, start, count)
    return await tables(pipeline)


async def feed(pipeline: Pipeline, start: int, count: int) -> None:
    """One step after the other: which of two partitions is ahead is nobody's business here."""
    read = sum(led.counts.get("in", 0) for _, led in (await pipeline.offsets("enrich", pipeline.raw)).values())
    numbers = range(start, start + count)
    users = [user(n) for n in numbers]
    users += [user(n, "update", HomeOrgID=7) for n in numbers if n % 3 == 0]
    users += [user(n, "delete") for n in numbers if n % 5 == 1]
    orders = [order(n, n) for n in numbers if n % 5 != 1]
    gone = [(user(n)[0], None) for n in numbers if n % 5 == 2]
    async with running(make_enrich(pipeline.settings)):
        for records, headers in ((users, None), (orders, None), (gone, [("cdc-retired", b"1")])):
            await pipeline.put(pipeline.raw, records, headers=headers)
            read += len(records)
            await pipeline.has_read("enrich", pipeline.raw, read)


async def tables(pipeline: Pipeline) -> dict[str, dict[bytes, bytes]]:
    return {name: await pipeline.table(name) for name in tables_of(pipeline.settings)}


async def planned(pipeline: Pipeline, *forced: str, discard: bool = False) -> Rebuild:
    async with kafka_access(pipeline.settings) as kafka:
        return await plan_rebuild(pipeline.settings, kafka, forced, discard=discard, tell=lambda *_: None)


async def written(pipeline: Pipeline, found: Rebuild) -> None:
    async with kafka_access(pipeline.settings) as kafka:
        await write_rebuild(pipeline.settings, kafka, found, lambda *_: None)


async def rebuilt(pipeline: Pipeline, *forced: str, discard: bool = False) -> Rebuild:
    found = await planned(pipeline, *forced, discard=discard)
    await written(pipeline, found)
    return found


async def refused(pipeline: Pipeline) -> str:
    with pytest.raises(BootRefused) as caught:
        async with running(make_enrich(pipeline.settings)):
            pass
    return str(caught.value)


async def forgotten(pipeline: Pipeline, table: str, offsets: dict[int, int]) -> None:
    """The changelog was deleted up to there, as if it were no changelog."""
    await pipeline.set_policy(pipeline.changelog(table), "delete")

    async def deleted() -> bool:
        try:
            await pipeline.delete_before(pipeline.changelog(table), offsets)
        except PolicyViolationError:
            return False  # the broker has not heard of the new policy yet
        return True

    await eventually(deleted)
    await pipeline.set_policy(pipeline.changelog(table), "compact")


async def test_changelogs_made_anew_are_restored_to_what_they_were(pipeline: Pipeline) -> None:
    before = await worked(pipeline)
    assert all(before[name] for name in ("users", "schemas", "owners"))
    for name in ("users", "schemas", "owners"):
        await pipeline.recreate(pipeline.changelog(name))
    assert "cdc table rebuild" in await refused(pipeline)
    found = await rebuilt(pipeline)
    assert {part.table for part in found.mended} == {"users", "schemas", "owners"}
    assert not found.cut
    assert await tables(pipeline) == before


async def test_the_stage_goes_on_after_a_rebuild_and_sees_what_was_restored(pipeline: Pipeline) -> None:
    await worked(pipeline)
    await pipeline.recreate(pipeline.changelog("users"))
    await rebuilt(pipeline)
    events = len(await pipeline.read(pipeline.topics.events))
    await pipeline.put(pipeline.raw, [order(100, 3)])
    read = sum(led.counts["in"] for _, led in (await pipeline.offsets("enrich", pipeline.raw)).values())
    async with running(make_enrich(pipeline.settings)):
        await pipeline.has_read("enrich", pipeline.raw, read + 1)
    after = await pipeline.read(pipeline.topics.events)
    assert len(after) == events + 1
    [event] = [json.loads(event.value) for event in after if b"orders:100" in event.key]
    assert event["orgId"] == "7"


async def test_a_damaged_table_is_restored_and_a_sound_one_is_left_alone(pipeline: Pipeline) -> None:
    before = await worked(pipeline)
    sound = {name: len(await pipeline.read(pipeline.changelog(name))) for name in ("users", "orgs", "groups")}
    await forgotten(pipeline, "owners", {0: 4})
    found = await rebuilt(pipeline)
    assert [(part.table, part.partition) for part in found.mended] == [("owners", 0)]
    assert "entries were deleted" in found.mended[0].why
    assert await tables(pipeline) == before
    assert {name: len(await pipeline.read(pipeline.changelog(name))) for name in sound} == sound
    assert (await planned(pipeline)).mended == ()


async def test_entries_that_cannot_be_read_are_replaced_and_foreign_ones_removed(pipeline: Pipeline) -> None:
    before = await worked(pipeline)
    key = next(iter(before["users"]))
    await pipeline.put(pipeline.changelog("users"), [(key, b"garbage"), (b"foreign", b"garbage")])
    found = await rebuilt(pipeline)
    assert {part.why for part in found.mended} <= {
        f"the changelog of users holds {n} entries that cannot be read" for n in (1, 2)
    }
    assert await tables(pipeline) == before


async def test_what_is_left_of_a_changelog_stays_where_raw_was_deleted(pipeline: Pipeline) -> None:
    before = await worked(pipeline)
    at = {p: offset for p, (offset, _) in (await pipeline.offsets("enrich", pipeline.raw)).items()}
    await pipeline.delete_before(pipeline.raw, at)
    await forgotten(pipeline, "users", {0: 3, 1: 3})
    left = await pipeline.table("users")
    found = await rebuilt(pipeline)
    assert found.cut == (0, 1)
    assert await pipeline.table("users") == left
    assert left.items() <= before["users"].items()
    await feed(pipeline, 1000, 3)


async def test_discarding_begins_with_nothing(pipeline: Pipeline) -> None:
    before = await worked(pipeline)
    key = user(5000)[0]
    await pipeline.put(pipeline.changelog("users"), [(key, b'{"org_id":"1","v":1}')])
    assert (await planned(pipeline)).mended == ()
    await rebuilt(pipeline, "users")
    assert key in await pipeline.table("users")
    await rebuilt(pipeline, "users", discard=True)
    assert await tables(pipeline) == before


async def test_records_behind_the_position_of_the_stage_are_left_to_it(pipeline: Pipeline) -> None:
    before = await worked(pipeline)
    await pipeline.put(pipeline.raw, [user(n, HomeOrgID=99) for n in range(30)])
    await pipeline.recreate(pipeline.changelog("users"))
    await rebuilt(pipeline)
    assert await tables(pipeline) == before


async def test_a_row_keeps_the_owner_that_came_after_it_in_another_partition(pipeline: Pipeline) -> None:
    await pipeline.make_topics()
    waits = next(n for n in range(100) if partition_of(order(n, n)[0], PARTITIONS) == 0)
    provides = next(n for n in range(100) if partition_of(user(n)[0], PARTITIONS) == 1)
    await pipeline.put(pipeline.raw, [order(waits, provides)])
    async with running(make_enrich(pipeline.settings)):
        await pipeline.put(pipeline.raw, [user(provides, HomeOrgID=17)])
        await pipeline.has_read("enrich", pipeline.raw, 2)
    before = await tables(pipeline)
    assert b'"org_id":"17"' in before["owners"][order(waits, provides)[0]]
    await pipeline.recreate(pipeline.changelog("owners"))
    await rebuilt(pipeline)
    assert await tables(pipeline) == before


async def test_nothing_is_rebuilt_while_a_worker_runs(pipeline: Pipeline) -> None:
    await worked(pipeline)
    async with running(make_enrich(pipeline.settings)):
        with pytest.raises(RefusedError, match="are running"):
            await planned(pipeline, "users")


async def test_a_worker_that_has_gone_on_meanwhile_is_not_set_back(pipeline: Pipeline) -> None:
    await worked(pipeline)
    found = await planned(pipeline, "users", discard=True)
    await feed(pipeline, 500, 10)
    after = await tables(pipeline)
    positions = await pipeline.offsets("enrich", pipeline.raw)
    with pytest.raises(RefusedError, match="started meanwhile"):
        await written(pipeline, found)
    assert await tables(pipeline) == after
    assert await pipeline.offsets("enrich", pipeline.raw) == positions


async def cut_off(*_: Any, **__: Any) -> int:
    raise ConnectionResetError


@pytest.mark.parametrize("damaged", [True, False])
async def test_a_rebuild_that_was_cut_off_is_still_refused_and_can_be_repeated(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, damaged: bool
) -> None:
    before = await worked(pipeline)
    if damaged:
        await pipeline.recreate(pipeline.changelog("users"))
    found = await planned(pipeline, "users", discard=True)
    with monkeypatch.context() as patched:
        patched.setattr(restore, "_write_entries", cut_off)
        with pytest.raises(UnreachableError):
            await written(pipeline, found)
    assert "a rebuild of users was not completed" in await refused(pipeline)
    await rebuilt(pipeline, discard=True)
    assert await tables(pipeline) == before
    await feed(pipeline, 1000, 3)


async def test_a_worker_that_starts_while_entries_are_written_ends_the_rebuild(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    await worked(pipeline)
    found = await planned(pipeline, "users", discard=True)
    write = restore._write_entries

    async def fence(*arguments: Any) -> int:
        async with AIOKafkaProducer(**pipeline.client, transactional_id=f"{pipeline.group('enrich')}-0"):
            return await write(*arguments)

    monkeypatch.setattr(restore, "_write_entries", fence)
    # A part that has nothing to write would not meet the fence before its position.
    with pytest.raises(RefusedError, match="started meanwhile"):
        await written(pipeline, found)


async def test_a_raw_topic_that_ends_below_the_position_is_restored_as_far_as_it_goes(pipeline: Pipeline) -> None:
    before = await worked(pipeline)
    at, ledger = (await pipeline.offsets("enrich", pipeline.raw))[0]
    await pipeline.set_offset("enrich", pipeline.raw, 0, at + 100, ledger.encode())
    await pipeline.recreate(pipeline.changelog("users"))
    found = await rebuilt(pipeline)
    assert found.cut == (0,)
    assert await tables(pipeline) == before


async def test_retention_that_deletes_what_is_about_to_be_read_cuts_the_rebuild_short(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    await worked(pipeline)
    for name in ("users", "owners"):
        await pipeline.recreate(pipeline.changelog(name))
    at = {p: offset - 1 for p, (offset, _) in (await pipeline.offsets("enrich", pipeline.raw)).items()}

    async def deleting(*arguments: Any, **named: Any) -> AsyncIterator[Any]:
        if arguments[-1] == "row memory":
            await pipeline.delete_before(pipeline.raw, at)
        async for record in in_order(*arguments, **named):
            yield record

    monkeypatch.setattr(plan, "in_order", deleting)
    assert (await rebuilt(pipeline)).cut == (0, 1)


async def test_tables_that_the_stage_did_not_run_with_are_refused(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = await worked(pipeline)
    await pipeline.recreate(pipeline.changelog("owners"))
    with monkeypatch.context() as patched:
        patched.delenv("CDC_TABLES")
        own, pipeline.settings = pipeline.settings, load_settings()
        with pytest.raises(ConfigurationError, match="other tables"):
            await planned(pipeline)
        async with kafka_access(pipeline.settings) as kafka:
            found = await plan_rebuild(
                pipeline.settings, kafka, (), discard=False, other_tables=True, tell=lambda *_: None
            )
        assert sum(len(part.put) for part in found.mended) < len(before["owners"])
        pipeline.settings = own
    await rebuilt(pipeline)
    assert await tables(pipeline) == before


async def test_a_row_gets_the_owner_of_its_time_though_its_provider_is_still_remembered(pipeline: Pipeline) -> None:
    await pipeline.make_topics()
    users = [at_position(user(1, HomeOrgID=5), 1), at_position(user(1, "update", HomeOrgID=6), 3)]
    late = at_position(order(7, 1), 2)
    await pipeline.put(pipeline.raw, [users[0]])
    async with running(make_enrich(pipeline.settings)):
        await pipeline.has_read("enrich", pipeline.raw, 1)
        await pipeline.put(pipeline.raw, [late])
        await pipeline.has_read("enrich", pipeline.raw, 2)
        await pipeline.put(pipeline.raw, [users[1]])
        await pipeline.has_read("enrich", pipeline.raw, 3)
    before = await tables(pipeline)
    assert b'"org_id":"5"' in before["owners"][late[0]]
    await pipeline.put(pipeline.changelog("owners"), [(late[0], b"garbage")])
    await rebuilt(pipeline)
    assert await tables(pipeline) == before


async def test_progress_is_told_of_every_pass(pipeline: Pipeline) -> None:
    await worked(pipeline)
    told: list[tuple[str, int, int]] = []

    def tell(what: str, done: int, total: int) -> None:
        told.append((what, done, total))

    async with kafka_access(pipeline.settings) as kafka:
        found = await plan_rebuild(pipeline.settings, kafka, ("users", "owners"), discard=True, tell=tell)
    changelogs = {pipeline.changelog(name) for name in tables_of(pipeline.settings)}
    assert {what for what, _, _ in told} == changelogs | {"lookups", "row memory"}
    assert all(done <= total for _, done, total in told)
    assert told[-1][1] == told[-1][2] == sum(read.end for read in found.ranges.values())
