"""What a source sends again adds nothing to the events, whatever happens to the stage in between."""

import json
from typing import Any

from enrichers.pipeline import Pipeline, PipelineOptions
from models.catalogue import TELEPHONY, Catalogue
from models.routing import entity_key
from tests.unit.changes import USER, dms
from workers.agents.enrich import Enrich, add_enrich
from workers.engine.app import StageApp
from workers.engine.options import EngineOptions
from workers.engine.testing import StageKit
from workers.kafka.topics import RECENT_TABLE, Topics

PARTITIONS = 2
RAW = "cdc.raw.core"
TOPICS = Topics(
    config="cdc.config", slots="cdc.slots", checkpoints="cdc.checkpoints", raw={"core": RAW}, events="cdc.events",
    dead="cdc.dead", receipts="cdc.receipts",
)  # fmt: skip


def enriching() -> StageApp:
    app = StageApp("cdc-enrich", EngineOptions(bootstrap="localhost:9092", partitions=PARTITIONS))
    catalogue = Catalogue(TELEPHONY)
    pipeline = Pipeline(catalogue, PipelineOptions(environment="LOCAL", redaction_key=b"k" * 32))
    add_enrich(app, Enrich(pipeline, TOPICS, PARTITIONS, catalogue.fingerprint, lambda: 0))
    return app


def a_day(start: int = 0) -> list[tuple[bytes, bytes]]:
    """(key, value) of raw records: a hot row, rows that come and go, and a log; each has a name of its own."""
    found = []
    for n in range(start, start + 60):
        user = USER | {"UserName": f"u{n}"}
        found.append((entity_key("core", "users", (7,)), dms("update", user, transaction=10 * n)))
        found.append(
            (entity_key("core", "users", (n + 100,)), dms("insert", user | {"ID": n + 100}, transaction=10 * n + 1))
        )
        found.append((entity_key("core", "users", (n + 100,)), dms("delete", {"ID": n + 100}, transaction=10 * n + 2)))
        entry = {"ID": n, "OrgID": 3, "UserID": 7, "Status": "BUSY"}
        found.append((
            entity_key("core", "availability_log", (n,)),
            dms("insert", entry, table="availability_log", transaction=10 * n + 3),
        ))  # fmt: skip
    return found


def published(kit: StageKit) -> list[Any]:
    return [json.loads(record.value)["eventId"] for record in kit.records(TOPICS.events)]


def resent(kit: StageKit) -> int:
    return sum(kit.ledger(RAW, index).counts.get("drop.resent", 0) for index in range(PARTITIONS))


async def test_what_is_sent_again_is_dropped_also_within_one_unit() -> None:
    async with StageKit(enriching) as kit:
        day = a_day()
        await kit.feed(RAW, [*day, *day])
        assert len(published(kit)) == len(set(published(kit))) == len(day)
        assert resent(kit) == len(day)


async def test_it_is_known_after_a_restart_a_kill_and_a_rebalance() -> None:
    async with StageKit(enriching) as kit:
        day = a_day()
        await kit.feed(RAW, day)
        first = published(kit)
        await kit.restart()
        await kit.feed(RAW, day)
        await kit.restart(orderly=False)
        await kit.feed(RAW, day)
        await kit.rebalance([0])
        await kit.rebalance()
        await kit.feed(RAW, day)
        assert published(kit) == first
        assert resent(kit) == 3 * len(day)


async def test_a_unit_that_came_to_nothing_leaves_no_change_behind() -> None:
    async with StageKit(enriching) as kit:
        aborted, unanswered = kit.abort_next(2), kit.lose_answer_of_next_commit()
        await kit.feed(RAW, a_day())
        assert (aborted.fired, unanswered.fired) == (2, 1)
        assert len(published(kit)) == len(set(published(kit))) == len(a_day())
        assert resent(kit) == 0


async def test_a_unit_that_is_halved_leaves_no_change_behind() -> None:
    async with StageKit(enriching) as kit:
        large = kit.too_large(TOPICS.events, 20_000)
        await kit.feed(RAW, a_day())
        assert large.fired
        assert len(published(kit)) == len(set(published(kit))) == len(a_day())
        assert resent(kit) == 0


async def test_the_table_stays_small_and_is_written_once_per_unit_and_block() -> None:
    async with StageKit(enriching) as kit:
        for start in range(0, 600, 60):
            await kit.feed(RAW, a_day(start))
        blocks = kit.changelog(RECENT_TABLE)
        assert kit.table(RECENT_TABLE) == blocks
        assert max(map(len, blocks.values())) < 1_300
        written = len(kit.records(kit.app.tables[RECENT_TABLE].changelog_topic_name))
        assert written <= sum(map(len, blocks.values())) / 1_280 + 10 * PARTITIONS + PARTITIONS
