"""Both hot clients, aiohttp and boto3, behave the same against the stand-in; unmodified boto3 is the reference."""

import json
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import msgspec
import pytest

from sandbox.aws.control_client import StandInControl
from tests.contract.standin import client, running
from workers.aws.client import IRequester, Reach, Session, hot_client
from workers.aws.errors import AwsDenied, AwsError, AwsUnavailable
from workers.kinesis.pages import Page
from workers.settings.worker import Settings


@pytest.fixture
def url() -> Iterator[str]:
    with running(time.time) as stand_in:
        yield stand_in.url


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")


@pytest.fixture(params=["aiohttp", "boto3"])
async def kinesis(request: Any, url: str) -> AsyncIterator[IRequester]:
    settings = Settings(_env_file=None, aws_endpoint_url=url, aws_client=request.param)
    made = hot_client(Session(settings), "kinesis", "Kinesis_20131202")
    yield made
    await made.close()


@pytest.fixture(params=["aiohttp", "boto3"])
async def events(request: Any, url: str) -> AsyncIterator[IRequester]:
    settings = Settings(_env_file=None, aws_endpoint_url=url, aws_client=request.param)
    made = hot_client(Session(settings), "events", "AWSEvents")
    yield made
    await made.close()


async def test_records_put_by_boto3_are_read_with_their_bytes(kinesis: IRequester, url: str) -> None:
    boto = client("kinesis", url)
    boto.create_stream(StreamName="s", ShardCount=1)
    boto.put_record(StreamName="s", Data=b"\x00\xffbytes", PartitionKey="k")
    request = {"StreamName": "s", "ShardId": "shardId-000000000000", "ShardIteratorType": "TRIM_HORIZON"}
    iterator = json.loads(await kinesis.call("GetShardIterator", json.dumps(request).encode()))["ShardIterator"]
    answer = await kinesis.call("GetRecords", json.dumps({"ShardIterator": iterator, "Limit": 10}).encode())
    page = msgspec.json.decode(answer, type=Page)
    assert [record.data for record in page.records] == [b"\x00\xffbytes"]
    assert page.records[0].arrival_ms > 1_600_000_000_000
    assert not page.ended


async def test_an_unknown_stream_is_an_error_with_its_code(kinesis: IRequester) -> None:
    request = {"StreamName": "absent", "ShardId": "shardId-000000000000", "ShardIteratorType": "LATEST"}
    with pytest.raises(AwsError) as raised:
        await kinesis.call("GetShardIterator", json.dumps(request).encode())
    assert raised.value.code == "ResourceNotFoundException"


async def test_entries_are_answered_one_by_one(events: IRequester) -> None:
    good = {"Source": "s", "DetailType": "t", "Detail": "{}", "EventBusName": "default", "Time": 1768473060.0}
    answer = json.loads(
        await events.call("PutEvents", json.dumps({"Entries": [good, good | {"Detail": "["}]}).encode())
    )
    assert answer["FailedEntryCount"] == 1
    assert answer["Entries"][0]["EventId"]
    assert answer["Entries"][1]["ErrorCode"] == "MalformedDetail"


@pytest.mark.parametrize("kind", ["aiohttp", "boto3"])
async def test_a_connection_that_fails_is_an_unknown_outcome(kind: str) -> None:
    settings = Settings(_env_file=None, aws_endpoint_url="http://127.0.0.1:9", aws_client=kind)
    made = hot_client(Session(settings), "events", "AWSEvents")
    entry = {"Source": "s", "DetailType": "t", "Detail": "{}"}
    with pytest.raises(AwsUnavailable):
        await made.call("PutEvents", json.dumps({"Entries": [entry]}).encode())
    await made.close()


ROLE = "arn:aws:iam::222222222222:role/cdc-reader"


@pytest.mark.parametrize("hot", ["aiohttp", "boto3"])
async def test_a_source_with_a_role_is_read_with_the_keys_of_that_role_alone(hot: str) -> None:
    with running(time.time) as stand_in:
        settings = Settings(_env_file=None, aws_endpoint_url=stand_in.url, aws_client=hot)
        session = Session(settings, Reach("eu-west-1", role=ROLE, external_id="ours"))
        made = hot_client(session, "kinesis", "Kinesis_20131202")
        await session.cold("kinesis", "list_streams")
        await made.call("ListStreams", b"{}")
        await made.close()
        assert stand_in.ledger()["operations"]["kinesis.ListStreams"] == 2
        assert stand_in.sts.ledger() == {
            ROLE: {"sessions": 1, "externalIds": ["ours"], "calls": {"kinesis.ListStreams": 2}}
        }


@pytest.mark.parametrize("hot", ["aiohttp", "boto3"])
async def test_a_role_that_may_not_be_assumed_is_told_apart_from_what_it_may_not_do(hot: str) -> None:
    with running(time.time) as stand_in:
        StandInControl(stand_in.url).fault("access_denied", "AssumeRole", service="sts")
        settings = Settings(_env_file=None, aws_endpoint_url=stand_in.url, aws_client=hot)
        session = Session(settings, Reach("eu-west-1", role=ROLE))
        made = hot_client(session, "kinesis", "Kinesis_20131202")
        for call in (session.cold("kinesis", "list_streams"), made.call("ListStreams", b"{}")):
            with pytest.raises(AwsDenied) as caught:
                await call
            assert caught.value.code == "AssumeRole:AccessDenied"
        await made.close()


async def test_a_source_may_have_an_endpoint_of_its_own(url: str) -> None:
    settings = Settings(_env_file=None, aws_endpoint_url="http://127.0.0.1:1")
    session = Session(settings, Reach("eu-west-1", endpoint=url))
    assert (await session.cold("kinesis", "list_streams"))["StreamNames"] == []
    assert session.endpoint("kinesis") == url
