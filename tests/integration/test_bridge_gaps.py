"""What was deleted before it was read: said once, never jumped over, and the neighbours go on. And where a bridge goes
on when it was ended in the middle of something."""

import asyncio
import functools
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from models.checkpoint import Checkpoint, ShardState
from models.dead_letter import GAP_PREFIX
from sandbox.generator.aggregates import aggregated
from sandbox.world import World
from tests.integration.bridging import change, read_topic
from tests.integration.hostile import Hostile, hostile, report, said
from tests.integration.stage import eventually
from tests.journey.worker_process import WorkerProcess
from workers.engine.app import StageApp
from workers.engine.errors import BootRefused
from workers.engine.slot import Slot
from workers.kinesis import slot_work, transactions
from workers.kinesis.slot_work import SlotWork

HALF = 1 << 127


@pytest.fixture
def kinesis(world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hostile]:
    with hostile(world, monkeypatch, tmp_path) as found:
        yield found


async def forwarded(kinesis: Hostile) -> Counter[str]:
    """Raw records per shard."""
    return Counter(record.origin.shard for record in await kinesis.stream.raw())


async def trimmed(kinesis: Hostile) -> tuple[str, int]:
    """Two changes of every row, of which the bridge, now down, read the first; the second is gone for shard 0, and a
    third has come. Returns that shard and how many records it lost."""
    kinesis.stream.put()
    async with kinesis.bridge():
        await eventually(kinesis.stream.arrived)
    kinesis.stream.put()
    shard = kinesis.shard(0)
    gone = kinesis.control.trim(kinesis.stream.name, shard)[shard]
    assert gone
    kinesis.stream.put()
    return shard, gone // 2


async def test_a_trimmed_position_stops_its_shard_alone_and_is_said_once(
    kinesis: Hostile, caplog: pytest.LogCaptureFixture
) -> None:
    shard, per_put = await trimmed(kinesis)
    rows = kinesis.stream.rows
    async with kinesis.bridge(wait_ready=False) as app:
        await kinesis.becomes(app, shard, "STOPPED")
        neighbours = 3 * rows - 3 * per_put
        await eventually(lambda: kinesis.stream.arrived(neighbours + per_put))
        kinesis.stream.put()
        await eventually(lambda: kinesis.stream.arrived(neighbours + per_put + rows - per_put))
        assert not app.ready
        assert [name.rpartition("|")[2] for name in app.blockers] == [shard]
        assert app.slots.stats.gaps == 1
        assert report(app)[kinesis.shard(1)]["state"] == "READING"
        assert (await forwarded(kinesis))[shard] == per_put
    assert said(caplog, f"GAP in shard {shard}") == 1


async def test_with_continue_a_gap_is_on_record_once_and_the_rest_is_forwarded_once(
    kinesis: Hostile, caplog: pytest.LogCaptureFixture
) -> None:
    shard, per_put = await trimmed(kinesis)
    expected = kinesis.stream.count - per_put
    for _ in range(2):  # and not again after a restart
        async with kinesis.bridge(on_gap="continue"):
            await eventually(lambda: kinesis.stream.arrived(expected))
    letters = [record for record in await read_topic(kinesis.settings, "dead") if record.headers]
    (letter,) = letters
    said_of = {name.removeprefix(GAP_PREFIX): value.decode() for name, value in letter.headers}
    assert (letter.key, letter.value) == (None, None)
    assert said_of["stage"] == "bridge"
    assert said_of["shard"] == shard
    assert (await kinesis.stream.checkpoints())[shard].gaps == 1
    records = await kinesis.stream.raw()
    assert len(records) == expected
    assert len({(record.origin.shard, record.origin.sequence) for record in records}) == expected
    assert said(caplog, "GAP in shard") == 1


