"""Dead letters leave Kafka and come into it: the stage `archive` and `cdc dlq import`, on real Kafka."""

import asyncio
import base64
import json
from pathlib import Path
from typing import Any

import boto3
import pytest
from click.testing import CliRunner, Result

from sandbox.aws.control_client import StandInControl
from sandbox.world import World
from tests.integration.pipeline import Pipeline, user
from tests.integration.stage import running
from workers.app import make_archive, make_enrich
from workers.cli.dlq import dlq
from workers.failures import ExitCode, RefusedError, UnreachableError

ROWS = 12


@pytest.fixture
async def pipeline(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    for name, value in world.environment().items():
        monkeypatch.setenv(name, value)
    own = f"archive-{id(tmp_path)}"
    monkeypatch.setenv("DLQ_ARCHIVE_BUCKET", own)
    monkeypatch.setenv("ALERT_TOPIC_ARN", boto3.client("sns").create_topic(Name=own)["TopicArn"])
    monkeypatch.setenv("CDC_DLQ_QUEUE_URL", boto3.client("sqs").create_queue(QueueName=own)["QueueUrl"])
    boto3.client("s3").create_bucket(Bucket=own)
    made = Pipeline(world, tmp_path, monkeypatch)
    await made.make_topics()
    return made


def objects(pipeline: Pipeline) -> list[Any]:
    s3, bucket = boto3.client("s3"), pipeline.settings.archive_bucket
    keys = [found["Key"] for found in s3.list_objects_v2(Bucket=bucket).get("Contents", [])]
    return [json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].read()) for key in keys]


def queued(url: str) -> int:
    """Messages in a queue, hidden ones too."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    found = boto3.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    return sum(map(int, found.values()))


async def cdc(*arguments: str) -> Result:
    """In a thread: the command runs a loop of its own."""
    return await asyncio.to_thread(CliRunner().invoke, dlq, arguments)


async def test_dead_letters_are_filed_once_by_whatever_worker_runs(pipeline: Pipeline) -> None:
    await pipeline.put(pipeline.raw, [user(n, HomeOrgID="office") for n in range(ROWS)])
    async with running(make_enrich(pipeline.settings)), running(make_archive(pipeline.settings)):
        await pipeline.has_read("archive", pipeline.topics.dead, ROWS)
    filed = await asyncio.to_thread(objects, pipeline)
    letters = await pipeline.read(pipeline.topics.dead)
    assert {(one["letter"]["partition"], one["letter"]["offset"]) for one in filed} == {
        (letter.partition, letter.offset) for letter in letters
    }
    assert {one["error"]["code"] for one in filed} == {"VALIDATION_ERROR"}
    assert await asyncio.to_thread(queued, pipeline.settings.dlq_queue_url or "") == ROWS

    await pipeline.put(pipeline.raw, [user(ROWS, HomeOrgID="office")])
    async with running(make_enrich(pipeline.settings)), running(make_archive(pipeline.settings)):
        await pipeline.has_read("archive", pipeline.topics.dead, ROWS + 1)
    assert len(await asyncio.to_thread(objects, pipeline)) == ROWS + 1
    assert await asyncio.to_thread(queued, pipeline.settings.dlq_queue_url or "") == ROWS + 1


async def test_an_import_that_was_cut_off_before_it_deleted_imports_nothing_twice(
    pipeline: Pipeline, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAX_RETRY_ATTEMPTS", "1")
    sqs, control = boto3.client("sqs"), StandInControl(world.environment()["AWS_ENDPOINT_URL"])
    url = sqs.create_queue(QueueName=f"lambda-{id(pipeline)}")["QueueUrl"]
    (_, first), (_, second), (_, third) = (user(n) for n in range(3))
    event = {
        "Records": [
            {"kinesis": {"data": base64.b64encode(row).decode(), "sequenceNumber": f"496{n}", "partitionKey": "p",
                         "approximateArrivalTimestamp": 1_768_473_000.5},
             "eventID": f"shardId-000000000000:496{n}", "eventSourceARN": "arn:aws:kinesis:us-east-1:0:stream/core"}
            for n, row in enumerate((first, second))
        ]
    }  # fmt: skip
    failed = f'{{"originalEvent": {third.decode()}, "error": {{"code": "TRANSFORMATION_ERROR"}}, "attempts": 3}}'
    for body in (json.dumps(event), failed, '{"something": "else"}'):
        sqs.send_message(QueueUrl=url, MessageBody=body)

    refused = await cdc("import", "--sqs", url)
    assert isinstance(refused.exception, RefusedError)
    assert "3 letters of 3 messages" in str(refused.exception)
    assert await pipeline.read(pipeline.topics.dead) == []

    fault = control.fault("unavailable", "DeleteMessageBatch", service="sqs")
    cut_off = await cdc("import", "--sqs", url, "--yes")
    assert control.counts(fault).fired
    control.remove_fault(fault)
    assert isinstance(cut_off.exception, UnreachableError)
    assert (len(await pipeline.read(pipeline.topics.dead)), queued(url)) == (3, 3)

    again = await cdc("import", "--sqs", url, "--yes", "--output", "json")
    told = json.loads(again.stdout)
    assert (again.exit_code, told["letters"], told["known"]) == (ExitCode.PARTIAL, 0, 2)
    assert told["refused"] == [{"reason": "it is no message of a pipeline that is known", "messages": 1}]
    letters = await pipeline.read(pipeline.topics.dead)
    assert sorted(letter.value for letter in letters) == sorted((first, second, third))
    assert queued(url) == 1

    sqs.receive_message(QueueUrl=url, VisibilityTimeout=60)
    hidden = await cdc("import", "--sqs", url, "--yes")
    assert hidden.exit_code == ExitCode.PARTIAL
    assert "about 1 message hidden" in hidden.stderr

    planned = json.loads((await cdc("redrive", "--dry-run", "--output", "json")).stdout)
    assert (planned["letters"], planned["refused"]) == (3, [])
    written = await cdc("redrive", "--yes")
    assert written.exit_code == 0
    async with running(make_enrich(pipeline.settings)):
        await pipeline.has_read("enrich", pipeline.topics.redrive["enrich"], 3)
    events = [json.loads(event.value) for event in await pipeline.read(pipeline.topics.events)]
    assert sorted(event["entityId"] for event in events) == ["0", "1", "2"]
    assert {event["metadata"]["sequence"] for event in events} == {"0001-00000000000000000000"}
