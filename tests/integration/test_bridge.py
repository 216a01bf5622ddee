"""P1: Kinesis -> raw exactly once for read_committed readers, whatever fails in between."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from models.checkpoint import Checkpoint, decode_entry
from models.raw import RawRecord, raw_record_of
from models.routing import entity_key, partition_of
from sandbox.world import World
from tests.integration.bridging import read_topic
from tests.integration.stage import eventually, running
from tests.journey.traffic import Outside
from tests.journey.worker_process import own_environment
from workers.app import make_bridge
from workers.engine.errors import BootRefused
from workers.engine.slot import Slot
from workers.settings.worker import Settings, load_settings

_count = iter(range(10**6))


@pytest.fixture
def environment(world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, str]:
    names = own_environment(world.environment(), f"bridge{next(_count)}") | {"CDC_DATA_DIR": str(tmp_path)}
    for name, value in names.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    Outside(names).make()
    return names


@pytest.fixture
def settings(environment: dict[str, str]) -> Settings:
    return load_settings()


def user(number: int, operation: str = "update", before: dict[str, Any] | None = None) -> bytes:
    record = {
        "data": {"ID": number, "HomeOrgID": 3, "UserName": f"u{number}", "Status": "active"},
        "metadata": {
            "timestamp": "2026-01-15T10:31:00Z", "record-type": "data", "operation": operation,
            "partition-key-type": "primary-key", "schema-name": "core", "table-name": "users",
        },
    }  # fmt: skip
    return json.dumps(record | ({"before-image": before} if before else {})).encode()


def put(environment: dict[str, str], records: list[tuple[str, bytes]]) -> None:
    kinesis = Outside(environment).client("kinesis")
    for start in range(0, len(records), 100):
        entries = [{"PartitionKey": key, "Data": data} for key, data in records[start : start + 100]]
        answer = kinesis.put_records(StreamName=environment["KINESIS_STREAM_NAME"], Records=entries)
        assert answer["FailedRecordCount"] == 0


async def raw(settings: Settings) -> list[RawRecord]:
    return [raw_record_of(record, "core") for record in await read_topic(settings, "raw.core")]


async def has_raw(settings: Settings, count: int) -> bool:
    return len(await raw(settings)) >= count


def times_of(records: list[RawRecord]) -> Counter[tuple[str, str]]:
    return Counter((record.origin.shard, record.origin.sequence) for record in records)


async def test_a_restarted_bridge_forwards_every_record_exactly_once(
    environment: dict[str, str], settings: Settings
) -> None:
    put(environment, [(f"k{n}", user(n)) for n in range(200)])
    async with running(make_bridge(settings)):
        await eventually(lambda: has_raw(settings, 200))
    put(environment, [(f"k{n}", user(n)) for n in range(200, 300)])
    async with running(make_bridge(settings)):
        await eventually(lambda: has_raw(settings, 300))
    records = await raw(settings)
    assert set(times_of(records).values()) == {1}
    assert sorted(json.loads(record.value or b"")["data"]["ID"] for record in records) == list(range(300))


async def test_a_commit_whose_answer_was_lost_forwards_nothing_twice(
    environment: dict[str, str], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = Counter[str]()
    commit = Slot._transact

    async def losing(self: Slot, producer: Any, outputs: Any, offsets: Any) -> Any:
        ends = await commit(self, producer, outputs, offsets)
        if outputs and lost["fired"] < 4:
            lost["fired"] += 1
            raise KafkaError("injected after the commit")
        return ends

    monkeypatch.setattr(Slot, "_transact", losing)
    put(environment, [(f"k{n}", user(n)) for n in range(200)])
    async with running(make_bridge(settings)):
        await eventually(lambda: has_raw(settings, 200))
        put(environment, [(f"k{n}", user(n)) for n in range(200, 260)])
        await eventually(lambda: has_raw(settings, 260))
    assert lost["fired"] == 4
    records = await raw(settings)
    assert len(records) == 260
    assert set(times_of(records).values()) == {1}


async def test_a_unit_that_fails_before_its_commit_loses_nothing(
    environment: dict[str, str], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = Counter[str]()
    commit = Slot._transact

    async def failing(self: Slot, producer: Any, outputs: Any, offsets: Any) -> Any:
        if any(topic == settings.topic("raw.core") for topic, _ in outputs) and failed["fired"] < 4:
            failed["fired"] += 1
            raise KafkaError("injected before the commit")
        return await commit(self, producer, outputs, offsets)

    monkeypatch.setattr(Slot, "_transact", failing)
    put(environment, [(f"k{n}", user(n)) for n in range(200)])
    async with running(make_bridge(settings)):
        await eventually(lambda: has_raw(settings, 200))
    assert failed["fired"] == 4
    assert set(times_of(await raw(settings)).values()) == {1}


async def test_the_source_bytes_are_untouched_and_the_key_is_the_rows(
    environment: dict[str, str], settings: Settings
) -> None:
    poison = b"\x00 not json"
    put(environment, [("k", user(7)), ("poison", poison)])
    async with running(make_bridge(settings)):
        await eventually(lambda: has_raw(settings, 2))
    found = {record.value: record for record in await raw(settings)}
    row = entity_key("core", "users", [7])
    assert found[user(7)].key == row
    assert found[user(7)].partition == partition_of(row, settings.partitions)
    assert found[user(7)].adapter == "dms"
    assert found[poison].key == b"poison"
    assert found[poison].origin.stream == environment["KINESIS_STREAM_NAME"]


async def test_a_changed_key_leaves_a_retired_marker_with_the_old_row(
    environment: dict[str, str], settings: Settings
) -> None:
    put(environment, [("k", user(8, before={"ID": 7}))])
    async with running(make_bridge(settings)):
        await eventually(lambda: has_raw(settings, 2))
    markers = [record for record in await raw(settings) if record.retired]
    assert [marker.key for marker in markers] == [entity_key("core", "users", [7])]
    assert markers[0].value is None


async def test_lost_checkpoints_are_refused_and_never_read_as_begin_again(
    environment: dict[str, str], settings: Settings
) -> None:
    put(environment, [(f"k{n}", user(n)) for n in range(20)])
    async with running(make_bridge(settings)):
        await eventually(lambda: has_raw(settings, 20))
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka_bootstrap_servers)
    await admin.start()
    await admin.delete_topics([settings.topic("checkpoints")])
    await admin.close()
    with pytest.raises(BootRefused, match="the checkpoints were lost"):
        async with running(make_bridge(settings)):
            pass
    assert len(await raw(settings)) == 20


async def test_a_stream_of_another_account_is_refused(environment: dict[str, str], settings: Settings) -> None:
    with pytest.raises(BootRefused, match="AWS_ACCOUNT_ID is 999999999999"):
        async with running(make_bridge(settings.model_copy(update={"aws_account_id": "999999999999"}))):
            pass
    async with running(make_bridge(settings.model_copy(update={"aws_account_id": "000000000000"}))):
        pass


async def test_checkpoints_stand_in_the_partition_of_their_slot_and_count_every_record(
    environment: dict[str, str], settings: Settings
) -> None:
    put(environment, [(f"k{n}", user(n)) for n in range(120)])
    async with running(make_bridge(settings)):
        await eventually(lambda: has_raw(settings, 120))
    latest: dict[str, tuple[int, Checkpoint]] = {}
    for record in await read_topic(settings, "checkpoints"):
        checkpoint = decode_entry(record.key, record.value)
        if isinstance(checkpoint, Checkpoint):
            latest[checkpoint.shard] = (record.partition, checkpoint)
    assert sorted(partition for partition, _ in latest.values()) == [5, 17, 29, 41]
    assert sum(checkpoint.records for _, checkpoint in latest.values()) == 120
    newest = {shard: max(int(s) for (where, s) in times_of(await raw(settings)) if where == shard) for shard in latest}
    assert {shard: int(checkpoint.sequence) for shard, (_, checkpoint) in latest.items()} == newest