async def test_a_bridge_that_is_ended_between_a_gap_record_and_what_follows_tells_the_gap_once(
    kinesis: Hostile, monkeypatch: pytest.MonkeyPatch
) -> None:
    shard, per_put = await trimmed(kinesis)
    expected = kinesis.stream.count - per_put
    held, commit = Counter[str](), Slot._transact

    async def losses_only(self: Slot, producer: Any, outputs: Any, offsets: Any) -> Any:
        if any(topic == kinesis.settings.topic("raw.core") for topic, _ in outputs):
            held["records"] += 1
            await asyncio.Event().wait()
        return await commit(self, producer, outputs, offsets)

    with monkeypatch.context() as broken:
        broken.setattr(Slot, "_transact", losses_only)
        async with kinesis.bridge(on_gap="continue"):

            async def on_record() -> bool:
                return (await kinesis.stream.checkpoints())[shard].gaps == 1

            await eventually(on_record)

            async def behind_it() -> bool:
                return held["records"] == 2

            await eventually(behind_it)
    assert len(await kinesis.stream.raw()) == kinesis.stream.rows
    async with kinesis.bridge(on_gap="continue"):
        await eventually(lambda: kinesis.stream.arrived(expected))
    assert len([record for record in await read_topic(kinesis.settings, "dead") if record.headers]) == 1
    assert (await kinesis.stream.checkpoints())[shard].gaps == 1


