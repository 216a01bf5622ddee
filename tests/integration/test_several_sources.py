"""Streams of several regions and accounts in one worker: each with its raw topic, its role and its own troubles."""

import asyncio
import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner

from models.raw import HEADER_SOURCE
from models.routing import entity_key
from sandbox.aws.control_client import StandInControl
from sandbox.aws.server import StandIn
from sandbox.world import World
from tests.contract.standin import running as stand_in_running
from tests.integration.bridging import Stream, read_topic
from tests.integration.hostile import Hostile, MovedClock, hostile, report, said
from tests.integration.stage import eventually, running
from tests.journey.traffic import Outside
from tests.unit.changes import USER, dms
from workers.app import make_bridge, make_enrich
from workers.cli.checkpoint import checkpoint
from workers.engine.app import StageApp
from workers.engine.errors import BootRefused
from workers.settings.worker import Settings, load_settings

ROLE = "arn:aws:iam::222222222222:role/cdc-reader"
CRM_ARN = "arn:aws:kinesis:eu-west-1:222222222222:stream/crm-changes"


@dataclass
class Two:
    """`core` is read with the worker's own keys, `crm` in another region and account with those of a role."""

    core: Hostile
    crm: Stream
    elsewhere: StandIn
    clock: MovedClock
    """Of the other account's service."""
    directory: Path
    environment: pytest.MonkeyPatch

    def settings(self, core: str = "", crm: str = "", more: str = "") -> Settings:
        """Of a sources.yaml with further fields of the two sources."""
        text = f"""\
version: 1
sources:
  - name: core
    stream: {self.core.stream.name}
    {core}
  - name: crm
    stream: {CRM_ARN}
    role: {ROLE}
    external_id: ours
    endpoint: {self.elsewhere.url}
    {crm}
{more}
"""
        path = self.directory / "sources.yaml"
        path.write_text(text, encoding="utf-8")
        self.environment.setenv("CDC_SOURCES", str(path))
        return load_settings()


@pytest.fixture
def two(world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Two]:
    clock = MovedClock()
    with (
        hostile(world, monkeypatch, tmp_path) as core,
        stand_in_running(clock, account="222222222222", region="eu-west-1") as elsewhere,
    ):
        names = core.stream.environment | {
            "AWS_ENDPOINT_URL": elsewhere.url, "KINESIS_STREAM_NAME": "crm-changes", "AWS_DEFAULT_REGION": "eu-west-1",
        }  # fmt: skip
        Outside(names).client("kinesis").create_stream(StreamName="crm-changes", ShardCount=2)
        crm = Stream(core.settings, names, source="crm")
        elsewhere.sts = core.stand_in.sts  # it knows whose keys these are
        yield Two(core, crm, elsewhere, clock, tmp_path, monkeypatch)


async def test_each_stream_stands_once_and_in_order_in_a_topic_of_its_own(two: Two) -> None:
    async with running(make_bridge(two.settings())):
        for _ in range(3):
            two.core.stream.put()
            two.crm.put()
        await eventually(two.core.stream.arrived)
        await eventually(two.crm.arrived)
    await two.core.stream.holds_everything_once_and_in_order()
    await two.crm.holds_everything_once_and_in_order()


async def test_each_stream_is_read_as_its_dms_task_is_set(two: Two) -> None:
    moved = dms("update", {**USER, "ID": 8, "old_ID": 7})
    for stream in (two.core.stream, two.crm):
        stream.kinesis.put_records(StreamName=stream.name, Records=[{"PartitionKey": "k", "Data": moved}])
    async with running(make_bridge(two.settings(crm="before_prefix: old_"))):
        await eventually(lambda: two.core.stream.arrived(1))
        await eventually(lambda: two.crm.arrived(2))
    assert [record.retired for record in await two.core.stream.raw()] == [False]
    retired = [record.key for record in await two.crm.raw() if record.retired]
    assert retired == [entity_key("core", "users", [7])]


async def test_a_stream_with_a_role_is_read_as_that_role_and_the_other_one_is_not(two: Two) -> None:
    two.crm.put()
    async with running(make_bridge(two.settings())):
        await eventually(two.crm.arrived)
    role = two.core.stand_in.sts.ledger()[ROLE]
    assert (role["sessions"], role["externalIds"]) == (1, ["ours"])
    calls = two.elsewhere.ledger()["operations"]
    made_by_the_test = {"kinesis.CreateStream", "kinesis.PutRecords"}
    assert role["calls"] == {name: count for name, count in calls.items() if name not in made_by_the_test}
    assert two.core.stand_in.ledger()["operations"]["kinesis.GetRecords"] > 0


