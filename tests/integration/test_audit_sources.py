"""P5: the audit of several sources, whose raw topics have the same offsets and whose streams may have the same name."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from models.raw import raw_record_of
from sandbox.stand_in import AwsStandIn
from sandbox.world import World
from tests.integration.auditing import RECORDS, audited, counts_in, enriched, failed, raw_records, shard_of
from tests.integration.pipeline import Pipeline, user
from tests.integration.stage import eventually, running
from tests.integration.two_sources import SECOND, TwoSources
from workers.agents import enrich
from workers.app import make_bridge, make_enrich, make_publish
from workers.audit.counts import Baseline, SourceNotTold
from workers.audit.report import Audit
from workers.audit.verdicts import Verdict
from workers.kafka.access import kafka_access
from workers.status import look


@pytest.fixture
def pipeline(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TwoSources:
    return TwoSources(world, tmp_path, monkeypatch)


async def both_enriched(pipeline: TwoSources, start: int = 0, days: int = 1) -> None:
    """A life of the enrich stage, with as many records of either source."""
    await pipeline.make_topics()
    await pipeline.put(pipeline.raw, raw_records(start))
    await pipeline.put(pipeline.second, raw_records(start + 500))
    async with running(make_enrich(pipeline.settings)):
        await pipeline.has_read_both(days * (RECORDS + 1), days * (RECORDS + 1))


def broken_topics(report: Audit, verdict: Verdict = Verdict.BROKEN) -> set[str | None]:
    return {line.topic for line in report.lines if line.verdict is verdict}


async def events_of(pipeline: TwoSources, source: str) -> list[Any]:
    found = await pipeline.read(pipeline.topics.events)
    return [event for event in found if dict(event.headers).get("cdc-source") == source.encode()]


async def test_sources_whose_raw_topics_have_the_same_offsets_add_up(pipeline: TwoSources) -> None:
    pipeline.make_bus()
    await both_enriched(pipeline)
    async with running(make_publish(pipeline.settings)):
        await pipeline.has_read("publish", pipeline.topics.events, len(await pipeline.read(pipeline.topics.events)))
    report = await audited(pipeline, "enrich", "publish")
    assert report.verdict is Verdict.OK, failed(report)
    inputs: dict[str | None, int] = {}
    for line in report.lines:
        inputs[line.topic] = inputs.get(line.topic, 0) + counts_in(line).inputs
    assert inputs[pipeline.raw] == inputs[pipeline.second] == RECORDS + 1


async def test_a_record_that_only_the_second_source_lost_is_broken_there(pipeline: TwoSources) -> None:
    await both_enriched(pipeline)
    await pipeline.put(pipeline.second, raw_records(2000))
    at, ledger = (await pipeline.offsets("enrich", pipeline.second))[0]
    await pipeline.set_offset("enrich", pipeline.second, 0, at + 1, ledger.encode())
    report = await audited(pipeline, "enrich")
    assert broken_topics(report) == {pipeline.second}
    check = failed(report)["input"]
    assert (check.found or 0) - (check.counted or 0) == 1


async def test_an_event_of_the_second_source_that_came_twice_is_broken_there(pipeline: TwoSources) -> None:
    await both_enriched(pipeline)
    event = (await events_of(pipeline, SECOND))[3]
    await pipeline.put(
        pipeline.topics.events, [(event.key, event.value)], partition=event.partition, headers=list(event.headers)
    )
    report = await audited(pipeline, "enrich")
    assert broken_topics(report) == {pipeline.second}
    assert failed(report).keys() == {"output", "once"}


async def test_events_that_tell_of_another_source_than_theirs_are_broken(
    pipeline: TwoSources, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = raw_record_of
    monkeypatch.setattr(enrich, "raw_record_of", lambda record, _: read(record, "core"))
    await both_enriched(pipeline)
    report = await audited(pipeline, "enrich")
    assert broken_topics(report) == {pipeline.raw, pipeline.second}


async def test_events_that_tell_of_a_source_nobody_knows_are_not_ours_and_missing(
    pipeline: TwoSources, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = raw_record_of
    monkeypatch.setattr(
        enrich, "raw_record_of", lambda record, source: read(record, "nobody" if source == SECOND else source)
    )
    await both_enriched(pipeline)
    report = await audited(pipeline, "enrich")
    assert broken_topics(report) == {pipeline.second}
    assert report.foreign[pipeline.topics.events] > 0


async def test_a_dead_letter_of_the_second_source_that_nobody_counted_is_broken_there(pipeline: TwoSources) -> None:
    await both_enriched(pipeline)
    at, ledger = (await pipeline.offsets("enrich", pipeline.second))[0]
    changed = ledger.plus({"drop.snapshot": ledger.counts["dead"]})
    changed.counts["dead"] = 0
    await pipeline.set_offset("enrich", pipeline.second, 0, at, changed.encode())
    report = await audited(pipeline, "enrich")
    assert (set(failed(report)), broken_topics(report)) == ({"dead"}, {pipeline.second})


async def without_header(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> Audit:
    """Events as an older release wrote them."""
    monkeypatch.setattr(enrich, "HEADER_SOURCE", "older")
    await (both_enriched(pipeline) if isinstance(pipeline, TwoSources) else enriched(pipeline))
    return await audited(pipeline, "enrich")


async def test_events_without_a_source_are_of_the_only_one(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = await without_header(Pipeline(world, tmp_path, monkeypatch), monkeypatch)
    assert report.verdict is Verdict.OK, failed(report)


async def test_events_without_a_source_are_unknown_if_there_are_several(
    pipeline: TwoSources, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = await without_header(pipeline, monkeypatch)
    assert report.verdict is Verdict.UNKNOWN, failed(report)
    assert "name no input" in failed(report, Verdict.UNKNOWN)["output"].reason


async def test_an_audit_since_an_earlier_one_adds_up_for_every_source(pipeline: TwoSources) -> None:
    await both_enriched(pipeline)
    earlier = await audited(pipeline, "enrich")
    for topic in (pipeline.raw, pipeline.second):
        at = {p: offset for p, (offset, _) in (await pipeline.offsets("enrich", topic)).items()}
        await pipeline.delete_before(topic, at)
    await both_enriched(pipeline, start=3000, days=2)
    report = await audited(pipeline, "enrich", since=earlier)
    assert report.verdict is Verdict.OK, (failed(report), failed(report, Verdict.UNKNOWN))
    assert sum(counts_in(line).inputs for line in report.lines) == 2 * (RECORDS + 1)


def of_an_older_release(document: dict[str, Any], topic: str) -> dict[str, Any]:
    """The same audit before topics were told."""
    lines = [{name: told for name, told in line.items() if name not in ("topic", "source", "arn")}
             for line in document["lines"]]  # fmt: skip
    return document | {"lines": lines, "rawEdges": document["rawEdges"].get(topic, {})}


async def test_an_audit_of_an_older_release_is_of_the_only_source(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = Pipeline(world, tmp_path, monkeypatch)
    kinesis = pipeline.outside().client("kinesis")

    async def day(number: int) -> None:
        for n in range(10):
            kinesis.put_record(
                StreamName=pipeline.settings.kinesis_stream_name, PartitionKey=f"k{n}", Data=user(100 * number + n)[1]
            )
        async with running(make_bridge(pipeline.settings), make_enrich(pipeline.settings)):
            await pipeline.has_read("enrich", pipeline.raw, 10 * number)

    await day(1)
    earlier = of_an_older_release((await audited(pipeline, "bridge", "enrich")).document(), pipeline.raw)
    await day(2)
    report = await audited(pipeline, "bridge", "enrich", since=earlier)
    assert report.verdict is Verdict.OK, failed(report)
    assert sum(shard_of(line).records for line in report.lines if line.stage == "bridge") == 10


async def test_an_audit_of_an_older_release_says_nothing_of_several_sources(pipeline: TwoSources) -> None:
    await both_enriched(pipeline)
    document = of_an_older_release((await audited(pipeline, "enrich")).document(), pipeline.raw)
    with pytest.raises(SourceNotTold):
        Baseline.read(document, pipeline.topics)


class TwoRegions(TwoSources):
    """Both streams have the same name, and shards of the same names."""

    def __init__(
        self, world: World, elsewhere: AwsStandIn, directory: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:  # fmt: skip
        super().__init__(world, directory, monkeypatch)
        self.name = self.environment["KINESIS_STREAM_NAME"]
        self.there = f"{self.name}\n    region: eu-west-1\n    endpoint: {elsewhere.address}"
        self.configure(self.name, self.there)
        self.read_again()
        self.streams = [self.outside().client("kinesis"), elsewhere.client("kinesis")]
        self.streams[1].create_stream(StreamName=self.name, ShardCount=2)
        self.streams[1].get_waiter("stream_exists").wait(StreamName=self.name, WaiterConfig={"Delay": 1})

    def put_into(self, index: int, records: int) -> None:
        entries = [{"PartitionKey": f"k{n}", "Data": user(n + 1000 * index)[1]} for n in range(records)]
        assert self.streams[index].put_records(StreamName=self.name, Records=entries)["FailedRecordCount"] == 0

    async def arrived(self, first: int, second: int) -> bool:
        return [len(await self.read(topic)) for topic in (self.raw, self.second)] == [first, second]


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AwsStandIn]:
    """A second region."""
    aws = AwsStandIn(tmp_path_factory.mktemp("eu"), stream="other", shards=1, bus="other", region="eu-west-1")
    aws.start()
    try:
        yield aws
    finally:
        aws.stop()


@pytest.fixture
async def regions(world: World, elsewhere: AwsStandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TwoRegions:
    """30 records of one region and 50 of the other stand in raw."""
    made = TwoRegions(world, elsewhere, tmp_path, monkeypatch)
    made.put_into(0, 30)
    made.put_into(1, 50)
    async with running(make_bridge(made.settings)):
        await eventually(lambda: made.arrived(30, 50))
    return made


async def test_streams_of_one_name_in_two_regions_add_up(regions: TwoRegions) -> None:
    report = await audited(regions, "bridge")
    assert report.verdict is Verdict.OK, failed(report)
    counted = {topic: sum(shard_of(line).records for line in report.lines if line.topic == topic)
               for topic in (regions.raw, regions.second)}  # fmt: skip
    assert counted == {regions.raw: 30, regions.second: 50}
    assert len({shard_of(line).arn for line in report.lines}) == 2


async def test_a_record_of_one_region_that_stands_in_raw_twice_is_broken_there(regions: TwoRegions) -> None:
    record = (await regions.read(regions.second))[0]
    await regions.put(
        regions.second, [(record.key, record.value)], partition=record.partition, headers=list(record.headers)
    )
    report = await audited(regions, "bridge")
    assert (set(failed(report)), broken_topics(report)) == ({"output", "once"}, {regions.second})


async def test_status_tells_streams_of_one_name_apart(regions: TwoRegions) -> None:
    async with kafka_access(regions.settings) as kafka:
        [bridge] = await look(regions.settings, kafka, ["bridge"])
    rows = bridge.document()["shards"]
    records = {(row["source"], row["topic"], row["arn"].split(":")[3]): 0 for row in rows}
    for row in rows:
        records[row["source"], row["topic"], row["arn"].split(":")[3]] += row["records"]
    assert records == {("core", regions.raw, "us-east-1"): 30, (SECOND, regions.second, "eu-west-1"): 50}


async def test_a_stream_that_no_source_reads_any_more_is_unknown(regions: TwoRegions) -> None:
    regions.configure(regions.name, f"{regions.name}\n    region: ap-south-1")
    regions.read_again()
    report = await audited(regions, "bridge")
    assert report.verdict is Verdict.UNKNOWN, failed(report)
    assert "no source reads arn:aws:kinesis:eu-west-1" in failed(report, Verdict.UNKNOWN)["output"].reason


async def test_a_stream_that_no_source_reads_any_more_is_ok_since_an_audit_that_saw_it(regions: TwoRegions) -> None:
    earlier = await audited(regions, "bridge")
    regions.configure(regions.name, f"{regions.name}\n    region: ap-south-1")
    regions.read_again()
    report = await audited(regions, "bridge", since=earlier)
    assert report.verdict is Verdict.OK, failed(report, Verdict.UNKNOWN)


async def test_a_source_that_is_disabled_is_audited_as_before(regions: TwoRegions) -> None:
    regions.configure(regions.name, f"{regions.there}\n    enabled: false")
    regions.read_again()
    report = await audited(regions, "bridge")
    assert report.verdict is Verdict.OK, failed(report)