async def test_a_stopped_shard_leaves_its_room_to_the_neighbours_of_its_slot(
    kinesis: Hostile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slot_work, "SLOT_BYTES", 2048)  # less than a page: a second one waits for the first
    shard, _ = await trimmed(kinesis)
    kinesis.stream.kinesis.split_shard(
        StreamName=kinesis.stream.name, ShardToSplit=kinesis.shard(1), NewStartingHashKey=str(3 * (1 << 126))
    )
    async with kinesis.bridge(wait_ready=False) as app:
        await kinesis.becomes(app, shard, "STOPPED")
        before = len(await kinesis.stream.raw())
        kinesis.stream.put(2)
        await eventually(lambda: kinesis.stream.arrived(before + kinesis.stream.rows // 2))
        assert report(app)[shard]["state"] == "STOPPED"


async def test_a_shard_that_left_the_stream_unread_is_a_gap_and_its_children_wait(kinesis: Hostile) -> None:
    kinesis.stream.put()
    async with kinesis.bridge():
        await eventually(kinesis.stream.arrived)
    kinesis.stream.put()
    shard = kinesis.shard(0)
    kinesis.stream.split()
    assert kinesis.control.trim(kinesis.stream.name, shard)[shard]
    assert shard not in [found["ShardId"] for found in kinesis.stream.shards()]
    kinesis.stream.put()
    async with kinesis.bridge(wait_ready=False) as app:
        await kinesis.becomes(app, shard, "STOPPED")
        await kinesis.shows(app, "state", "STOPPED", "BLOCKED", "BLOCKED", "READING")
        assert not app.ready
        assert app.slots.stats.gaps == 1
    before = await forwarded(kinesis)
    async with kinesis.bridge(on_gap="continue"):
        await eventually(lambda: kinesis.stream.arrived(kinesis.stream.count - before[shard]))
    checkpoint = (await kinesis.stream.checkpoints())[shard]
    assert (checkpoint.gaps, checkpoint.ended) == (1, True)
    assert (await forwarded(kinesis))[shard] == before[shard]


async def test_a_bridge_that_is_away_longer_than_the_retention_says_what_it_lost(kinesis: Hostile) -> None:
    kinesis.stream.put()
    async with kinesis.bridge():
        await eventually(kinesis.stream.arrived)
    kinesis.stream.put()
    kinesis.later(25)
    kinesis.stream.put()
    async with kinesis.bridge(wait_ready=False) as app:
        for shard in (kinesis.shard(0), kinesis.shard(1)):
            await kinesis.becomes(app, shard, "STOPPED")
            assert "older than the retention" in report(app)[shard]["why"]
    assert len(await kinesis.stream.raw()) == kinesis.stream.rows


async def test_an_idle_bridge_keeps_its_position_alive_longer_than_the_retention(kinesis: Hostile) -> None:
    kinesis.stream.put()
    async with kinesis.bridge() as app:
        await eventually(kinesis.stream.arrived)
        for _ in range(2):
            kinesis.later(13)
            now = int(kinesis.clock() * 1000)
            await eventually(functools.partial(covered, kinesis, now - 1000))
        assert app.slots.stats.gaps == 0
    kinesis.stream.put()
    async with kinesis.bridge() as app:
        await eventually(kinesis.stream.arrived)
        assert app.slots.stats.gaps == 0
    await kinesis.stream.holds_everything_once_and_in_order()


async def covered(kinesis: Hostile, since: int) -> bool:
    """Whether every shard's checkpoint covers what arrived before `since` (milliseconds since the epoch)."""
    found = (await kinesis.stream.checkpoints()).values()
    return bool(found) and all(checkpoint.covered_ms >= since for checkpoint in found)


async def test_shards_that_never_had_a_record_get_checkpoints_all_the_same(
    kinesis: Hostile, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with kinesis.bridge():
        await eventually(lambda: covered(kinesis, 1))
        first = await kinesis.stream.checkpoints()
        monkeypatch.setattr(transactions, "COVER_MS", 300)
        await eventually(lambda: covered(kinesis, max(found.covered_ms for found in first.values()) + 300))
    last = await kinesis.stream.checkpoints()
    assert {found.records for found in last.values()} == {0}
    assert last.keys() == first.keys() == {kinesis.shard(0), kinesis.shard(1)}


async def test_a_stream_that_was_made_anew_is_refused_and_none_of_it_is_forwarded(kinesis: Hostile) -> None:
    stream = kinesis.stream
    stream.kinesis.put_record(StreamName=stream.name, PartitionKey="k", Data=change(0, 0), ExplicitHashKey="0")
    async with kinesis.bridge() as app:
        await eventually(lambda: stream.arrived(1))
        await eventually(lambda: covered(kinesis, 1))
        stream.kinesis.delete_stream(StreamName=stream.name)
        kinesis.clock.ahead += 5
        stream.kinesis.create_stream(StreamName=stream.name, ShardCount=2)
        stream.put(2)

        await eventually(lambda: refused(app))
    assert len(await stream.raw()) == 1
    async with kinesis.bridge(wait_ready=False) as app:
        await eventually(lambda: refused(app))
    assert len(await stream.raw()) == 1


async def refused(app: StageApp) -> bool:
    """Whether the stage gave up because its stream is another one."""
    return isinstance(app.crash_reason, BootRefused) and "deleted and made anew" in str(app.crash_reason)


async def test_a_worker_that_is_ended_while_a_shard_is_stopped_ends_with_7_and_says_why(
    kinesis: Hostile, tmp_path: Path
) -> None:
    shard, _ = await trimmed(kinesis)
    worker = WorkerProcess(kinesis.stream.environment, tmp_path, "one", "--stages", "bridge")
    worker.start()
    try:

        async def stopped() -> bool:
            return f"GAP in shard {shard}" in worker.log.read_text()

        await eventually(stopped)
        assert await asyncio.to_thread(worker.stop) == 7
    finally:
        worker.end()
    (line,) = [line for line in worker.log.read_text().splitlines() if "waits for you" in line]
    assert f"bridge: arn:aws:kinesis:us-east-1:000000000000:stream/{kinesis.stream.name}|{shard}" in line
    assert "not old enough" in line


async def test_a_bridge_that_was_ended_after_its_boot_record_begins_where_that_says(
    kinesis: Hostile, monkeypatch: pytest.MonkeyPatch
) -> None:
    true = SlotWork._apply
    held = Counter[str]()

    async def booted_only(self: SlotWork, *arguments: object) -> None:
        held["fired"] += 1

    monkeypatch.setattr(SlotWork, "_apply", booted_only)
    kinesis.stream.put()
    async with kinesis.bridge(start_at="TRIM_HORIZON"):

        async def booted() -> bool:
            return bool(held["fired"]) and bool(await read_topic(kinesis.settings, "checkpoints"))

        await eventually(booted)
    assert held["fired"]
    assert await kinesis.stream.checkpoints() == {}
    monkeypatch.setattr(SlotWork, "_apply", true)
    async with kinesis.bridge(start_at="LATEST"):  # decided already
        await eventually(kinesis.stream.arrived)
    await kinesis.stream.holds_everything_once_and_in_order()


async def test_a_bridge_that_was_ended_between_the_ends_of_two_parents_reads_their_child_last(
    kinesis: Hostile,
) -> None:
    low, high = kinesis.shard(0), kinesis.shard(1)
    kinesis.stream.put()
    async with kinesis.bridge():
        await eventually(kinesis.stream.arrived)
    kinesis.stream.put()
    kinesis.stream.merge()
    kinesis.stream.put()
    fault = kinesis.control.fault("throttle", "GetRecords", shard=high, stream=kinesis.stream.name)
    async with kinesis.bridge() as app:
        await kinesis.struck(fault)

        async def one_ended() -> bool:
            return (await kinesis.stream.checkpoints())[low].ended

        await eventually(one_ended)
        child = next(found["ShardId"] for found in kinesis.stream.opened())
        await kinesis.becomes(app, child, "BLOCKED")
    states = {name: found.state for name, found in (await kinesis.stream.checkpoints()).items()}
    assert states == {low: ShardState.SHARD_END, high: ShardState.ACTIVE}
    kinesis.control.clear_faults()
    async with kinesis.bridge():
        await eventually(kinesis.stream.arrived)
    await kinesis.stream.holds_everything_once_and_in_order()


async def test_a_checkpoint_in_the_middle_of_an_aggregate_is_gone_on_with_behind_it(kinesis: Hostile) -> None:
    stream = kinesis.stream
    stream.put()
    async with kinesis.bridge():
        await eventually(stream.arrived)
    users = [("k", change(0, version), 0) for version in range(1, 6)]
    answer = stream.kinesis.put_record(
        StreamName=stream.name, PartitionKey="k", Data=aggregated(users), ExplicitHashKey="0"
    )
    shard, sequence = answer["ShardId"], answer["SequenceNumber"]
    before = (await stream.checkpoints())[shard]
    await imported(kinesis, replace(before, sequence=sequence, sub_sequence=1))
    async with kinesis.bridge():
        await eventually(lambda: stream.arrived(stream.rows + 3))
    records = [record for record in await stream.raw() if record.origin.sequence == sequence]
    assert [record.origin.sub_sequence for record in records] == [2, 3, 4]
    names = [json.loads(record.value or b"")["data"]["UserName"] for record in records]
    assert names == ["v3", "v4", "v5"]
    assert (await stream.checkpoints())[shard].records == before.records + 3


async def test_a_position_at_the_number_a_closed_shard_ends_with_is_its_end(kinesis: Hostile) -> None:
    stream = kinesis.stream
    stream.put()
    async with kinesis.bridge():
        await eventually(stream.arrived)
    shard = kinesis.shard(0)
    stream.split()
    described = next(found for found in stream.shards() if found["ShardId"] == shard)
    ending = described["SequenceNumberRange"]["EndingSequenceNumber"]
    await imported(kinesis, replace((await stream.checkpoints())[shard], sequence=ending))
    stream.put()
    async with kinesis.bridge() as app:
        await eventually(stream.arrived)
        assert app.slots.stats.gaps == 0
    refusals = kinesis.control.status().errors
    assert refusals["kinesis.GetShardIterator:InvalidArgumentException"] >= 1
    assert (await stream.checkpoints())[shard].ended
    await stream.holds_everything_once_and_in_order()


async def imported(kinesis: Hostile, checkpoint: Checkpoint) -> None:
    """Write a checkpoint by hand, into the partition that holds the shard's."""
    topic = kinesis.settings.topic("checkpoints")
    entries = await read_topic(kinesis.settings, "checkpoints")
    partition = next(record.partition for record in entries if record.key == checkpoint.key)
    producer = AIOKafkaProducer(bootstrap_servers=kinesis.settings.kafka_bootstrap_servers)
    await producer.start()
    try:
        await producer.send_and_wait(topic, checkpoint.encode(), key=checkpoint.key, partition=partition)
    finally:
        await producer.stop()


async def test_aggregates_among_plain_records_keep_their_order_through_a_split(kinesis: Hostile) -> None:
    stream = kinesis.stream
    stream.rows = 8

    def put_aggregates() -> None:
        for row in range(stream.rows):
            first = stream.versions[row]
            users = [(f"row-{row}", change(row, first + n), None) for n in range(3)]
            stream.kinesis.put_record(StreamName=stream.name, PartitionKey=f"row-{row}", Data=aggregated(users))
            stream.versions[row] += 3

    stream.put()
    async with kinesis.bridge():
        await eventually(stream.arrived)
        put_aggregates()
        stream.split()
        put_aggregates()
        stream.put()
        await eventually(stream.arrived)
    await stream.holds_everything_once_and_in_order()
    assert {record.origin.sub_sequence for record in await stream.raw()} == {0, 1, 2}