async def test_a_stream_that_does_not_answer_holds_nobody_up(two: Two, caplog: pytest.LogCaptureFixture) -> None:
    control = StandInControl(two.elsewhere.url)
    hung = [control.fault("slow", operation, seconds=2.0) for operation in ("DescribeStreamSummary", "ListShards")]
    denied = two.core.control.fault("access_denied", "AssumeRole", service="sts", times=3)
    caplog.set_level(logging.INFO)
    app = make_bridge(two.settings())
    async with running(app):
        for _ in range(3):
            two.core.stream.put()
            await eventually(two.core.stream.arrived)
        assert all(shard["state"] == "READING" for shard in report(app).values())
        two.crm.put()
        await eventually(two.crm.arrived)
    assert said(caplog, f"stream {CRM_ARN} (crm): cannot list its shards: AssumeRole:AccessDenied, trying again") == 1
    assert said(caplog, f"stream {CRM_ARN} (crm): its shards are listed again", 20) == 1
    assert two.core.control.counts(denied).fired == 3
    assert control.counts(hung[0]).fired > 0


async def halted(app: StageApp, name: str) -> str:
    """Why a source is not read, as soon as that is so."""

    async def told() -> bool:
        return f"source {name}" in app.blockers

    await eventually(told)
    return app.blockers[f"source {name}"]


async def test_a_stream_that_is_configured_twice_is_read_once_and_the_worker_is_not_ready(two: Two) -> None:
    arn = f"arn:aws:kinesis:us-east-1:000000000000:stream/{two.core.stream.name}"
    settings = two.settings(more=f"  - {{name: again, stream: '{arn}'}}")
    app = make_bridge(settings)
    async with running(app, wait_ready=False):
        two.core.stream.put()
        two.crm.put()
        assert "the sources core and again are one stream" in await halted(app, "again")
        await eventually(two.core.stream.arrived)
        await eventually(two.crm.arrived)
        assert not app.ready
    await two.core.stream.holds_everything_once_and_in_order()
    assert await read_topic(settings, "raw.again") == []


async def test_a_stream_that_turns_out_to_be_another_one_later_brings_nothing_to_its_topic(two: Two) -> None:
    arn = f"arn:aws:kinesis:us-east-1:000000000000:stream/{two.core.stream.name}"
    denied = two.core.control.fault("access_denied", "AssumeRole", service="sts", times=3)
    settings = two.settings(crm="enabled: false", more=f"  - {{name: again, stream: '{arn}', role: '{ROLE}'}}")
    app = make_bridge(settings)
    async with running(app, wait_ready=False):

        async def told() -> bool:
            await asyncio.to_thread(two.core.stream.put)
            return "source again" in app.blockers

        await eventually(told)
        await eventually(two.core.stream.arrived)
    assert two.core.control.counts(denied).fired == 3
    await two.core.stream.holds_everything_once_and_in_order()
    assert await read_topic(settings, "raw.again") == []


async def test_a_stream_that_is_made_anew_halts_alone_and_says_how_it_is_begun_again(two: Two) -> None:
    two.core.stream.put()
    two.crm.put()
    app = make_bridge(two.settings())
    async with running(app):
        await eventually(two.core.stream.arrived)
        await eventually(two.crm.arrived)
        two.crm.kinesis.delete_stream(StreamName="crm-changes")
        two.clock.ahead += 2  # the service tells the time of creation in seconds
        two.crm.kinesis.create_stream(StreamName="crm-changes", ShardCount=2)
        assert "`cdc checkpoint reset --source crm --trim-horizon`" in await halted(app, "crm")
        two.core.stream.put()
        await eventually(two.core.stream.arrived)
    await two.core.stream.holds_everything_once_and_in_order()


async def test_a_worker_that_does_not_know_a_stream_says_that_nobody_reads_it(
    two: Two, caplog: pytest.LogCaptureFixture
) -> None:
    two.crm.put()
    async with running(make_bridge(two.settings())):
        await eventually(two.crm.arrived)
    two.core.stream.put()
    async with two.core.bridge():
        await eventually(two.core.stream.arrived)

        async def warned() -> bool:
            return said(caplog, f"{CRM_ARN} has positions and is no source of this worker") == 1

        await eventually(warned)


