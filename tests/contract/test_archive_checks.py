"""What `cdc check` says of bucket, queue and topic, by what the stand-in answers."""

from typing import Any

import pytest

from sandbox.aws.control_client import StandInControl
from sandbox.aws.server import StandIn
from tests.contract.standin import SESSION, client, clock, control, stand_in
from workers.checks.archive import check_archive
from workers.settings.worker import Settings

__all__ = ["clock", "control", "stand_in"]  # fixtures

TOPIC = "arn:aws:sns:us-east-1:000000000000:alerts"


@pytest.fixture(autouse=True)
def one_session(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.aws.client.boto3.Session", lambda **_: SESSION)


def settings(stand_in: StandIn, **more: Any) -> Settings:
    named = {
        "archive_bucket": "letters-checked", "dlq_queue_url": f"{stand_in.url}/000000000000/letters",
        "alert_topic_arn": TOPIC, "archive_encryption": "bucket",
    }  # fmt: skip
    return Settings(_env_file=None, aws_endpoint_url=stand_in.url, max_retry_attempts=1, **(named | more))


async def test_what_is_not_there_is_found(stand_in: StandIn) -> None:
    found = await check_archive(settings(stand_in))
    assert [(finding.id, finding.subject, finding.severity) for finding in found] == [
        ("archive.bucket", "DLQ_ARCHIVE_BUCKET", "error"),
        ("archive.queue", "CDC_DLQ_QUEUE_URL", "error"),
        ("archive.topic", "ALERT_TOPIC_ARN", "error"),
    ]


async def test_a_bucket_is_asked_how_it_encrypts_if_it_is_to_say_so(stand_in: StandIn) -> None:
    s3 = client("s3", stand_in.url)
    s3.create_bucket(Bucket="letters-checked")
    client("sqs", stand_in.url).create_queue(QueueName="letters")
    client("sns", stand_in.url).create_topic(Name="alerts")
    assert [finding.id for finding in await check_archive(settings(stand_in))] == ["archive.encryption"]
    assert await check_archive(settings(stand_in, archive_encryption="AES256")) == []
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
    s3.put_bucket_encryption(Bucket="letters-checked", ServerSideEncryptionConfiguration={"Rules": [rule]})
    assert await check_archive(settings(stand_in)) == []


async def test_a_right_to_look_is_only_missed_and_silence_is_an_error(
    stand_in: StandIn, control: StandInControl
) -> None:
    control.fault("access_denied", "GetTopicAttributes", service="sns")
    control.fault("unavailable", "HeadBucket", service="s3")
    only = {"dlq_queue_url": None}
    found = await check_archive(settings(stand_in, **only))
    assert [(finding.id, finding.severity) for finding in found] == [
        ("archive.unreachable", "error"), ("archive.denied", "warning"),
    ]  # fmt: skip
