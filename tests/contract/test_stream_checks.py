"""What `cdc check` says of credentials, streams and the clock, by what the stand-in answers."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sandbox.aws.control_client import StandInControl
from sandbox.aws.server import StandIn
from tests.contract.standin import SESSION, HandClock, client, clock, control, stand_in
from workers.aws.errors import AwsDenied
from workers.checks.clock import check_clock
from workers.checks.streams import check_identity, check_streams, finding_of
from workers.settings.worker import Settings

__all__ = ["clock", "control", "stand_in"]  # fixtures

STREAM = "stream-checked"
SECONDS = 20.0


@pytest.fixture(autouse=True)
def one_session(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.aws.client.boto3.Session", lambda **_: SESSION)


def settings(stand_in: StandIn, **more: Any) -> Settings:
    return Settings(
        _env_file=None, aws_endpoint_url=stand_in.url, max_retry_attempts=1, kinesis_stream_name=STREAM, **more
    )


def test_who_has_no_credentials_is_not_told_to_allow_something() -> None:
    (spec,) = Settings(_env_file=None, kinesis_stream_name=STREAM).sources
    found = finding_of(AwsDenied("NoCredentials", ""), spec, "eu-west-1", "kinesis:ListShards")
    assert (found.id, found.subject) == ("aws.credentials", STREAM)


async def test_a_stream_that_can_be_read_is_fine_and_one_that_is_not_there_is_told(stand_in: StandIn) -> None:
    (missing,) = await check_streams(settings(stand_in), SECONDS)
    assert (missing.id, missing.subject) == ("stream.missing", STREAM)
    client("kinesis", stand_in.url).create_stream(StreamName=STREAM, ShardCount=2)
    client("kinesis", stand_in.url).put_record(StreamName=STREAM, PartitionKey="k", Data=b"{}")
    assert await check_streams(settings(stand_in), SECONDS) == []


@pytest.mark.parametrize("operation", ["DescribeStreamSummary", "ListShards", "GetShardIterator", "GetRecords"])
async def test_the_action_that_is_not_allowed_is_named(
    operation: str, stand_in: StandIn, control: StandInControl
) -> None:
    client("kinesis", stand_in.url).create_stream(StreamName=STREAM, ShardCount=1)
    control.fault("access_denied", operation, service="kinesis")
    (denied,) = await check_streams(settings(stand_in), SECONDS)
    assert (denied.id, denied.severity) == ("stream.denied", "error")
    assert denied.message.startswith(f"kinesis:{operation} is not allowed")


async def test_credentials_of_another_account_are_told(stand_in: StandIn) -> None:
    assert await check_identity(settings(stand_in), SECONDS) == []
    (other,) = await check_identity(settings(stand_in, aws_account_id="999999999999"), SECONDS)
    assert (other.id, other.severity) == ("aws.account", "warning")


async def test_an_sts_that_is_away_is_only_missed(stand_in: StandIn) -> None:
    nobody = settings(stand_in).model_copy(update={"aws_endpoint_url": "http://127.0.0.1:1"})
    (one,) = await check_identity(nobody, SECONDS)
    assert (one.id, one.severity) == ("aws.identity", "warning")


async def test_the_clock_is_compared_with_what_aws_answers(stand_in: StandIn, clock: HandClock) -> None:
    def there() -> datetime:
        return datetime.fromtimestamp(clock(), UTC)

    assert await check_clock(settings(stand_in), there, SECONDS) == []
    (late,) = await check_clock(settings(stand_in), lambda: there() - timedelta(hours=1), SECONDS)
    assert (late.id, late.severity) == ("clock.refused", "error")
    assert "behind" in late.message
    nobody = settings(stand_in).model_copy(update={"aws_endpoint_url": "http://me:hush@127.0.0.1:1"})
    (unseen,) = await check_clock(nobody, lambda: datetime.now(UTC), SECONDS)
    assert (unseen.id, unseen.severity) == ("clock.unseen", "warning")
    assert "hush" not in unseen.message
