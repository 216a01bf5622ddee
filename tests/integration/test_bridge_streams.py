"""Streams of every kind the service offers, and a Kafka that does not commit for a while."""

import asyncio
import base64
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sandbox.world import World
from tests.integration.bridging import change
from tests.integration.hostile import Hostile, hostile, report, said
from tests.integration.stage import eventually
from workers.engine.slot import Slot
from workers.kinesis import slot_work
from workers.kinesis.budget import Budget

MEBIBYTE = 1 << 20


@pytest.fixture
def kinesis(world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hostile]:
    with hostile(world, monkeypatch, tmp_path) as found:
        yield found


async def test_reading_stops_at_the_budget_while_nothing_commits_and_loses_nothing_afterwards(
    kinesis: Hostile, monkeypatch: pytest.MonkeyPatch
) -> None:
    thawed, held = asyncio.Event(), Counter[str]()
    commit, reserve = Slot._transact, Budget.reserve
    budgets: set[Budget] = set()

    async def frozen(self: Slot, producer: Any, outputs: Any, offsets: Any) -> Any:
        if any(topic == kinesis.settings.topic("raw.core") for topic, _ in outputs):
            held["commits"] += not thawed.is_set()
            await thawed.wait()
        return await commit(self, producer, outputs, offsets)

    async def waiting(self: Budget, size: int) -> None:
        budgets.add(self)
        held["waiting"] += 1
        await reserve(self, size)
        held["waiting"] -= 1

    size = MEBIBYTE // 4
    monkeypatch.setattr(slot_work, "SLOT_BYTES", size)
    monkeypatch.setattr(Slot, "_transact", frozen)
    monkeypatch.setattr(Budget, "reserve", waiting)
    stream = kinesis.stream
    stream.put(3)
    async with kinesis.bridge(kinesis_batch_size=10) as app:

        async def stuck() -> bool:
            return held["commits"] > 0 and held["waiting"] == 2

        await eventually(stuck)
        read = sum(shard["bytes"] for shard in report(app).values())
        stream.put(20)
        await eventually(stuck)
        assert sum(shard["bytes"] for shard in report(app).values()) == read
        assert all(budget.used <= size for budget in budgets)
        thawed.set()
        await eventually(stream.arrived)
    await stream.holds_everything_once_and_in_order()
    assert {budget.used for budget in budgets} == {0}


async def test_records_of_ten_mebibytes_travel_beside_small_ones(kinesis: Hostile) -> None:
    stream = kinesis.stream
    stream.kinesis.update_max_record_size(
        StreamARN=f"arn:aws:kinesis:us-east-1:000000000000:stream/{stream.name}", MaxRecordSizeInKiB=10_240
    )
    sent = []
    for letter in b"abc":
        sent.append(bytes([letter]) * (10 * MEBIBYTE - 1))
        stream.kinesis.put_record(StreamName=stream.name, PartitionKey="k", Data=sent[-1])
        stream.kinesis.put_record(StreamName=stream.name, PartitionKey="k", Data=b"small")
        sent.append(b"small")
    async with kinesis.bridge():
        await eventually(lambda: stream.arrived(6))
    records = sorted(await stream.raw(), key=lambda record: int(record.origin.sequence))
    assert [record.value for record in records] == sent


async def test_an_encrypted_stream_is_read_like_any_other(kinesis: Hostile) -> None:
    stream = kinesis.stream
    stream.put()
    stream.kinesis.start_stream_encryption(StreamName=stream.name, EncryptionType="KMS", KeyId="alias/aws/kinesis")
    stream.put()
    async with kinesis.bridge():
        await eventually(stream.arrived)
        stream.kinesis.stop_stream_encryption(StreamName=stream.name, EncryptionType="KMS", KeyId="alias/aws/kinesis")
        stream.put()
        await eventually(stream.arrived)
    await stream.holds_everything_once_and_in_order()


async def test_records_without_partition_keys_are_forwarded_spread_and_warned_of_once(
    kinesis: Hostile, caplog: pytest.LogCaptureFixture
) -> None:
    stream = kinesis.stream
    arn = f"arn:aws:kinesis:us-east-1:000000000000:stream/{stream.name}"
    stream.kinesis.update_stream_mode(StreamARN=arn, StreamModeDetails={"StreamMode": "ON_DEMAND"})
    made = kinesis.stand_in.kinesis.streams.by_name[stream.name]
    made.spread = True
    entries = [{"Data": change(row, 0)} for row in range(20)] + [{"Data": b"not json %d" % n} for n in range(20)]
    send = kinesis.stand_in._services["Kinesis_20131202"].operations["PutRecords"]
    await send({"StreamName": stream.name, "Records": [_keyless(entry["Data"]) for entry in entries]})
    for _ in range(2):
        async with kinesis.bridge():
            await eventually(lambda: stream.arrived(40))
    records = await stream.raw()
    assert len(records) == 40
    assert {record.origin.shard for record in records} == {kinesis.shard(0), kinesis.shard(1)}
    assert Counter(record.value for record in records) == Counter(entry["Data"] for entry in entries)
    assert said(caplog, "distributes its records by itself", 30) == 1


def _keyless(data: bytes) -> dict[str, str]:
    return {"Data": base64.b64encode(data).decode()}
