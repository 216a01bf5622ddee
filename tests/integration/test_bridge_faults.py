"""P1 while Kinesis refuses, breaks and lies: never a jump, never a repetition, never a bridge that stays down."""

import asyncio
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sandbox.world import World
from tests.integration.hostile import Hostile, hostile, report, said
from tests.integration.stage import eventually
from workers.aws import client

GARBAGE = (b"<html>tea break</html>", b"", b"null", b"{}", b'{"Records":7}', b'{"ShardIterator":null}')


@pytest.fixture
def kinesis(world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hostile]:
    with hostile(world, monkeypatch, tmp_path) as found:
        yield found


READS = {
    "throttles": [("throttle", "GetRecords"), ("throttle", "GetShardIterator"), ("kms_throttling", "GetRecords")],
    "failures": [
        ("internal_failure", "GetRecords"), ("unavailable", "GetShardIterator"), ("cut_before", "GetRecords"),
        ("cut_after", "GetRecords"), ("cut_after", "GetShardIterator"), ("truncate", "GetRecords"),
        ("truncate", "GetShardIterator"),
    ],
    "rebuilds": [("expired_iterator", "GetRecords")],
}  # fmt: skip
REFUSALS = {
    "kms_access_denied": "KMSAccessDeniedException", "kms_disabled": "KMSDisabledException",
    "access_denied": "AccessDeniedException",
}  # fmt: skip
LISTINGS = ("ListShards", "DescribeStreamSummary")
TIMES = 6


@pytest.mark.parametrize("counted", READS)
async def test_a_read_that_fails_is_repeated_until_it_succeeds_and_is_counted(
    kinesis: Hostile, caplog: pytest.LogCaptureFixture, counted: str
) -> None:
    kinesis.stream.put()
    struck = 0
    async with kinesis.bridge() as app:
        for kind, operation in READS[counted]:
            fault = kinesis.control.fault(kind, operation, stream=kinesis.stream.name, times=TIMES)
            if operation == "GetShardIterator":  # asked for only when one is gone
                expired = kinesis.control.fault("expired_iterator", "GetRecords", stream=kinesis.stream.name, times=4)
                await kinesis.struck(expired, 4)
            kinesis.stream.put()
            await kinesis.struck(fault, TIMES)
            await eventually(kinesis.stream.arrived)
            struck += TIMES
        await kinesis.counted(app, counted, struck)
        assert sum(shard[counted] for shard in report(app).values()) == struck
        assert app.slots.stats.rejoins == 0
    await kinesis.stream.holds_everything_once_and_in_order()
    assert not said(caplog, "trying again")


async def test_a_refusal_is_said_once_per_shard_and_waited_out(
    kinesis: Hostile, caplog: pytest.LogCaptureFixture
) -> None:
    kinesis.stream.put()
    async with kinesis.bridge() as app:
        await eventually(kinesis.stream.arrived)
        for kind, code in REFUSALS.items():
            fault = kinesis.control.fault(kind, "GetRecords", stream=kinesis.stream.name)
            kinesis.stream.put()
            await kinesis.struck(fault, 8)
            await kinesis.shows(app, "why", code, code)
            kinesis.control.remove_fault(fault)
            await eventually(kinesis.stream.arrived)
            await kinesis.shows(app, "why", "", "")
            assert said(caplog, f" {code}, trying again") == 2
    await kinesis.stream.holds_everything_once_and_in_order()


async def test_listings_that_fail_are_said_once_and_hold_no_reader_up(
    kinesis: Hostile, caplog: pytest.LogCaptureFixture
) -> None:
    name = kinesis.stream.name
    at_first = [kinesis.control.fault("truncate", call, stream=name, times=2) for call in LISTINGS]
    kinesis.stream.put()
    async with kinesis.bridge():
        await eventually(kinesis.stream.arrived)
        assert [kinesis.control.counts(fault).fired for fault in at_first] == [2, 2]
        for kind, operation in (("throttle", "ListShards"), ("access_denied", "DescribeStreamSummary")):
            before = kinesis.control.status().calls["kinesis.ListShards"]
            await eventually(functools.partial(_listed, kinesis, before + 2))
            caplog.clear()
            fault = kinesis.control.fault(kind, operation, stream=name)
            await kinesis.struck(fault)
            kinesis.stream.put()
            await eventually(kinesis.stream.arrived)
            await kinesis.struck(fault, 5)  # two looks, each asked twice, have failed, and a third one
            assert said(caplog, "cannot list its shards") == 1, kind
            kinesis.control.remove_fault(fault)
    await kinesis.stream.holds_everything_once_and_in_order()


@pytest.mark.parametrize("client_name", ["aiohttp", "boto3"])
async def test_answers_that_are_no_answers_are_asked_for_again(kinesis: Hostile, client_name: str) -> None:
    kinesis.stream.put()
    answers = iter(GARBAGE * 4)
    kinesis.twist("GetRecords", lambda *_: next(answers), times=12)
    kinesis.twist("GetShardIterator", lambda *_: next(answers), times=12)
    async with kinesis.bridge(aws_client=client_name) as app:
        await eventually(kinesis.stream.arrived)
        assert app.slots.stats.rejoins == 0
        # What boto3 cannot read at all it repeats by itself.
        await kinesis.counted(app, "failures", 24 if client_name == "aiohttp" else 1)
    assert kinesis.twisted == {"GetRecords": 12, "GetShardIterator": 12}
    await kinesis.stream.holds_everything_once_and_in_order()


