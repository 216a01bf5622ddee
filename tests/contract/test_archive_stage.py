"""The stage `archive` against S3, SQS and SNS of the stand-in, through unmodified boto3."""

import functools
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from models.dead_letter import GAP_PREFIX
from models.outcome import Failure
from sandbox.aws.control_client import StandInControl
from sandbox.aws.server import StandIn
from tests.contract.standin import SESSION, client, clock, control, stand_in
from tests.contract.test_shown_events import EVENT, changed
from tests.unit.test_filed_letter import LETTER, ROW, SECRET
from workers.agents.archive import add_archive
from workers.archive.notices import LetterNotices, alert_topic
from workers.archive.sinks import letter_sinks
from workers.aws.client import Session
from workers.engine.app import StageApp
from workers.engine.clock import monotonic
from workers.engine.options import EngineOptions
from workers.engine.testing import Input, StageKit
from workers.settings.worker import Settings

__all__ = ["clock", "control", "stand_in"]  # fixtures

DEAD, BUCKET = "cdc.dead", "dead-letters"
PATIENCE = 30.0


@dataclass
class Outside:
    """What the stage writes to, and what came there."""

    url: str
    settings: Settings
    queue: str
    alerts: str

    def make_app(self) -> StageApp:
        app = StageApp("cdc-archive", EngineOptions(bootstrap="localhost:9092", partitions=2))
        session_of = functools.cache(functools.partial(Session, self.settings))
        topic = alert_topic(self.settings, session_of)
        notices = LetterNotices(topic, self.settings.archive_bucket, monotonic) if topic is not None else None
        add_archive(app, DEAD, letter_sinks(self.settings, session_of), notices)
        return app

    def objects(self) -> list[str]:
        found = client("s3", self.url).list_objects_v2(Bucket=BUCKET).get("Contents", [])
        return [one["Key"] for one in found]

    def object(self, key: str) -> Any:
        return client("s3", self.url).get_object(Bucket=BUCKET, Key=key)

    def pointers(self) -> list[Any]:
        return [json.loads(body) for body in self._drained(self.queue)]

    def notices(self) -> list[Any]:
        return [json.loads(body) for body in self._drained(self.alerts)]

    def _drained(self, queue: str) -> Iterator[str]:
        sqs = client("sqs", self.url)
        while found := sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages"):
            for message in found:
                sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
                yield message["Body"]


