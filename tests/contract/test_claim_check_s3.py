"""The claim check against S3 of the stand-in: exact bytes, once, encrypted, and there before the event refers to it."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from enrichers.oversize import Claim
from models.catalogue import Catalogue
from sandbox.aws.control_client import StandInControl
from sandbox.aws.server import StandIn
from tests.contract.standin import client, clock, control, stand_in
from tests.contract.test_bus_checks import aws
from workers.aws.client import Session
from workers.aws.errors import AwsDenied, AwsError, AwsUnavailable
from workers.checks.bus import check_bus
from workers.eventbridge.claim_check import Bucket
from workers.settings.worker import Settings

__all__ = ["aws", "clock", "control", "stand_in"]

CLAIM = Claim("claims", "events/2026/01/15/evt_1_a%2Fb-0123456789abcdef.json", '{"a":"é"}'.encode())


@pytest.fixture
def s3(stand_in: StandIn) -> Any:
    found = client("s3", stand_in.url)
    found.create_bucket(Bucket="claims")
    return found


async def test_the_object_has_the_exact_bytes(aws: Callable[..., Settings], s3: Any) -> None:
    await Bucket(Session(aws()), None).write(CLAIM)
    assert s3.get_object(Bucket="claims", Key=CLAIM.key)["Body"].read() == CLAIM.content


async def test_an_object_is_written_once(aws: Callable[..., Settings], s3: Any) -> None:
    s3.put_object(Bucket="claims", Key=CLAIM.key, Body=b"first")
    await Bucket(Session(aws()), None).write(CLAIM)
    assert s3.get_object(Bucket="claims", Key=CLAIM.key)["Body"].read() == b"first"


async def test_an_object_is_encrypted_with_the_key_of_the_settings(aws: Callable[..., Settings], s3: Any) -> None:
    await Bucket(Session(aws()), "alias/claims").write(CLAIM)
    found = s3.head_object(Bucket="claims", Key=CLAIM.key)
    assert (found["ServerSideEncryption"], found["SSEKMSKeyId"]) == ("aws:kms", "alias/claims")


async def test_a_bucket_that_is_missing_is_neither_an_outage_nor_a_success(
    aws: Callable[..., Settings],
) -> None:
    with pytest.raises(AwsError, match="NoSuchBucket") as caught:
        await Bucket(Session(aws()), None).write(replace(CLAIM, bucket="nowhere"))
    assert not isinstance(caught.value, AwsDenied | AwsUnavailable)


@pytest.mark.parametrize(
    ("code", "status", "kind"), [("AccessDenied", 403, AwsDenied), ("InternalError", 500, AwsUnavailable)]
)
async def test_refusals_and_outages_are_told_apart(
    aws: Callable[..., Settings], s3: Any, control: StandInControl, code: str, status: int, kind: type[AwsError]
) -> None:
    control.fault("error", "PutObject", service="s3", code=code, status=status)
    with pytest.raises(kind):
        await Bucket(Session(aws()), None).write(CLAIM)


async def test_cdc_check_finds_a_bucket_that_is_missing(aws: Callable[..., Settings], s3: Any) -> None:
    client("events", aws().aws_endpoint_url or "").create_event_bus(Name="cdc-events")
    found = {
        bucket: [one.id for one in await check_bus(aws(claim_check_bucket=bucket), Catalogue(()), 60.0)]
        for bucket in ("claims", "nowhere")
    }
    assert found == {"claims": [], "nowhere": ["claim-check.bucket"]}