async def test_an_answer_slower_than_the_time_out_is_asked_for_again(
    kinesis: Hostile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "READ_TIMEOUT", 0.3)
    kinesis.stream.put()
    fault = kinesis.control.fault("slow", "GetRecords", stream=kinesis.stream.name, times=4, seconds=0.8)
    async with kinesis.bridge() as app:
        await kinesis.struck(fault, 4)
        await kinesis.counted(app, "failures", 4)
        await eventually(kinesis.stream.arrived)
    await kinesis.stream.holds_everything_once_and_in_order()


async def test_iterators_that_expire_all_the_time_skip_and_repeat_nothing(kinesis: Hostile) -> None:
    kinesis.control.behave(iterator_seconds=0.04)  # shorter than the pause between two reads
    kinesis.stream.put()
    async with kinesis.bridge() as app:
        for _ in range(4):
            await eventually(kinesis.stream.arrived)
            kinesis.stream.put()
        await eventually(kinesis.stream.arrived)
        await kinesis.counted(app, "rebuilds", 4)
    await kinesis.stream.holds_everything_once_and_in_order()


async def test_a_storm_of_everything_at_once_brings_everything_once(kinesis: Hostile) -> None:
    storm = [
        ("throttle", "GetRecords"), ("cut_after", "GetRecords"), ("truncate", "GetRecords"),
        ("expired_iterator", "GetRecords"), ("throttle", "GetShardIterator"), ("cut_before", "GetShardIterator"),
    ]  # fmt: skip
    faults = [
        kinesis.control.fault(kind, operation, stream=kinesis.stream.name, probability=0.2, seed=seed)
        for seed, (kind, operation) in enumerate(storm)
    ]
    kinesis.stream.put(2)
    async with kinesis.bridge():
        await eventually(kinesis.stream.arrived)
        kinesis.stream.split()
        kinesis.stream.put(2)
        await eventually(kinesis.stream.arrived)
    assert all(kinesis.control.counts(fault).fired for fault in faults)
    kinesis.control.clear_faults()
    await kinesis.stream.holds_everything_once_and_in_order()


async def test_a_page_without_a_next_iterator_is_not_the_end_of_an_open_shard(kinesis: Hostile) -> None:
    def endless(answer: Any, _: Any) -> Any:
        del answer["NextShardIterator"]
        return answer

    kinesis.twist("GetRecords", endless, times=6)
    kinesis.stream.put()
    async with kinesis.bridge() as app:
        await kinesis.fired("GetRecords", 6)
        kinesis.stream.put()
        await eventually(kinesis.stream.arrived)
        await kinesis.counted(app, "failures", 6)
        await kinesis.shows(app, "state", "READING", "READING")
        assert sum(shard["failures"] for shard in report(app).values()) == 6
    assert not any(found.ended for found in (await kinesis.stream.checkpoints()).values())
    await kinesis.stream.holds_everything_once_and_in_order()


async def test_an_end_without_children_is_not_believed_to_a_listing_that_lacks_the_shard(kinesis: Hostile) -> None:
    shard = kinesis.shard(0)

    def endless(answer: Any, _: Any) -> Any:
        del answer["NextShardIterator"]
        return answer

    def without(answer: Any, _: Any) -> Any:
        answer["Shards"] = [found for found in answer["Shards"] if found["ShardId"] != shard]
        return answer

    kinesis.stream.put()
    async with kinesis.bridge() as app:
        await eventually(kinesis.stream.arrived)
        kinesis.twist("ListShards", without, times=1)
        kinesis.twist("GetRecords", endless, times=4)
        await kinesis.fired("GetRecords", 4)
        await kinesis.fired("ListShards")
        kinesis.stream.put()
        await eventually(kinesis.stream.arrived)
        assert app.slots.stats.gaps == 0
    assert not any(found.ended for found in (await kinesis.stream.checkpoints()).values())
    await kinesis.stream.holds_everything_once_and_in_order()


async def test_a_listing_that_lags_behind_the_children_costs_nothing(kinesis: Hostile) -> None:
    before = [found["ShardId"] for found in kinesis.stream.shards()]

    def old(answer: Any, _: Any) -> Any:
        shards = [found for found in answer["Shards"] if found["ShardId"] in before]
        return None if shards == answer["Shards"] else answer | {"Shards": shards}

    kinesis.stream.put()
    async with kinesis.bridge() as app:
        await eventually(kinesis.stream.arrived)
        await asyncio.to_thread(kinesis.stream.put)
        calls = kinesis.control.status().calls.get("kinesis.ListShards", 0)
        await eventually(lambda: _listed(kinesis, calls + 3))  # two old listings agree, for what that is worth
        kinesis.twist("ListShards", old)
        # The stand-in's own split: the test's client would list through the same twist.
        kinesis.stream.kinesis.split_shard(
            StreamName=kinesis.stream.name, ShardToSplit=before[0], NewStartingHashKey=str(1 << 126)
        )
        kinesis.stream.put()
        await eventually(kinesis.stream.arrived)
        assert app.slots.stats.gaps == 0
        await kinesis.fired("ListShards")
    await kinesis.stream.holds_everything_once_and_in_order()


async def _listed(kinesis: Hostile, calls: int) -> bool:
    return kinesis.control.status().calls.get("kinesis.ListShards", 0) >= calls
