"""P1 and P4 across reshards: nothing lost, nothing twice, every row in order, whatever is split or merged meanwhile."""

import time
from pathlib import Path

import pytest

from models.checkpoint import ShardState
from sandbox.world import World
from tests.integration.bridging import Stream, own_stream
from tests.integration.stage import eventually, running
from workers.app import make_bridge

_count = iter(range(10**6))


@pytest.fixture
def stream(world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Stream:
    return own_stream(world, monkeypatch, tmp_path, f"reshard{next(_count)}")


async def test_a_split_under_a_running_bridge_keeps_every_row_in_order(stream: Stream) -> None:
    stream.put(3)
    async with running(make_bridge(stream.settings)):
        await eventually(stream.arrived)
        stream.split()
        stream.put(3)
        await eventually(stream.arrived)
        stream.split(1)
        stream.put(2)
        await eventually(stream.arrived)
    await stream.holds_everything_once_and_in_order()
    states = [found.state for found in (await stream.checkpoints()).values()]
    assert sorted(states) == [ShardState.ACTIVE] * 4 + [ShardState.SHARD_END] * 2


async def test_a_merge_under_a_running_bridge_waits_for_both_parents(stream: Stream) -> None:
    stream.put(3)
    async with running(make_bridge(stream.settings)):
        await eventually(stream.arrived)
        stream.merge()
        stream.put(3)
        await eventually(stream.arrived)
    await stream.holds_everything_once_and_in_order()
    merged = next(found for found in (await stream.checkpoints()).values() if len(found.parents) == 2)
    assert merged.records == 3 * stream.rows


async def test_generations_that_come_and_go_while_all_workers_are_down_are_read_in_order(stream: Stream) -> None:
    stream.put(2)
    async with running(make_bridge(stream.settings)):
        await eventually(stream.arrived)
    stream.split()
    stream.put()
    stream.split()
    stream.merge(2)
    stream.put()
    stream.merge()
    stream.merge()  # the second one closes shards that have never had a record
    stream.put(2)
    async with running(make_bridge(stream.settings)):
        await eventually(stream.arrived)
    await stream.holds_everything_once_and_in_order()


async def test_a_stream_that_was_resharded_before_its_first_boot_is_read_from_its_oldest_shard(stream: Stream) -> None:
    stream.put(2)
    stream.merge()
    stream.put(2)
    stream.split()
    stream.put(2)
    async with running(make_bridge(stream.settings)):
        await eventually(stream.arrived)
    await stream.holds_everything_once_and_in_order()


async def test_two_workers_hand_a_lineage_to_each_other(stream: Stream) -> None:
    stream.put(2)
    async with running(make_bridge(stream.settings)), running(make_bridge(stream.settings)):
        await eventually(stream.arrived)
        stream.merge()
        stream.put(2)
        stream.split()
        stream.put(2)
        await eventually(stream.arrived)
    await stream.holds_everything_once_and_in_order()
    slots = {shard["ShardId"] for shard in stream.opened()}
    assert slots <= (await stream.checkpoints()).keys()


async def test_a_shard_count_that_is_updated_loses_nothing(stream: Stream) -> None:
    stream.put(2)
    async with running(make_bridge(stream.settings)):
        await eventually(stream.arrived)
        stream.kinesis.update_shard_count(StreamName=stream.name, TargetShardCount=3, ScalingType="UNIFORM_SCALING")
        stream.put(3)
        await eventually(stream.arrived)
    await stream.holds_everything_once_and_in_order()


async def test_a_bridge_that_begins_at_latest_misses_nothing_of_later_children(stream: Stream) -> None:
    stream.put(2)
    put_at = int(time.time())
    await eventually(lambda: _later_than(put_at))  # the service tells its time in whole seconds
    settings = stream.settings.model_copy(update={"start_at": "LATEST"})
    async with running(make_bridge(settings)):
        await eventually(lambda: _booted(stream))
        before = dict(stream.versions)
        stream.put()
        await eventually(lambda: stream.arrived(stream.rows))
        stream.split()
        stream.put(2)
        await eventually(lambda: stream.arrived(3 * stream.rows))
    records = await stream.raw()
    assert len(records) == 3 * stream.rows
    assert all(f'"v{before[0] - 1}"'.encode() not in (record.value or b"") for record in records)


async def _later_than(second: int) -> bool:
    return time.time() >= second + 1


async def _booted(stream: Stream) -> bool:
    return bool(await stream.checkpoints())
