"""P5: `cdc status --audit` proves that counts add up, and says so of nothing that it could not see."""

import asyncio
import json
from pathlib import Path

import pytest

from sandbox.world import World
from tests.integration.auditing import RECORDS, audited, counts_in, enriched, failed, raw_records, shard_of
from tests.integration.pipeline import PARTITIONS, Pipeline, user
from tests.integration.stage import eventually, running
from workers.app import make_bridge, make_enrich, make_publish
from workers.audit.counts import Edge
from workers.audit.report import Audit
from workers.audit.verdicts import Verdict
from workers.engine.ledger import Ledger


@pytest.fixture
def pipeline(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    return Pipeline(world, tmp_path, monkeypatch)


async def published(pipeline: Pipeline) -> None:
    """The publish stage delivers all events."""
    events = len(await pipeline.read(pipeline.topics.events))
    async with running(make_publish(pipeline.settings)):
        await pipeline.has_read("publish", pipeline.topics.events, events)


async def tampered(pipeline: Pipeline, partition: int = 0, offset: int = 0, **counts: int) -> None:
    """Change the ledger of a partition of enrich, and move its offset by `offset`."""
    at, ledger = (await pipeline.offsets("enrich", pipeline.raw))[partition]
    changed = Ledger({name: ledger.counts.get(name, 0) for name in ledger.counts} | counts, ledger.since)
    await pipeline.set_offset("enrich", pipeline.raw, partition, at + offset, changed.encode())


async def counts_of(pipeline: Pipeline, partition: int = 0) -> dict[str, int]:
    return (await pipeline.offsets("enrich", pipeline.raw))[partition][1].counts


async def test_all_three_stages_add_up_while_they_run_and_afterwards(pipeline: Pipeline) -> None:
    outside = pipeline.outside()
    kinesis, stream = outside.client("kinesis"), pipeline.settings.kinesis_stream_name

    def put(start: int) -> None:
        entries = [{"PartitionKey": f"k{n}", "Data": user(n)[1]} for n in range(start, start + 200)]
        moved = json.loads(user(start)[1])
        moved["metadata"]["operation"], moved["before-image"] = "update", {"ID": start + 1000}
        entries += [{"PartitionKey": "poison", "Data": b"poison"}, {"PartitionKey": "m", "Data": json.dumps(moved)}]
        assert kinesis.put_records(StreamName=stream, Records=entries)["FailedRecordCount"] == 0

    running_audits: list[Audit] = []
    settings = pipeline.settings
    async with running(make_bridge(settings), make_enrich(settings), make_publish(settings)):
        for start in range(0, 1000, 200):
            await asyncio.to_thread(put, start)
            running_audits.append(await audited(pipeline))
        # five markers of changed keys on top
        await pipeline.has_read("enrich", pipeline.raw, 1015)
        await pipeline.has_read("publish", pipeline.topics.events, 1005)
    assert {report.verdict for report in running_audits} == {Verdict.OK}, [failed(r) for r in running_audits]
    report = await audited(pipeline)
    assert report.verdict is Verdict.OK, failed(report)
    lines = {stage: [line for line in report.lines if line.stage == stage] for stage in report.stages}
    assert sum(shard_of(line).records for line in lines["bridge"]) == 1010
    assert sum(line.markers for line in lines["bridge"]) == 5
    assert sum(counts_in(line).inputs for line in lines["enrich"]) == 1015
    assert sum(counts_in(line).dead for line in lines["enrich"]) == 5
    assert sum(counts_in(line).out for line in lines["publish"]) == 1005


async def test_an_offset_moved_by_hand_past_records_is_broken(pipeline: Pipeline) -> None:
    await enriched(pipeline)
    await pipeline.put(pipeline.raw, raw_records(1000))
    ends = {p: offset for p, (offset, _) in (await pipeline.offsets("enrich", pipeline.raw)).items()}
    await pipeline.set_offset("enrich", pipeline.raw, 0, ends[0] + 5)
    report = await audited(pipeline, "enrich")
    assert report.verdict is Verdict.BROKEN
    check = failed(report)["input"]
    assert "set by hand" in check.reason
    assert report.lines[1].verdict is Verdict.OK


async def test_an_offset_that_passed_records_with_its_ledger_intact_is_broken(pipeline: Pipeline) -> None:
    await enriched(pipeline)
    await pipeline.put(pipeline.raw, raw_records(1000))
    await tampered(pipeline, offset=7)
    check = failed(await audited(pipeline, "enrich"))["input"]
    assert (check.found or 0) - (check.counted or 0) == 7


async def test_a_ledger_with_one_event_too_many_is_broken(pipeline: Pipeline) -> None:
    await enriched(pipeline)
    before = await counts_of(pipeline)
    await tampered(pipeline, **{"out": before["out"] + 1, "in": before["in"] + 1})
    found = failed(await audited(pipeline, "enrich"))
    assert found.keys() == {"input", "output"}
    assert (found["output"].counted, found["output"].found) == (before["out"] + 1, before["out"])


async def test_an_input_without_an_end_is_broken(pipeline: Pipeline) -> None:
    await enriched(pipeline)
    await tampered(pipeline, **{"drop.snapshot": 0})
    assert failed(await audited(pipeline, "enrich")).keys() == {"balanced"}


async def test_dead_letters_that_nobody_counted_are_broken(pipeline: Pipeline) -> None:
    """They were called drops: the sum is right, and the dead letters are not."""
    await enriched(pipeline)
    before = await counts_of(pipeline)
    assert before["dead"]
    await tampered(pipeline, **{"dead": 0, "drop.snapshot": before["drop.snapshot"] + before["dead"]})
    assert failed(await audited(pipeline, "enrich")).keys() == {"dead"}


async def test_an_input_that_ended_twice_is_broken_though_the_number_is_right(pipeline: Pipeline) -> None:
    await enriched(pipeline)
    events = [event for event in await pipeline.read(pipeline.topics.events) if event.partition == 0]
    await pipeline.put(pipeline.topics.events, [(events[3].key, events[3].value)], partition=0)
    before = await counts_of(pipeline)
    await tampered(pipeline, **{"out": before["out"] + 1, "drop.snapshot": before["drop.snapshot"] - 1})
    assert failed(await audited(pipeline, "enrich")).keys() == {"once"}


async def test_a_snapshot_that_was_counted_as_a_marker_is_broken(pipeline: Pipeline) -> None:
    await enriched(pipeline)
    before = await counts_of(pipeline)
    await tampered(pipeline, **{"drop.key_moved": 1, "drop.snapshot": before["drop.snapshot"] - 1})
    assert failed(await audited(pipeline, "enrich")).keys() == {"markers"}


async def test_a_record_that_claims_to_come_from_a_shard_is_broken(pipeline: Pipeline) -> None:
    outside = pipeline.outside()
    key, value = user(1)
    answer = outside.client("kinesis").put_record(
        StreamName=pipeline.settings.kinesis_stream_name, PartitionKey="k", Data=value
    )

    async def forwarded() -> bool:
        return bool(await pipeline.read(pipeline.raw))

    async with running(make_bridge(pipeline.settings)):
        await eventually(forwarded)
    assert (await audited(pipeline, "bridge")).verdict is Verdict.OK
    [record] = await pipeline.read(pipeline.raw)
    await pipeline.put(pipeline.raw, [(key, value)], headers=list(record.headers))
    found = failed(await audited(pipeline, "bridge"))
    assert found.keys() == {"output", "once"}, answer["ShardId"]
    strange = [(name, b"shardId-999" if name == "cdc-shard" else text) for name, text in record.headers]
    await pipeline.put(pipeline.raw, [(key, value)], headers=strange)
    report = await audited(pipeline, "bridge")
    assert [shard_of(line).shard for line in report.lines if "checkpoint" in {c.name for c in line.checks}] == [
        "shardId-999"
    ]


async def test_what_retention_deleted_is_unknown_and_an_earlier_audit_proves_the_rest(pipeline: Pipeline) -> None:
    pipeline.make_bus()
    await enriched(pipeline)
    await published(pipeline)
    earlier = await audited(pipeline, "enrich", "publish")
    assert earlier.verdict is Verdict.OK, failed(earlier)
    at = {p: offset for p, (offset, _) in (await pipeline.offsets("enrich", pipeline.raw)).items()}
    await pipeline.delete_before(pipeline.raw, at)
    await pipeline.delete_before(pipeline.topics.receipts, dict.fromkeys(range(PARTITIONS), 4))
    report = await audited(pipeline, "enrich", "publish")
    assert report.verdict is Verdict.UNKNOWN
    unknown = failed(report, Verdict.UNKNOWN)
    assert unknown.keys() == {"input", "markers", "output"}
    assert "begins at" in unknown["input"].reason
    await enriched(pipeline, start=2000)
    await published(pipeline)
    report = await audited(pipeline, "enrich", "publish", since=earlier)
    assert report.verdict is Verdict.OK, failed(report, Verdict.UNKNOWN)
    assert sum(counts_in(line).inputs for line in report.lines if line.stage == "enrich") == RECORDS + 1


async def test_more_records_than_were_counted_are_broken_even_if_some_were_deleted(pipeline: Pipeline) -> None:
    await enriched(pipeline)
    await pipeline.delete_before(pipeline.raw, {0: 2})
    await tampered(pipeline, **{"in": 1, "out": 1, "dead": 0, "drop.snapshot": 0, "drop.tombstone": 0})
    assert "input" in failed(await audited(pipeline, "enrich"))


async def test_offsets_that_a_gap_skipped_are_unknown(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    await enriched(pipeline)
    await pipeline.put(pipeline.raw, raw_records(1000))
    ends = {p: offset + 9 for p, (offset, _) in (await pipeline.offsets("enrich", pipeline.raw)).items()}
    await pipeline.delete_before(pipeline.raw, ends)
    settings = pipeline.settings.model_copy(update={"on_gap": "continue"})
    async with running(make_enrich(settings)):

        async def jumped() -> bool:
            offsets = await pipeline.offsets("enrich", pipeline.raw)
            return all(ledger.counts.get("skipped") for _, ledger in offsets.values())

        await eventually(jumped)
    report = await audited(pipeline, "enrich")
    assert report.verdict is Verdict.UNKNOWN, failed(report)
    assert failed(report, Verdict.UNKNOWN)["gaps"].counted == 9


async def test_a_transaction_that_nobody_ends_hides_records_and_breaks_nothing(pipeline: Pipeline) -> None:
    await enriched(pipeline)
    from aiokafka import AIOKafkaProducer

    producer = AIOKafkaProducer(**pipeline.client, transactional_id=f"{pipeline.topics.events}-stuck")
    await producer.start()
    try:
        await producer.begin_transaction()
        await producer.send_and_wait(pipeline.topics.events, b"open", partition=0)
        report = await audited(pipeline, "enrich", patience=2.0)
        assert report.verdict is Verdict.UNKNOWN, failed(report)
        assert "an open transaction" in failed(report, Verdict.UNKNOWN)["output"].reason
    finally:
        await producer.stop()


async def test_a_stage_that_never_started_is_unknown(pipeline: Pipeline) -> None:
    await pipeline.make_topics()
    report = await audited(pipeline, "enrich", "publish")
    assert {line.verdict for line in report.lines} == {Verdict.UNKNOWN}


async def test_audits_that_begin_where_the_last_one_ended_add_up_day_after_day(pipeline: Pipeline) -> None:
    outside = pipeline.outside()
    kinesis, stream = outside.client("kinesis"), pipeline.settings.kinesis_stream_name
    report: Audit | None = None
    async with running(*(make(pipeline.settings) for make in (make_bridge, make_enrich, make_publish))):
        for day in range(1, 4):
            for n in range(30):
                await asyncio.to_thread(
                    kinesis.put_record, StreamName=stream, PartitionKey=f"k{n}", Data=user(day * 100 + n)[1]
                )
            await pipeline.has_read("publish", pipeline.topics.events, day * 30)
            report = await audited(pipeline, since=report)
            assert report.verdict is Verdict.OK, (day, failed(report), failed(report, Verdict.UNKNOWN))
            counted = [line for line in report.lines if line.stage != "bridge"]
            assert sum(counts_in(line).inputs for line in counted) == 60, day


async def test_what_comes_again_after_an_earlier_audit_is_broken(pipeline: Pipeline) -> None:
    await enriched(pipeline)
    earlier = await audited(pipeline, "enrich")
    events = [event for event in await pipeline.read(pipeline.topics.events) if event.partition == 0]
    await pipeline.put(pipeline.topics.events, [(events[2].key, events[2].value)], partition=0)
    assert failed(await audited(pipeline, "enrich", since=earlier)).keys() == {"once"}


async def test_a_partition_that_rests_is_ok_though_retention_has_emptied_its_outputs(pipeline: Pipeline) -> None:
    await enriched(pipeline)
    earlier = await audited(pipeline, "enrich")
    ends = {index: edges.end for (_, index), edges in edges_of(earlier).items()}
    await pipeline.delete_before(pipeline.topics.events, {index: end or 0 for index, end in ends.items()})
    report = await audited(pipeline, "enrich", since=earlier)
    assert report.verdict is Verdict.OK, failed(report, Verdict.UNKNOWN)


def edges_of(report: Audit) -> dict[tuple[str, int], Edge]:
    return {(line.stage, line.partition): line.edges["out"] for line in report.lines if line.edges}
