"""The wire protocol of the stand-in where boto3 cannot go: raw requests, right and wrong."""

import json
import urllib.error
import urllib.request
from typing import Any

import pytest

from sandbox.aws.server import StandIn
from tests.contract.standin import client, clock, running, stand_in

__all__ = ["clock", "stand_in"]  # fixtures


def post(url: str, target: str | None, body: bytes) -> tuple[int, dict[str, str], Any]:
    """Status, headers in lower case, and the decoded answer."""
    headers = {"X-Amz-Target": target} if target else {}
    request = urllib.request.Request(url, data=body, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            status, found, text = answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            status, found, text = error.code, error.headers, error.read()
    return status, {name.lower(): value for name, value in found.items()}, json.loads(text) if text else None


@pytest.mark.parametrize(
    ("target", "content_type"),
    [
        ("Kinesis_20131202.ListStreams", "application/x-amz-json-1.1"),
        ("AWSEvents.ListEventBuses", "application/x-amz-json-1.1"),
        ("AmazonSQS.ListQueues", "application/x-amz-json-1.0"),
    ],
)
@pytest.mark.parametrize("path", ["/", "/000000000000/events"])
def test_the_target_alone_chooses_the_service(stand_in: StandIn, target: str, content_type: str, path: str) -> None:
    status, headers, _ = post(stand_in.url + path, target, b"{}")
    assert (status, headers["content-type"]) == (200, content_type)
    assert headers["x-amzn-requestid"]


@pytest.mark.parametrize("target", ["Kinesis_20131202.SplitHairs", "AmazonDynamoDB.GetItem", "nonsense"])
def test_an_unknown_operation_is_named_as_such(stand_in: StandIn, target: str) -> None:
    status, _, answer = post(stand_in.url, target, b"{}")
    assert (status, answer["__type"]) == (400, "UnknownOperationException")


def test_a_request_without_target_is_not_found(stand_in: StandIn) -> None:
    status, _, answer = post(stand_in.url, None, b"{}")
    assert (status, answer["__type"]) == (404, "MissingAction")


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b"\xff",
        b'{"StreamName": 7}',
        b'{"StreamName": "s", "Records": {}}',
        b'{"StreamName": "s", "Records": ["x"]}',
        b'{"StreamName": "s", "Records": [{"PartitionKey": "k", "Data": "no base64"}]}',
    ],
)
def test_a_body_of_another_shape_cannot_be_deserialised(stand_in: StandIn, body: bytes) -> None:
    client("kinesis", stand_in.url).create_stream(StreamName="s", ShardCount=1)
    status, _, answer = post(stand_in.url, "Kinesis_20131202.PutRecords", body)
    assert (status, answer["__type"]) == (400, "SerializationException")


def test_an_error_of_sqs_carries_its_older_name_in_a_header(stand_in: StandIn) -> None:
    status, headers, answer = post(stand_in.url, "AmazonSQS.GetQueueUrl", b'{"QueueName":"missing"}')
    assert (status, answer["__type"]) == (400, "com.amazonaws.sqs#QueueDoesNotExist")
    assert headers["x-amzn-query-error"] == "AWS.SimpleQueueService.NonExistentQueue;Sender"


def test_a_bug_of_the_stand_in_is_an_internal_failure_and_not_a_dropped_connection() -> None:
    def broken_clock() -> float:
        if armed:
            raise ZeroDivisionError
        return 0.0

    armed = False
    with running(broken_clock) as stand_in:
        armed = True
        status, _, answer = post(stand_in.url, "AWSEvents.CreateEventBus", b'{"Name":"b"}')
        assert (status, answer["__type"]) == (500, "InternalFailure")
        assert stand_in.ledger()["errors"] == {"events.CreateEventBus:InternalFailure": 1}


def test_account_and_region_are_settings() -> None:
    with running(lambda: 0.0, account="111122223333", region="eu-west-1") as stand_in:
        _, _, answer = post(stand_in.url, "AWSEvents.DescribeEventBus", b"{}")
        assert answer["Arn"] == "arn:aws:events:eu-west-1:111122223333:event-bus/default"