@pytest.fixture
def outside(stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> Outside:
    monkeypatch.setattr("workers.aws.client.boto3.Session", lambda **_: SESSION)  # one for all: they are slow to make
    client("s3", stand_in.url).create_bucket(Bucket=BUCKET)
    sqs, sns = client("sqs", stand_in.url), client("sns", stand_in.url)
    queue, alerts = (sqs.create_queue(QueueName=name)["QueueUrl"] for name in ("letters", "alerts"))
    arn = sqs.get_queue_attributes(QueueUrl=alerts, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    topic = sns.create_topic(Name="alerts")["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    settings = Settings(
        _env_file=None, aws_endpoint_url=stand_in.url, archive_bucket=BUCKET, alert_topic_arn=topic,
        dlq_queue_url=queue, max_retry_attempts=1,
    )  # fmt: skip
    return Outside(stand_in.url, settings, queue, alerts)


def record(value: bytes | None = ROW, **letter: Any) -> Input:
    return Input(b"k%d" % len(value or b""), value, partition=0, headers=replace(LETTER, **letter).to_headers())


async def test_every_letter_is_an_object_a_pointer_and_an_alert(outside: Outside) -> None:
    async with StageKit(outside.make_app) as kit:
        assert await kit.feed(DEAD, [record(), record(b"{", code=Failure.PARSE_ERROR)], within=PATIENCE)
        assert kit.committed(DEAD, 0) == 2
    objects = outside.objects()
    assert sorted(pointer["archive"] for pointer in outside.pointers()) == [f"s3://{BUCKET}/{key}" for key in objects]
    notices = [json.loads(told["Message"]) for told in outside.notices()]
    assert {notice["code"]: notice["run"][0] for notice in notices} == {
        "VALIDATION_ERROR": "cdc dlq show 0:0", "PARSE_ERROR": "cdc dlq show 0:1",
    }  # fmt: skip


async def test_objects_are_encrypted_as_the_settings_say(outside: Outside) -> None:
    key = "arn:aws:kms:us-east-1:000000000000:key/1"
    outside.settings = outside.settings.model_copy(update={"archive_kms_key": key})
    async with StageKit(outside.make_app) as kit:
        assert await kit.feed(DEAD, [record()], within=PATIENCE)
    found = outside.object(outside.objects()[0])
    assert (found["ServerSideEncryption"], found["SSEKMSKeyId"]) == ("aws:kms", key)
    assert found["Metadata"] == {"kind": "letter", "stage": "enrich", "code": "VALIDATION_ERROR", "attempts": "2"}


async def test_no_message_holds_a_value_of_the_row(outside: Outside) -> None:
    poison = ROW[:-20]
    async with StageKit(outside.make_app) as kit:
        assert await kit.feed(DEAD, [record(), record(poison, code=Failure.PARSE_ERROR)], within=PATIENCE)
    told = json.dumps([outside.pointers(), outside.notices()])
    assert told.count("evt_") == 0
    assert "VALIDATION_ERROR" in told
    assert SECRET not in told


async def test_no_message_holds_what_another_program_wrote_among_the_events(outside: Outside) -> None:
    """P6: an event is shown as the rules of its table leave it, whoever wrote it."""
    user = EVENT | {"entityType": "users", "entityId": "7", "keys": {"ID": 7}} | changed("SSN", SECRET)
    del user["orgId"]
    least = {"eventId": SECRET, "eventType": "a.b", "entityType": "users", "timestamp": EVENT["timestamp"]}
    refused = [record(json.dumps(event).encode(), stage="publish", topic="cdc.events") for event in (user, least)]
    async with StageKit(outside.make_app) as kit:
        assert await kit.feed(DEAD, refused, within=PATIENCE)
    pointers = outside.pointers()
    assert SECRET not in json.dumps([pointers, outside.notices()])
    views = sorted((pointer["payload"] for pointer in pointers), key=len)
    assert (views[0].keys(), views[1]["entityType"]) == ({"bytes", "digest"}, "users")


async def test_a_worker_killed_between_the_object_and_its_commit_leaves_one_object(outside: Outside) -> None:
    async with StageKit(outside.make_app) as kit:
        stalled = kit.stall_next_commit()
        assert not await kit.feed(DEAD, [record()], within=1.0)
        await _until(kit, lambda: bool(stalled.fired))
        assert (len(outside.objects()), kit.committed(DEAD, 0)) == (1, 0)
        await kit.restart(orderly=False)
        assert await kit.settle(PATIENCE)
        assert kit.committed(DEAD, 0) == 1
    assert len(outside.objects()) == 1
    assert len({pointer["id"] for pointer in outside.pointers()}) == 1


async def test_what_stands_under_the_key_of_a_letter_stays_as_it_is_and_the_letter_counts_as_filed(
    outside: Outside,
) -> None:
    async with StageKit(outside.make_app) as kit:
        assert await kit.feed(DEAD, [record()], within=PATIENCE)
    [key] = outside.objects()
    client("s3", outside.url).put_object(Bucket=BUCKET, Key=key, Body=b"somebody wrote this")
    async with StageKit(outside.make_app) as another:  # the same letter at the same place once more
        assert await another.feed(DEAD, [record()], within=PATIENCE)
        assert another.committed(DEAD, 0) == 1
        assert another.app.blockers == {}
    assert outside.objects() == [key]
    assert outside.object(key)["Body"].read() == b"somebody wrote this"


async def test_an_object_whose_answer_was_lost_is_not_written_again(outside: Outside, control: StandInControl) -> None:
    fault = control.fault("cut_after", "PutObject", service="s3", times=1)
    async with StageKit(outside.make_app) as kit:
        assert await kit.feed(DEAD, [record()], within=PATIENCE)
    assert (control.counts(fault).fired, len(outside.objects())) == (1, 1)


async def test_an_outage_of_the_alert_topic_waits_and_the_other_sinks_get_nothing_twice(
    outside: Outside, control: StandInControl
) -> None:
    fault = control.fault("unavailable", "Publish", service="sns")
    async with StageKit(outside.make_app) as kit:
        await kit.feed(DEAD, [record()], within=1.0)
        await _until(kit, lambda: control.counts(fault).fired >= 2)
        assert kit.committed(DEAD, 0) == 0
        assert kit.app.blockers == {}
        assert kit.app.reports["sns"]()["health"] == "IN_ALARM"
        control.clear_faults()
        assert await kit.settle(PATIENCE)
        assert kit.committed(DEAD, 0) == 1
        assert kit.app.reports["sns"]()["health"] == "OK"
        assert kit.output("cdc.dead") == [(record().key, ROW)]
    assert (len(outside.objects()), len(outside.pointers()), len(outside.notices())) == (1, 1, 1)
    assert control.ledger()["operations"]["s3.PutObject"] == 1


async def test_a_bucket_that_denies_us_needs_an_operator_and_goes_on_when_mended(
    outside: Outside, control: StandInControl
) -> None:
    fault = control.fault("access_denied", "PutObject", service="s3")
    async with StageKit(outside.make_app) as kit:
        await kit.feed(DEAD, [record()], within=1.0)
        await _until(kit, lambda: bool(control.counts(fault).fired))
        await _until(kit, lambda: "s3" in kit.app.blockers)
        assert kit.app.blockers["s3"].startswith("AccessDenied: check DLQ_ARCHIVE_BUCKET")
        assert not kit.app.ready
        control.clear_faults()
        assert await kit.settle(PATIENCE)
        assert kit.app.blockers == {}
    assert len(outside.objects()) == 1


async def test_gaps_and_records_nobody_can_read_stop_nothing(outside: Outside) -> None:
    gap = Input(
        None, None, partition=0, headers=[(f"{GAP_PREFIX}topic", b"cdc.raw.core"), (f"{GAP_PREFIX}start", b"7")]
    )
    foreign = Input(b"x", b"what", partition=0)
    async with StageKit(outside.make_app) as kit:
        assert await kit.feed(DEAD, [gap, foreign, record()], within=PATIENCE)
        assert kit.committed(DEAD, 0) == 3
    assert {json.loads(outside.object(key)["Body"].read())["kind"] for key in outside.objects()} == {
        "gap", "unreadable", "letter",
    }  # fmt: skip
    assert {json.loads(told["Message"])["code"] for told in outside.notices()} == {
        "GAP", "UNREADABLE", "VALIDATION_ERROR",
    }  # fmt: skip


async def test_a_flood_of_one_code_is_one_message_and_the_rest_is_counted(outside: Outside) -> None:
    async with StageKit(outside.make_app) as kit:
        assert await kit.feed(DEAD, [record() for _ in range(30)], within=PATIENCE)
        (first,) = outside.notices()
        await kit.advance(910)
        await kit.settle(PATIENCE)
    (rest,) = outside.notices()
    assert (json.loads(first["Message"])["count"], json.loads(rest["Message"])["count"]) == (1, 29)
    assert rest["Subject"] == "[PRD] cdc enrich: 29 x VALIDATION_ERROR in users"
    assert len(outside.objects()) == 30


async def _until(kit: StageKit, condition: Callable[[], bool]) -> None:
    for _ in range(1_000):
        if condition():
            return
        await kit.advance(0.05)
    raise AssertionError("it did not happen")
