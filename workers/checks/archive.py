"""Checks of what leaves the pipeline about dead letters: whether bucket, queue and topic are there, and how the bucket
encrypts."""

import functools
from collections.abc import Callable
from typing import Any

from workers.archive.sinks import SessionOf
from workers.aws.client import Reach, Session
from workers.aws.errors import AwsDenied, AwsError, AwsThrottled, AwsUnavailable
from workers.checks.findings import Finding
from workers.settings.archive import region_of_queue, region_of_topic
from workers.settings.worker import Settings

NOT_ENCRYPTED = "ServerSideEncryptionConfigurationNotFoundError"
ACTION_OF = {
    "head_bucket": "s3:ListBucket", "get_bucket_encryption": "s3:GetEncryptionConfiguration",
    "get_queue_attributes": "sqs:GetQueueAttributes", "get_topic_attributes": "sns:GetTopicAttributes",
}  # fmt: skip
BUCKET, QUEUE, TOPIC = "DLQ_ARCHIVE_BUCKET", "CDC_DLQ_QUEUE_URL", "ALERT_TOPIC_ARN"


async def check_archive(settings: Settings) -> list[Finding]:
    """Ask for everything that is set; writes nothing, and tells nobody."""
    session_of = functools.cache(functools.partial(Session, settings))
    found: list[Finding] = []
    if settings.archive_bucket is not None:
        found += await _bucket(settings, session_of)
    if settings.dlq_queue_url is not None:
        region = region_of_queue(settings.dlq_queue_url) or settings.aws_region
        found += await _ask(
            session_of(Reach(region)), QUEUE, "archive.queue", "sqs", "get_queue_attributes",
            QueueUrl=settings.dlq_queue_url, AttributeNames=["QueueArn"],
        )  # fmt: skip
    if settings.alert_topic_arn is not None:
        region = region_of_topic(settings.alert_topic_arn) or settings.aws_region
        found += await _ask(
            session_of(Reach(region)), TOPIC, "archive.topic", "sns", "get_topic_attributes",
            TopicArn=settings.alert_topic_arn,
        )  # fmt: skip
    return found


async def _bucket(settings: Settings, session_of: SessionOf) -> list[Finding]:
    session = session_of(Reach(settings.aws_region))
    found = await _ask(session, BUCKET, "archive.bucket", "s3", "head_bucket", Bucket=settings.archive_bucket)
    if found or settings.archive_encryption != "bucket":
        return found
    encrypts = functools.partial(_of, BUCKET, "archive.encryption")
    return await _ask(
        session, BUCKET, "archive.encryption", "s3", "get_bucket_encryption", Bucket=settings.archive_bucket,
        judge=lambda error: encrypts("objects are not encrypted by default") if error.code == NOT_ENCRYPTED else None,
    )  # fmt: skip


async def _ask(
    session: Session, subject: str, kind: str, service: str, operation: str,
    judge: Callable[[AwsError], Finding | None] = lambda _: None, **arguments: Any,
) -> list[Finding]:  # fmt: skip
    try:
        await session.cold(service, operation, **arguments)
    except AwsError as error:
        return [judge(error) or _sorted(error, subject, kind, operation)]
    return []


def _sorted(error: AwsError, subject: str, kind: str, operation: str) -> Finding:
    match error:
        case AwsDenied():
            return _of(subject, "archive.denied", f"{ACTION_OF[operation]} is not allowed ({error.code})")
        case AwsThrottled() | AwsUnavailable():
            return _of(subject, "archive.unreachable", f"no answer ({error.code})")
        case _:
            return _of(subject, kind, f"there is none, or it cannot be used ({error.code})")


def _of(subject: str, kind: str, message: str) -> Finding:
    return Finding.of(kind, subject, message)
