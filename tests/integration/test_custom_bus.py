"""P3, P4, P8 on a Custom Event Bus: a publisher that is killed after the bus took its events repeats them, and the bus
delivers none of them twice."""

import asyncio
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from sandbox.aws.control_client import StandInControl
from sandbox.world import World
from tests.integration.pipeline import Pipeline
from tests.integration.stage import eventually, running
from tests.journey.worker_process import WorkerProcess
from workers.app import make_publish

ENTITIES, VERSIONS = 20, 6
EVENTS = ENTITIES * VERSIONS


@pytest.fixture
def pipeline(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    return Pipeline(world, tmp_path, monkeypatch)


def events() -> list[tuple[bytes, bytes]]:
    """Records of cdc.events: the versions of every entity in order."""
    found = []
    for version in range(VERSIONS):
        for entity in range(ENTITIES):
            detail = {
                "eventId": f"evt_{entity}_{version}", "eventType": "user.updated", "entityType": "users",
                "entityId": str(entity), "timestamp": "2026-01-15T10:31:00.000000Z", "version": version,
            }  # fmt: skip
            found.append((b"users:%d" % entity, json.dumps(detail).encode()))
    return found


async def test_a_killed_publisher_repeats_itself_and_every_event_is_delivered_once_and_in_order(
    pipeline: Pipeline, world: World, tmp_path: Path
) -> None:
    custom, sqs = world.aws.client("eventbridgev2"), world.aws.client("sqs")
    arn = custom.create_event_bus(Name=f"{pipeline.settings.app}-custom")["EventBusArn"]
    queue = sqs.create_queue(QueueName=f"{pipeline.settings.app}-custom")["QueueUrl"]
    target = f"arn:aws:sqs:us-east-1:000000000000:{pipeline.settings.app}-custom"
    role = "arn:aws:iam::000000000000:role/deliver"
    invoke = {"RoleArn": role, "TargetArn": target}
    custom.create_subscriber(Name="all", EventBusArn=arn, Type="FIFO", InvokeConfiguration=invoke)
    await pipeline.make_topics()
    await pipeline.put(pipeline.topics.events, events())
    control = StandInControl(pipeline.environment["AWS_ENDPOINT_URL"])

    def tally() -> dict[str, int]:
        found: dict[str, int] = control.ledger()["customBuses"][arn]
        return found

    async def some_are_taken() -> bool:
        return tally()["published"] >= ENTITIES

    async def all_have_receipts() -> bool:
        return len(await pipeline.read(pipeline.topics.receipts)) == EVENTS

    late = control.fault("slow", "PutEvents", service="eventsv2", seconds=60)
    worker = WorkerProcess(pipeline.environment | {"EVENT_BUS_NAME": arn}, tmp_path, "publisher", "--stages", "publish")
    worker.start()
    try:
        await eventually(some_are_taken)  # and no answer has come
        await asyncio.to_thread(worker.kill)
        control.remove_fault(late)
        assert await pipeline.read(pipeline.topics.receipts) == []
    finally:
        worker.end()
    # The same name: it takes the place of the dead one in the group at once.
    again = pipeline.settings.model_copy(update={"event_bus_name": arn, "worker_name": worker.name})
    async with running(make_publish(again)):
        await eventually(all_have_receipts)

    found = tally()
    assert (found["published"], found["altered"]) == (EVENTS, 0)
    assert found["deduplicated"] >= ENTITIES
    receipts = [json.loads(record.value) for record in await pipeline.read(pipeline.topics.receipts)]
    assert Counter(receipt["code"] for receipt in receipts)["DEDUPLICATED"] == found["deduplicated"]
    delivered = received(sqs, queue)
    assert versions(delivered) == {str(entity): list(range(VERSIONS)) for entity in range(ENTITIES)}
    assert sequences(receipts) == {entity: sorted(numbers) for entity, numbers in sequences(receipts).items()}


def received(sqs: Any, queue: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while messages := sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages"):
        found += [json.loads(message["Body"])["detail"] for message in messages]
    return found


def versions(details: list[dict[str, Any]]) -> dict[str, list[int]]:
    """Of each entity, in the order of delivery."""
    found: dict[str, list[int]] = {}
    for detail in details:
        found.setdefault(detail["entityId"], []).append(detail["version"])
    return found


def sequences(receipts: list[dict[str, Any]]) -> dict[str, list[str]]:
    """SequenceNumbers of each entity, in the order of its versions."""
    found: dict[str, list[str]] = {}
    for receipt in sorted(receipts, key=lambda receipt: receipt["offset"]):
        found.setdefault(receipt["eventId"].split("_")[1], []).append(receipt["sequenceNumber"])
    return found
