"""Settings of what leaves the pipeline about dead letters and trouble: an archive, a queue, alerts."""

import re
from typing import Literal

from pydantic import Field

from workers.settings.field_types import OptionalText, env
from workers.settings.kafka import KafkaSettings

TOPIC_ARN = re.compile(r"arn:aws[a-z-]*:sns:([a-z0-9-]+):[0-9]{12}:[A-Za-z0-9_-]{1,256}(\.fifo)?")
QUEUE_URL = re.compile(r"https?://\S+/[A-Za-z0-9_-]{1,80}(\.fifo)?")
QUEUE_HOST = re.compile(r"https?://(?:sqs\.([a-z0-9-]+)\.|([a-z0-9-]+)\.queue\.)amazonaws\.com")


class ArchiveSettings(KafkaSettings):
    """Any of bucket, queue and topic switches the stage `archive` on. Whether they fit together: `archive_mistakes`."""

    archive_bucket: OptionalText = Field(
        None, validation_alias=env("DLQ_ARCHIVE_BUCKET"),
        description="S3 bucket that gets every dead letter, with the original bytes; switches the stage archive on",
    )  # fmt: skip
    archive_encryption: Literal["aws:kms", "AES256", "bucket"] = Field(
        "aws:kms", validation_alias=env("CDC_ARCHIVE_ENCRYPTION"),
        description="how objects are encrypted: aws:kms, AES256, or as the bucket says (bucket)",
    )  # fmt: skip
    archive_kms_key: OptionalText = Field(
        None, validation_alias=env("CDC_ARCHIVE_KMS_KEY"),
        description="key id or ARN for aws:kms; without it AWS's own key for S3",
    )  # fmt: skip
    alert_topic_arn: OptionalText = Field(
        None, validation_alias=env("ALERT_TOPIC_ARN"),
        description="SNS topic that hears of dead letters and pauses; switches the stage archive on",
    )  # fmt: skip
    dlq_queue_url: OptionalText = Field(
        None, validation_alias=env("CDC_DLQ_QUEUE_URL"),
        description="SQS queue that gets a pointer to every dead letter, no values; switches the stage archive on",
    )  # fmt: skip

    @property
    def has_archive(self) -> bool:
        """Whether there is a stage `archive`."""
        return bool(self.archive_bucket or self.alert_topic_arn or self.dlq_queue_url)


def archive_mistakes(settings: ArchiveSettings) -> list[str]:
    """Settings that contradict each other, in words without values."""
    found = []
    if settings.archive_kms_key and settings.archive_encryption != "aws:kms":
        found.append("CDC_ARCHIVE_KMS_KEY goes with CDC_ARCHIVE_ENCRYPTION=aws:kms")
    if settings.alert_topic_arn and not TOPIC_ARN.fullmatch(settings.alert_topic_arn):
        found.append("ALERT_TOPIC_ARN is not the ARN of an SNS topic")
    if settings.dlq_queue_url and not QUEUE_URL.fullmatch(settings.dlq_queue_url):
        found.append("CDC_DLQ_QUEUE_URL is not the URL of a queue")
    return found


def region_of_topic(arn: str) -> str | None:
    """The region in an ARN."""
    found = TOPIC_ARN.fullmatch(arn)
    return found[1] if found is not None else None


def region_of_queue(url: str) -> str | None:
    """The region in a URL of AWS; None in any other."""
    found = QUEUE_HOST.match(url)
    return (found[1] or found[2]) if found is not None else None
