"""Settings of how large an entry may be, and of what is done about events that are larger."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from enrichers.oversize import Ladder, Step
from workers.settings.field_types import OptionalText, env
from workers.settings.kafka import KafkaSettings

NOTHING = "dead-letter"
BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
MAX_PREFIX = 500
"""Characters; S3 takes keys of 1,024 bytes."""


def _steps(text: str) -> str:
    words = [word.strip() for word in text.split(",") if word.strip()]
    if unknown := [word for word in words if word not in (*Step, NOTHING)]:
        raise ValueError(f"{', '.join(unknown)}: the steps are {', '.join(Step)}, or {NOTHING} alone for none of them")
    if not words or (NOTHING in words and len(words) > 1):
        raise ValueError(f"name steps ({', '.join(Step)}), or {NOTHING} alone for none of them")
    return text


class OversizeSettings(KafkaSettings):
    """Whether they fit together: `oversize_mistakes`."""

    put_events_max_bytes: int = Field(
        262_144, ge=1_024, le=1_000_000, validation_alias=env("CDC_PUT_EVENTS_MAX_BYTES"),
        description="bytes per PutEvents request by the AWS size formula",
    )  # fmt: skip
    on_oversize: Annotated[str, AfterValidator(_steps)] = Field(
        ",".join(Step), validation_alias=env("CDC_ON_OVERSIZE"),
        description="what may be tried with an event that is too large: images (leave before and after out), truncate "
        "(cut the longest texts), claim-check (see CDC_CLAIM_CHECK_BUCKET); or dead-letter",
    )  # fmt: skip
    claim_check_bucket: OptionalText = Field(
        None, validation_alias=env("CDC_CLAIM_CHECK_BUCKET"),
        description="S3 bucket for events that no other step makes fit; a small event refers to the whole one there",
    )  # fmt: skip
    claim_check_prefix: str = Field(
        "events/", max_length=MAX_PREFIX, validation_alias=env("CDC_CLAIM_CHECK_PREFIX"),
        description="beginning of the keys of these objects",
    )  # fmt: skip
    claim_check_kms_key: OptionalText = Field(
        None, validation_alias=env("CDC_CLAIM_CHECK_KMS_KEY"),
        description="KMS key (id or ARN) to encrypt these objects with; unset: as the bucket does by default",
    )  # fmt: skip

    @property
    def ladder(self) -> Ladder:
        """The steps that may be taken."""
        words = {word.strip() for word in self.on_oversize.split(",")}
        steps = frozenset(step for step in Step if step in words)
        return Ladder(steps, self.claim_check_bucket, self.claim_check_prefix)


def oversize_mistakes(settings: OversizeSettings) -> list[str]:
    """Settings that contradict each other, in words without values."""
    found = []
    bucket = settings.claim_check_bucket
    if bucket is not None and Step.CLAIM_CHECK not in settings.ladder.steps:
        found.append("CDC_CLAIM_CHECK_BUCKET is set, but CDC_ON_OVERSIZE is without claim-check")
    if bucket is not None and not BUCKET.fullmatch(bucket):
        found.append("CDC_CLAIM_CHECK_BUCKET is not the name of a bucket")
    if bucket is None and settings.claim_check_kms_key is not None:
        found.append("CDC_CLAIM_CHECK_KMS_KEY is set without CDC_CLAIM_CHECK_BUCKET")
    return found
