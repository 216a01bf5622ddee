"""Positions that are set by hand or brought along: read on from there in order, and never half."""

import asyncio
import json
import time
from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from sandbox.generator.aggregates import aggregated
from sandbox.world import World
from tests.integration.bridging import Stream, change, own_stream
from tests.integration.stage import eventually, running
from workers.app import make_bridge
from workers.boot_checks import check_checkpoints
from workers.cli.checkpoint import checkpoint
from workers.cli.status import status as audited
from workers.engine.errors import BootRefused
from workers.failures import ExitCode, RefusedError
from workers.kafka.access import kafka_access
from workers.kafka.connection import kafka_connection
from workers.kafka.topics import Topics, ensure_topics
from workers.positions import write
from workers.positions.brought import take_over
from workers.positions.look import look
from workers.positions.plan import plan_change
from workers.positions.stream import StreamNow
from workers.positions.tables import kcl_leases
from workers.positions.target import Target
from workers.positions.topic import Positions, read_positions
from workers.settings.worker import Settings


@pytest.fixture
def stream(world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Stream:
    return own_stream(world, monkeypatch, tmp_path, f"reset{time.time_ns() % 10**9}", CDC_SOURCE_SLOTS="8")


async def cdc(*arguments: str) -> Result:
    """In a thread: the command runs a loop of its own."""
    return await asyncio.to_thread(CliRunner().invoke, checkpoint, arguments)


async def done(*arguments: str) -> Result:
    ended = await cdc(*arguments)
    assert ended.exit_code == 0, (ended.output, ended.exception)
    return ended


async def refused(*arguments: str) -> RefusedError:
    ended = await cdc(*arguments)
    assert isinstance(ended.exception, RefusedError), ended.output
    return ended.exception


async def forwarded(stream: Stream, count: int) -> None:
    """A bridge works until as many records stand in raw, and stops."""
    async with running(make_bridge(stream.settings)):
        await eventually(lambda: stream.arrived(count))


async def positions(settings: Settings) -> Positions:
    topic = Topics.of(settings).checkpoints
    async with kafka_access(settings) as kafka:
        return await read_positions(kafka.connection, topic, range(settings.source_slots), lambda *_: None)


async def versions(stream: Stream) -> dict[int, list[int]]:
    """Of every row, in the order of raw."""
    found = defaultdict[int, list[int]](list)
    for record in await stream.raw():
        row = json.loads(record.value or b"")["data"]
        found[row["ID"]].append(int(row["UserName"].removeprefix("v")))
    return found


async def test_a_stream_that_is_reset_is_read_again_in_order_across_its_reshards(stream: Stream) -> None:
    stream.put(2)
    async with running(make_bridge(stream.settings)):
        await eventually(stream.arrived)
        stream.split()
        stream.put(2)
        await eventually(stream.arrived)
        stream.merge(1)
        stream.put(2)
        await eventually(stream.arrived)
    await done("reset", "--trim-horizon", "--yes")
    await forwarded(stream, 2 * stream.count)
    assert await versions(stream) == {row: [*range(6), *range(6)] for row in stream.versions}


async def test_an_audit_finds_what_was_read_again_and_the_next_one_since_it_is_sound(
    stream: Stream, tmp_path: Path
) -> None:
    stream.put()
    await forwarded(stream, stream.count)
    await done("reset", "--trim-horizon", "--yes")
    await forwarded(stream, 2 * stream.count)
    found = await audit()
    assert found.exit_code == ExitCode.ERROR
    assert {line["verdict"] for line in json.loads(found.stdout)["lines"]} == {"BROKEN"}
    (tmp_path / "after.json").write_text(found.stdout)
    stream.put()
    await forwarded(stream, 3 * stream.rows)
    assert (await audit("--since", str(tmp_path / "after.json"))).exit_code == 0


async def audit(*arguments: str) -> Result:
    options = ["--audit", "--stage", "bridge", "--output", "json", *arguments]
    return await asyncio.to_thread(CliRunner().invoke, audited, options)


async def test_a_reset_to_latest_skips_what_was_not_read_and_nothing_that_comes_later(stream: Stream) -> None:
    stream.put()
    await forwarded(stream, stream.count)
    stream.put()
    put_at = int(time.time())

    async def later() -> bool:  # the service tells its time in whole seconds
        return time.time() >= put_at + 1

    await eventually(later)
    await done("reset", "--latest", "--yes")
    stream.put()
    await forwarded(stream, 2 * stream.rows)
    assert await versions(stream) == {row: [0, 2] for row in stream.versions}


async def test_a_shard_that_is_set_goes_on_at_that_record_and_its_neighbour_where_it_was(stream: Stream) -> None:
    stream.put(3)
    await forwarded(stream, stream.count)
    raw = await stream.raw()
    shard = raw[0].origin.shard
    numbers = sorted(int(record.origin.sequence) for record in raw if record.origin.shard == shard)
    again = numbers[len(numbers) // 2 :]
    await done("reset", "--at-seq", f"{shard}={again[0]}", "--yes")
    await forwarded(stream, stream.count + len(again))
    places = Counter((record.origin.shard, int(record.origin.sequence)) for record in await stream.raw())
    assert {place for place, times in places.items() if times == 2} == {(shard, number) for number in again}
    assert set(places.values()) == {1, 2}


async def test_a_record_the_shard_does_not_hold_is_not_set(stream: Stream) -> None:
    stream.put()
    await forwarded(stream, stream.count)
    raw = await stream.raw()
    one = raw[0].origin
    other = next(record.origin for record in raw if record.origin.shard != one.shard)
    before = await positions(stream.settings)
    ended = await cdc("reset", "--at-seq", f"{one.shard}={int(one.sequence) + 1}", "--yes")
    assert getattr(ended.exception, "exit_code", None) == ExitCode.NOT_FOUND
    ended = await cdc("reset", "--at-seq", f"{other.shard}x={other.sequence}", "--yes")
    assert getattr(ended.exception, "exit_code", None) == ExitCode.NOT_FOUND
    assert await positions(stream.settings) == before


async def test_nothing_is_written_without_yes_nor_while_a_worker_runs(stream: Stream) -> None:
    stream.put()
    async with running(make_bridge(stream.settings)):
        await eventually(stream.arrived)
        assert "are running" in str(await refused("reset", "--trim-horizon", "--yes"))
        told = json.loads((await done("reset", "--trim-horizon", "--dry-run", "--output", "json")).stdout)
        assert {shard["before"]["state"] for shard in told["shards"]} == {"READING"}
        assert len(told["running"]) == 1
        assert "must be stopped before" in (await done("reset", "--trim-horizon", "--dry-run")).stdout
    before = await positions(stream.settings)
    assert "2 shards would be set" in str(await refused("reset", "--trim-horizon"))
    assert await positions(stream.settings) == before


async def test_a_reset_that_is_cut_off_refuses_every_worker_until_it_is_run_again(
    stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream.put(2)
    await forwarded(stream, stream.count)
    commit, commits = write._commit, iter(range(100))

    async def breaking(*arguments: object) -> None:
        if next(commits) == 2:
            raise KeyboardInterrupt
        await commit(*arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as broken:
        broken.setattr(write, "_commit", breaking)
        ended = await cdc("reset", "--trim-horizon", "--yes")
        assert ended.exit_code != 0
        assert next(commits) == 3, "it was not cut off"
    (boot,) = (await positions(stream.settings)).boots.values()
    assert boot.unfinished == "reset --trim-horizon"
    with pytest.raises(BootRefused, match="cut off"):
        async with running(make_bridge(stream.settings)):
            pass
    assert (await cdc("status")).exit_code == ExitCode.PARTIAL
    assert "reset --trim-horizon" in str(await refused("reset", "--at-seq", await _any_record(stream), "--yes"))

    await done("reset", "--trim-horizon", "--yes")
    await forwarded(stream, 2 * stream.count)
    assert await versions(stream) == {row: [0, 1, 0, 1] for row in stream.versions}


async def _any_record(stream: Stream) -> str:
    origin = (await stream.raw())[0].origin
    return f"{origin.shard}={origin.sequence}"


async def test_a_worker_that_runs_when_a_change_begins_ends(stream: Stream) -> None:
    """As after a freeze: it had passed the check of the boot before."""
    stream.put()
    await forwarded(stream, stream.count)
    app = make_bridge(stream.settings)
    app.before_boot.pop()
    settings = stream.settings
    async with kafka_access(settings) as kafka:
        seen = await positions(settings)
        (boot,) = seen.boots.values()
        half = replace(boot, unfinished="reset --latest")
        async with write._producers(settings, kafka, {0}) as producers:
            await write._commit(producers[0], Topics.of(settings).checkpoints, 0, {half.key: half.encode()})

    async def given_up() -> bool:
        return isinstance(app.crash_reason, BootRefused)

    async with running(app, wait_ready=False):
        await eventually(given_up)
    assert "cut off" in str(app.crash_reason)


async def test_the_check_before_the_boot_does_not_wait_for_a_killed_workers_transaction(stream: Stream) -> None:
    stream.put()
    await forwarded(stream, stream.count)
    settings = stream.settings
    async with kafka_access(settings) as kafka, write._producers(settings, kafka, {0}) as killed:
        await killed[0].begin_transaction()
        await (await killed[0].send(Topics.of(settings).checkpoints, key=b"open", value=b"{}", partition=0))
        began = time.monotonic()
        await check_checkpoints(settings, kafka.connection.client("test"))
        assert time.monotonic() - began < write.TRANSACTION_MS / 1000 / 2


async def test_positions_that_were_exported_bring_a_lost_topic_back(stream: Stream, tmp_path: Path) -> None:
    stream.put(2)
    async with running(make_bridge(stream.settings)):
        await eventually(stream.arrived)
        stream.split()
        stream.put()
        await eventually(stream.arrived)
    before = await positions(stream.settings)
    file = str(tmp_path / "positions.json")
    await done("export", file)
    assert "there are checkpoints" in str(await refused("import", "--from", file, "--yes"))
    await done("reset", "--latest", "--yes")
    await done("import", "--from", file, "--replace", "--yes")
    assert await positions(stream.settings) == before
    stream.put()
    await forwarded(stream, stream.count)
    await stream.holds_everything_once_and_in_order()


async def test_positions_of_a_kcl_go_on_inside_of_an_aggregate_and_behind_a_closed_shard(stream: Stream) -> None:
    stream.put()
    several = aggregated((f"row-{row}", change(row, 0), None) for row in range(100, 105))
    put = stream.kinesis.put_record(StreamName=stream.name, PartitionKey="several", Data=several)
    one, other = stream.opened()
    closed = other if put["ShardId"] == one["ShardId"] else one
    stream.split([one, other].index(closed))
    stream.put()
    leases = [
        {"leaseKey": {"S": closed["ShardId"]}, "checkpoint": {"S": "SHARD_END"}},
        {
            "leaseKey": {"S": put["ShardId"]}, "checkpoint": {"S": put["SequenceNumber"]},
            "checkpointSubSequenceNumber": {"N": "2"},
        },
    ]  # fmt: skip
    settings = stream.settings
    await ensure_topics(settings, (), kafka_connection(settings).client("test"))

    async def aim(now: StreamNow, standing: Positions) -> Target:
        brought = kcl_leases(leases, stream.name)
        return take_over("import --from kcl:t", brought, now, standing, 0, replacing=False, gone_ended=False)

    async with kafka_access(settings) as kafka:
        plan = await plan_change(settings, kafka, settings.sources[0], aim, lambda *_: None, None, dry_run=False)
        await write.write_change(settings, kafka, plan.change, lambda *_: None)
    await forwarded(stream, stream.rows + 2)
    assert await versions(stream) == {103: [0], 104: [0]} | {row: [1] for row in stream.versions}


async def test_a_frozen_workers_transaction_ends_with_the_change(stream: Stream) -> None:
    stream.put()
    await forwarded(stream, stream.count)
    settings = stream.settings
    topic = Topics.of(settings).checkpoints
    async with kafka_access(settings) as kafka:
        async with write._producers(settings, kafka, {5}) as frozen:
            await frozen[5].begin_transaction()
            await frozen[5].send(topic, key=b"late", value=b"{}", partition=5)
            await done("reset", "--trim-horizon", "--yes")
            with pytest.raises(Exception, match=r"ProducerFenced|epoch|newer"):
                await frozen[5].commit_transaction()
        found = await look(settings, kafka, settings.sources, lambda *_: None, everything=False)
        assert [one.sound for one in found.sources] == [True]
