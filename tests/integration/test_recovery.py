"""P2: a table is what its changelog says, however that log looks: empty, compacted while it is read, full of aborted
writes, or damaged."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from enrichers.pipeline import Pipeline, PipelineOptions
from models.catalogue import TELEPHONY, Catalogue
from sandbox.kafka.broker import KafkaBroker
from tests.integration.stage import PARTITIONS, Bench, eventually, running
from workers.agents.enrich import Enrich, add_enrich
from workers.engine.app import StageApp
from workers.engine.unit import Done, UnitOfWork
from workers.kafka.topics import Topics

EAGER = {
    "log.cleaner.backoff.ms": "100",
    "log.cleaner.min.cleanable.ratio": "0.001",
    "log.retention.check.interval.ms": "1000",
}
COMPACTED = {"segment_ms": "100", "min_cleanable_dirty_ratio": "0.001", "delete_retention_ms": "0"}
KEYS = 5


@pytest.fixture(scope="module")
def compacting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Kafka whose log cleaner never rests."""
    with contextlib.closing(KafkaBroker(tmp_path_factory.mktemp("compacting"), properties=EAGER)) as kafka:
        kafka.start()
        yield kafka.bootstrap


def counting(bench: Bench, **options: Any) -> StageApp:
    """Counts the records of each key, in a table of its own partition and in one that everybody holds."""
    app = bench.app("count", **options)
    seen, everywhere = app.partitioned("seen", "records per key"), app.everywhere("all", "records per key")

    @app.process(bench.topic("in"), bury=lambda *_: None)
    async def count(unit: UnitOfWork) -> Done:
        for record in unit.batch or ():
            n = int(seen.get(record.key) or b"0") + 1
            seen[record.key] = everywhere[record.key] = b"%d" % n
            unit.send(bench.topic("out"), record.key, b"%d" % n)
            unit.out()
        return Done()

    return app


def folded(app: StageApp) -> dict[str, dict[bytes, int]]:
    return {name: {key: int(value) for key, value in table.data.items()} for name, table in app.tables.items()}


def both(count: int) -> dict[str, dict[bytes, int]]:
    """Every key counted to `count` in both tables."""
    return {name: {b"k%d" % key: count for key in range(KEYS)} for name in ("seen", "all")}


async def test_a_changelog_that_is_compacted_while_it_is_written_and_read_gives_the_same_table(
    compacting: str, tmp_path: Path
) -> None:
    bench = Bench(compacting, str(tmp_path))
    await bench.create("in", "out")
    await bench.create("count-seen-changelog", "count-all-changelog", compact=True, **COMPACTED)
    sent = 0
    for _ in range(4):
        async with running(app := counting(bench, linger=0.0)):
            for _ in range(25):
                await bench.put("in", [(b"k%d" % key, b"x") for key in range(KEYS)])
                sent += KEYS

            async def all_out(count: int = sent) -> bool:
                return len(await bench.read("out")) >= count

            await eventually(all_out)
            assert folded(app) == both(sent // KEYS)
    ends = await bench.ends("count-seen-changelog")

    async def compacted() -> bool:
        return len(await bench.read("count-seen-changelog")) < sum(ends.values()) // 4

    await eventually(compacted)
    async with running(fresh := counting(bench)):
        assert folded(fresh) == both(sent // KEYS)


async def test_aborted_writes_at_the_end_of_a_changelog_are_neither_waited_for_nor_applied(
    kafka_bootstrap: str, tmp_path: Path
) -> None:
    bench = Bench(kafka_bootstrap, str(tmp_path))
    await bench.create("in", "out")
    await bench.create("count-seen-changelog", "count-all-changelog", compact=True)
    await bench.put("in", [(b"k%d" % (n % KEYS), b"x") for n in range(50)])
    async with running(counting(bench)):

        async def all_out() -> bool:
            return len(await bench.read("out")) == 50

        await eventually(all_out)
    await bench.abort("count-seen-changelog", 20, key=b"k0")
    await bench.abort("count-all-changelog", 20, key=b"k0")
    async with running(fresh := counting(bench)):
        assert folded(fresh) == both(10)


async def test_a_first_boot_recovers_from_empty_changelogs(kafka_bootstrap: str, tmp_path: Path) -> None:
    bench = Bench(kafka_bootstrap, str(tmp_path))
    await bench.create("in", "out")
    await bench.create("count-seen-changelog", "count-all-changelog", compact=True)
    async with running(app := counting(bench)):
        assert folded(app) == {"seen": {}, "all": {}}


def dms(table: str, data: dict[str, Any]) -> bytes:
    metadata = {"operation": "insert", "record-type": "data", "schema-name": "core", "table-name": table,
                "timestamp": "2026-01-15T10:31:00.000000Z"}  # fmt: skip
    return json.dumps({"data": data, "metadata": metadata}).encode()


async def test_a_damaged_table_entry_stops_its_slot_with_a_clear_message_and_is_no_miss(
    kafka_bootstrap: str, tmp_path: Path
) -> None:
    bench = Bench(kafka_bootstrap, str(tmp_path))
    names: dict[str, Any] = {field: bench.topic(field) for field in ("config", "slots", "checkpoints", "receipts")}
    topics = Topics(raw={"core": bench.topic("in")}, events=bench.topic("out"), dead=bench.topic("dead"), **names)
    await bench.create("in", "out", "dead")
    catalogue = Catalogue(TELEPHONY)
    tables = (*catalogue.lookups, "schemas", "owners", "recent")
    await bench.create(*(f"enrich-{name}-changelog" for name in tables), compact=True)

    def enriching() -> StageApp:
        app = bench.app("enrich")
        options = PipelineOptions(
            service="cdc-pipeline", environment="LOCAL", redaction_key=b"k" * 32, redaction_enabled=True,
            strict_tables=False,
        )  # fmt: skip
        add_enrich(app, Enrich(Pipeline(catalogue, options), topics, PARTITIONS, catalogue.fingerprint, lambda: 0))
        return app

    key = b'["core","users",7]'
    await bench.put("in", [(key, dms("users", {"ID": 7, "HomeOrgID": 3, "UserName": "jdoe", "Status": "ACTIVE"}))])
    async with running(enriching()):

        async def published() -> bool:
            return len(await bench.read("out")) == 1

        await eventually(published)
    [event] = await bench.read("out")
    await damage(bench, "enrich-owners-changelog", key, event.partition)
    async with running(app := enriching()):
        await bench.put("in", [(key, dms("users", {"ID": 7, "HomeOrgID": 3, "UserName": "jdoe", "Status": "AWAY"}))])

        async def stopped() -> bool:
            return any("cannot be read" in slot.why for slot in app.slots.owned.values())

        await eventually(stopped)
        assert not app.ready
        assert "cdc table rebuild" in next(slot.why for slot in app.slots.owned.values() if slot.why)
    assert len(await bench.read("out")) == 1
    assert await bench.read("dead") == []


async def damage(bench: Bench, changelog: str, key: bytes, partition: int) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=bench.bootstrap)
    await producer.start()
    try:
        await producer.send_and_wait(bench.topic(changelog), b"\xff not an entry", key=key, partition=partition)
    finally:
        await producer.stop()
