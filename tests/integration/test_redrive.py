"""Dead letters that are tried again, and a flood of poison that never becomes any, on real Kafka."""

import json
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from models.dead_letter import DeadLetter
from models.raw import HEADER_SOURCE, Origin, raw_headers
from models.redrive import DeadRecord, RedriveRecord, redrive_of
from sandbox.world import World
from tests.integration.auditing import audited
from tests.integration.pipeline import Pipeline, row
from tests.integration.stage import eventually, running
from workers.app import make_enrich, make_publish
from workers.audit.verdicts import Verdict
from workers.engine.app import StageApp
from workers.kafka.access import kafka_access
from workers.settings.worker import load_settings
from workers.status import look

ORDERS = """
version: 1
tables:
  - {table: orders, entity: order, key: [ID], columns: {ID: int, Total: %s}, owner: none}
"""
COUNT = 40


@pytest.fixture
def pipeline(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    monkeypatch.setenv("CDC_TABLES", str(tmp_path / "tables.yaml"))
    configure(tmp_path, "int")
    return Pipeline(world, tmp_path, monkeypatch)


def configure(directory: Path, total: str) -> None:
    (directory / "tables.yaml").write_text(ORDERS % total, encoding="utf-8")


async def redriven(pipeline: Pipeline) -> dict[str, int]:
    """Every dead letter is tried again; how many, by stage."""
    found: dict[str, int] = {}
    letters = await pipeline.read(pipeline.topics.dead)
    async with AIOKafkaProducer(**pipeline.client) as producer:
        for record in letters:
            again = redrive_of(
                DeadRecord(record.partition, record.offset, record.timestamp, record.key, record.value, record.headers)
            )
            assert isinstance(again, RedriveRecord), again
            topic, headers = pipeline.topics.redrive[again.stage], list(again.headers)
            await producer.send(topic, again.value, key=again.key, partition=again.partition, headers=headers)
            found[again.stage] = found.get(again.stage, 0) + 1
        await producer.flush()
    return found


async def orders(pipeline: Pipeline) -> None:
    headers = raw_headers(Origin("stream", "shard", "4966", 0, 1768473060400), adapter="dms")
    records = [row("orders", number, "insert", {"Total": "twelve"}) for number in range(COUNT)]
    await pipeline.put(pipeline.raw, records, headers=headers)


async def standstills(pipeline: Pipeline) -> list[str]:
    """Why enrich stands still, as `cdc status` shows it."""
    async with kafka_access(pipeline.settings) as kafka:
        (enrich,) = await look(pipeline.settings, kafka, ["enrich"])
    return [one.why for one in enrich.standstills]


def events_of(records: list[Any]) -> dict[str, dict[str, Any]]:
    return {event["eventId"]: event for event in (json.loads(record.value) for record in records)}


async def test_what_was_dead_for_a_wrong_type_becomes_the_event_it_would_have_been_and_everything_adds_up(
    pipeline: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    topics = pipeline.topics
    pipeline.outside()
    await pipeline.make_topics()
    await orders(pipeline)
    async with running(make_enrich(pipeline.settings)):
        await pipeline.has_read("enrich", pipeline.raw, COUNT)
    letters = [DeadLetter.from_headers(record.headers) for record in await pipeline.read(topics.dead)]
    assert len(letters) == COUNT
    configure(tmp_path, "text")
    assert await redriven(pipeline) == {"enrich": COUNT}
    async with running(make_enrich(pipeline.settings)):
        await pipeline.has_read("enrich", topics.redrive["enrich"], COUNT)
    found = events_of(await pipeline.read(topics.events))
    assert {event["metadata"]["sequence"] for event in found.values()} == {
        f"0001-{letter.offset:020d}" for letter in letters
    }
    assert {event["metadata"]["replay"] for event in found.values()} == {1}

    long = {
        "eventId": "evt_1_long", "eventType": "order.created", "entityType": "orders", "entityId": "9" * 3_000,
        "timestamp": "2026-01-15T10:31:00.000000Z", "metadata": {"sequence": f"0001-{10**6:020d}", "replay": 1},
    }  # fmt: skip
    sent = json.dumps(long).encode()
    await pipeline.put(topics.events, [(b"orders:9", sent)], partition=0, headers=[(HEADER_SOURCE, b"core")])
    monkeypatch.setenv("CDC_PUT_EVENTS_MAX_BYTES", "2048")
    async with running(make_publish(load_settings())):
        await pipeline.has_read("publish", topics.events, COUNT + 1)
    refused = [record for record in await pipeline.read(topics.dead) if record.value == sent]
    assert len(refused) == 1
    monkeypatch.delenv("CDC_PUT_EVENTS_MAX_BYTES")
    assert (await redriven(pipeline))["publish"] == 1
    async with running(make_publish(pipeline.settings)):
        await pipeline.has_read("publish", topics.redrive["publish"], 1)
    receipts = [json.loads(record.value) for record in await pipeline.read(topics.receipts)]
    told = [receipt for receipt in receipts if receipt["eventId"] == "evt_1_long"]
    assert [(receipt["replay"], receipt["busEventId"] != "") for receipt in told] == [(1, True)]

    async with running(make_enrich(pipeline.settings)):  # all of them once more
        await pipeline.has_read("enrich", topics.redrive["enrich"], 2 * COUNT)
    again = await pipeline.read(topics.events)
    assert len(again) == 2 * COUNT + 1
    assert events_of(again).keys() == found.keys() | {"evt_1_long"}
    report = await audited(pipeline, "enrich", "publish")
    judged = {(line.topic, line.verdict) for line in report.lines if line.topic in topics.redrive.values()}
    assert judged == {(topic, Verdict.OK) for topic in topics.redrive.values()}, report.document()


async def test_a_flood_of_poison_stops_the_stage_until_somebody_says_that_it_may_go_on(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    await pipeline.make_topics()
    await orders(pipeline)
    monkeypatch.setenv("CDC_DEAD_WINDOW", "3/30")
    app: StageApp = make_enrich(load_settings())
    async with running(app, wait_ready=False):

        async def stopped() -> bool:
            return "dead letters" in app.blockers

        await eventually(stopped)
        assert not app.ready

        async def shown() -> bool:
            return any("3 of the last 30 records" in why for why in await standstills(pipeline))

        await eventually(shown)
    assert len(await pipeline.read(pipeline.topics.dead)) < 3
    monkeypatch.setenv("CDC_DEAD_WINDOW", "off")
    async with running(make_enrich(load_settings())):
        await pipeline.has_read("enrich", pipeline.raw, COUNT)
    assert len(await pipeline.read(pipeline.topics.dead)) == COUNT
    assert await standstills(pipeline) == [], "it is over"