async def test_a_source_whose_name_changes_is_refused_before_it_writes_anything(two: Two) -> None:
    two.core.stream.put()
    async with two.core.bridge():
        await eventually(two.core.stream.arrived)
    two.core.stream.put()
    settings = two.core.settings.model_copy(update={"source": "renamed"})
    app = make_bridge(settings)
    async with running(app, wait_ready=False):

        async def refused() -> bool:
            return isinstance(app.crash_reason, BootRefused)

        await eventually(refused)
    assert "is read as source core, not as renamed" in str(app.crash_reason)
    assert await read_topic(settings, "raw.renamed") == []


async def test_a_source_that_is_not_enabled_is_not_read(two: Two) -> None:
    two.crm.put()
    async with running(make_bridge(two.settings(crm="enabled: false"))):
        two.core.stream.put()
        await eventually(two.core.stream.arrived)
    assert await two.crm.raw() == []
    assert two.elsewhere.ledger()["operations"].get("kinesis.ListShards", 0) == 0


async def test_the_same_row_of_two_sources_is_two_changes_and_each_event_names_its_source(two: Two) -> None:
    two.core.stream.put()
    two.crm.put()
    settings = two.settings()
    async with running(make_bridge(settings)), running(make_enrich(settings)):

        async def published() -> bool:
            return len(await read_topic(settings, "events")) == two.core.stream.count + two.crm.count

        await eventually(published)
    events = await read_topic(settings, "events")
    of_source = {"core": set[str](), "crm": set[str]()}
    for event in events:
        of_source[dict(event.headers)[HEADER_SOURCE].decode()].add(json.loads(event.value)["eventId"])
    assert {len(ids) for ids in of_source.values()} == {two.core.stream.rows}
    assert not of_source["core"] & of_source["crm"]


async def test_a_source_that_is_added_later_begins_where_it_says_and_the_others_go_on(two: Two) -> None:
    two.core.stream.put()
    async with two.core.bridge(), running(make_enrich(two.core.settings)):
        await eventually(two.core.stream.arrived)
    two.core.stream.put()
    two.crm.put()
    settings = two.settings()
    async with running(make_bridge(settings)), running(make_enrich(settings)):
        await eventually(two.core.stream.arrived)
        await eventually(two.crm.arrived)

        async def published() -> bool:
            return len(await read_topic(settings, "events")) == two.core.stream.count + two.crm.count

        await eventually(published)
    await two.core.stream.holds_everything_once_and_in_order()


async def test_a_source_that_is_left_out_later_is_refused_because_what_stands_in_raw_would_be_lost(two: Two) -> None:
    async with running(make_enrich(two.settings())):
        pass
    two.environment.delenv("CDC_SOURCES")
    with pytest.raises(BootRefused, match=r"the stage reads .*raw\.crm, this worker does not"):
        async with running(make_enrich(load_settings())):
            pass


async def test_positions_are_shown_and_set_per_source(two: Two) -> None:
    two.core.stream.put()
    two.crm.put()
    async with running(make_bridge(two.settings())):
        await eventually(two.core.stream.arrived)
        await eventually(two.crm.arrived)

    async def cdc(*arguments: str) -> tuple[int, str, str]:
        ended = await asyncio.to_thread(CliRunner().invoke, checkpoint, list(arguments))
        return ended.exit_code, ended.stdout, ended.stderr

    code, told, said_ = await cdc("status", "--output", "json")
    assert code == 0, said_
    sources = {source["source"]: source for source in json.loads(told)["sources"]}
    assert sources["crm"]["stream"] == CRM_ARN
    assert [[shard["state"] for shard in source["shards"]] for source in sources.values()] == [["IDLE"] * 2] * 2
    code, _, said_ = await cdc("reset", "--trim-horizon", "--yes")
    assert code == 2
    assert "choose one with --source: core, crm" in said_
    code, _, said_ = await cdc("reset", "--source", "crm", "--trim-horizon", "--yes")
    assert code == 0, said_
    _, told, _ = await cdc("status", "--output", "json")
    states = {s["source"]: {shard["state"] for shard in s["shards"]} for s in json.loads(told)["sources"]}
    assert states == {"core": {"IDLE"}, "crm": {"NOT_BEGUN"}}
