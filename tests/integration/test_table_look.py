"""Tables looked at from the outside, and a redrive that the page starts: on a real Kafka."""

import json
from pathlib import Path
from typing import Any

import pytest

from enrichers.row_view import RowView
from models.letter_selection import Selection
from models.outcome import Failure
from models.routing import partition_of
from sandbox.world import World
from tests.integration.pipeline import ORDERS, PARTITIONS, Pipeline, order, user
from tests.integration.stage import eventually, running
from tests.unit.letters import dead_record
from workers.app import make_enrich, now_ms
from workers.contract import read_catalogue
from workers.dead_letters.running import NumberChanged, RedriveOrder, Redriver
from workers.failures import NotFoundError, RefusedError
from workers.kafka.access import KafkaAccess, kafka_access
from workers.lookup_tables.changelogs import measure_tables, read_keys, read_pins, read_table
from workers.lookup_tables.entries import known_tables
from workers.lookup_tables.explanation import Keys, explain
from workers.lookup_tables.verification import verify_changelogs, verify_with_raw
from workers.settings.worker import load_settings

USERS = 12


def quiet(*_: Any) -> None:
    pass


@pytest.fixture
def pipeline(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    made = Pipeline(world, tmp_path, monkeypatch)
    (tmp_path / "tables.yaml").write_text(ORDERS)
    monkeypatch.setenv("CDC_TABLES", str(tmp_path / "tables.yaml"))
    made.settings = load_settings()
    return made


async def worked(pipeline: Pipeline) -> None:
    await pipeline.make_topics()
    await pipeline.put(pipeline.raw, [user(n) for n in range(USERS)])
    await pipeline.put(pipeline.raw, [user(1, "delete")])
    async with running(make_enrich(pipeline.settings)):
        await pipeline.has_read("enrich", pipeline.raw, USERS + 1)
        await pipeline.put(pipeline.raw, [order(40, 3)])
        await pipeline.has_read("enrich", pipeline.raw, USERS + 2)
        async with kafka_access(pipeline.settings) as kafka:
            assert not (await verify_changelogs(pipeline.settings, kafka, tables_of(pipeline), quiet)).findings
            with pytest.raises(RefusedError):
                await verify_with_raw(pipeline.settings, kafka, tables_of(pipeline), quiet)


def tables_of(pipeline: Pipeline) -> tuple[str, ...]:
    return known_tables(read_catalogue(pipeline.settings))


async def story(pipeline: Pipeline, kafka: KafkaAccess, text: str) -> dict[str, Any]:
    async def fetch(keys: Keys) -> dict[tuple[str, bytes], bytes]:
        return {(e.table, e.key): e.value for e in await read_keys(pipeline.settings, kafka, keys, quiet)}

    rows = RowView(read_catalogue(pipeline.settings))
    pins = await read_pins(pipeline.settings, kafka, quiet)
    return (await explain(pipeline.settings, kafka, rows, text, fetch, pins, quiet)).document()


async def test_tables_are_measured_searched_explained_and_verified(pipeline: Pipeline) -> None:
    await worked(pipeline)
    settings, key = pipeline.settings, user(3)[0]
    async with kafka_access(settings) as kafka:
        sizes = await measure_tables(settings, kafka, ["users"], quiet)
        assert len(sizes) == PARTITIONS
        assert sum(size.entries for size in sizes) == USERS - 1
        assert sum(size.tombstones for size in sizes) == 1
        assert all(size.unreadable == 0 and size.end > size.start for size in sizes)

        [entry] = await read_keys(settings, kafka, {"users": [key, user(1)[0]]}, quiet)
        assert (entry.key, entry.partition) == (key, partition_of(key, PARTITIONS))
        assert len(await read_table(settings, kafka, "users", lambda _: True, quiet)) == USERS - 1

        [event] = [
            json.loads(record.value)
            for record in await pipeline.read(pipeline.topics.events)
            if record.key == b"orders:40"
        ]
        for text in (event["eventId"], "orders:40"):
            found = await story(pipeline, kafka, text)
            org = found["now"][0]
            assert (org["value"], org["source"]) == (event["orgId"], "table")
            assert (found["event"] is None) == (text == "orders:40")
        with pytest.raises(NotFoundError, match="no raw record of that row"):
            await story(pipeline, kafka, "orders:41")
        with pytest.raises(NotFoundError, match="holds no event"):
            await story(pipeline, kafka, f"{event['eventId']}0")

        whole = await verify_with_raw(settings, kafka, tables_of(pipeline), quiet)
        assert (whole.findings, whole.cut) == ((), ())
        assert whole.raw_records
        # An entry that nobody derived from raw, and one that nobody can read.
        wrong = entry.value.replace(b'"org_id":"', b'"org_id":"9')
        await pipeline.put(pipeline.changelog("users"), [(key, wrong), (user(5)[0], b"garbage")])
        told = await verify_changelogs(settings, kafka, tables_of(pipeline), quiet)
        assert {(one.table, one.partition) for one in told.findings} == {
            ("users", partition_of(user(5)[0], PARTITIONS))
        }
        told = await verify_with_raw(settings, kafka, ["users"], quiet)
        assert sum(one.differing for one in told.findings) >= 2


async def test_a_redrive_from_the_page_does_what_was_agreed_upon_and_nothing_else(pipeline: Pipeline) -> None:
    await pipeline.make_topics()
    settings = pipeline.settings
    letters = [dead_record(n, partition=0, code=Failure.VALIDATION_ERROR) for n in range(3)]
    for letter in letters:
        await pipeline.put(
            pipeline.topics.dead, [(letter.key, letter.value)], headers=list(letter.headers),
            partition=partition_of(letter.key or b"", PARTITIONS),
        )  # fmt: skip
    redriver = Redriver()

    def order_of(expected: int) -> RedriveOrder:
        return RedriveOrder(Selection(tables=frozenset(("users",))), lambda _: (), 5, expected)

    with pytest.raises(NumberChanged) as caught:
        await redriver.begin(settings, order_of(2), now_ms)
    redriven = pipeline.topics.redrive["enrich"]
    assert (caught.value.now, await pipeline.read(redriven)) == (3, [])
    progress = await redriver.begin(settings, order_of(3), now_ms)

    async def ended() -> bool:
        return progress.ended_ms is not None

    await eventually(ended)
    assert (progress.done, progress.total, progress.error) == (3, 3, "")
    assert len(await pipeline.read(redriven)) == 3
    with pytest.raises(NumberChanged):
        await redriver.begin(settings, order_of(3), now_ms)
