"""`cdc checkpoint import` from the tables of other readers: over boto3, into Kafka, and the bridge goes on there."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from sandbox.aws.errors import AwsError
from sandbox.aws.fields import Body
from sandbox.aws.service import Service
from sandbox.aws.wire import Json
from sandbox.world import World
from tests.integration.bridging import read_topic
from tests.integration.hostile import Hostile, hostile
from tests.integration.stage import eventually
from workers.cli.checkpoint import checkpoint
from workers.failures import ExitCode
from workers.kafka.connection import kafka_connection
from workers.kafka.topics import ensure_topics

LEASES, HANDLED = "my-consumer", "cdc-pipeline-checkpoints"
SECRET = "UserName"

Item = dict[str, dict[str, Any]]


@dataclass
class DynamoDb:
    """As much of it as a reader of whole tables meets: Scan, consistent, a page of one item at a time."""

    tables: dict[str, list[Item]] = field(default_factory=dict)
    denied: bool = False
    scans: list[Body] = field(default_factory=list)

    @property
    def service(self) -> Service:
        return Service(
            "dynamodb", "DynamoDB_20120810", Json("application/x-amz-json-1.0"), "com.amazonaws.dynamodb.v20120810#",
            {"Scan": self._scan},
        )  # fmt: skip

    async def _scan(self, body: Body) -> dict[str, Any]:
        self.scans.append(body)
        if self.denied:
            raise AwsError("AccessDeniedException", "not you")
        if body["TableName"] not in self.tables:
            raise AwsError("ResourceNotFoundException", "Requested resource not found")
        items = self.tables[body["TableName"]]
        at = int(body.get("ExclusiveStartKey", {"n": {"N": "0"}})["n"]["N"])
        found: dict[str, Any] = {"Items": items[at : at + 1], "Count": 1, "ScannedCount": 1}
        if at + 1 < len(items):
            found["LastEvaluatedKey"] = {"n": {"N": str(at + 1)}}
        return found


@pytest.fixture
def kinesis(world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hostile]:
    with hostile(world, monkeypatch, tmp_path) as found:
        yield found


@pytest.fixture
async def dynamodb(kinesis: Hostile) -> DynamoDb:
    """Beside the Kinesis of the test, at the same address; the topics of the bridge are there and empty."""
    found = DynamoDb()
    service = found.service
    kinesis.stand_in._services[service.prefix] = service
    await ensure_topics(kinesis.settings, (), kafka_connection(kinesis.settings).client("test"))
    return found


async def cdc(*arguments: str) -> Result:
    """In a thread: the command runs a loop of its own."""
    ended = await asyncio.to_thread(CliRunner().invoke, checkpoint, arguments)
    assert SECRET not in ended.output
    return ended


def code(ended: Result) -> int:
    """Exit code, also of what only `main` would turn into one."""
    return int(getattr(ended.exception, "exit_code", ended.exit_code))


def put_first(kinesis: Hostile) -> dict[str, str]:
    """One change of every row, and where the last of each shard stands."""
    stream = kinesis.stream
    stream.put()
    last: dict[str, str] = {}
    for index in range(2):
        place = stream.kinesis.put_record(
            StreamName=stream.name, PartitionKey="last", Data=b"{}", ExplicitHashKey=str(index << 127)
        )
        last[place["ShardId"]] = place["SequenceNumber"]
    return last


def lease(shard: str, sequence: str) -> Item:
    """As KCL 2 writes it."""
    return {
        "leaseKey": {"S": shard}, "checkpoint": {"S": sequence}, "checkpointSubSequenceNumber": {"N": "0"},
        "leaseCounter": {"N": "42"}, "leaseOwner": {"S": "worker-1"}, "ownerSwitchesSinceCheckpoint": {"N": "0"},
    }  # fmt: skip


def handled(shard: str, sequence: str) -> Item:
    """As the Lambda pipeline writes it."""
    return {
        "pk": {"S": f"SHARD#{shard}"}, "sk": {"S": "CHECKPOINT"}, "shardId": {"S": shard},
        "sequenceNumber": {"S": sequence}, "eventsProcessed": {"N": "17"},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("source", "table", "item"),
    [
        (f"kcl:{LEASES}", LEASES, lease), (f"dynamodb:{HANDLED}", HANDLED, handled), ("dynamodb:", HANDLED, handled),
    ],
)  # fmt: skip
async def test_the_bridge_goes_on_behind_the_positions_of_a_table(
    kinesis: Hostile, dynamodb: DynamoDb, monkeypatch: pytest.MonkeyPatch, source: str, table: str, item: Any
) -> None:
    monkeypatch.setenv("CHECKPOINT_TABLE_NAME", HANDLED)
    last = put_first(kinesis)
    dynamodb.tables[table] = [item(shard, sequence) for shard, sequence in last.items()]
    looked = await cdc("import", "--from", source, "--dry-run")
    assert looked.exit_code == 0, (looked.output, looked.exception)
    written = await cdc("import", "--from", source, "--yes")
    assert written.exit_code == 0, (written.output, written.exception)
    assert [(scan["TableName"], scan["ConsistentRead"]) for scan in dynamodb.scans] == [(table, True)] * 4
    kinesis.stream.put()
    async with kinesis.bridge() as app:
        await eventually(lambda: kinesis.stream.arrived(kinesis.stream.rows))
        assert app.slots.stats.gaps == 0
    first = {shard: int(sequence) for shard, sequence in last.items()}
    raw = await kinesis.stream.raw()
    assert len(raw) == kinesis.stream.rows
    assert all(int(record.origin.sequence) > first[record.origin.shard] for record in raw)


async def test_a_position_whose_record_has_left_the_stream_is_a_gap(kinesis: Hostile, dynamodb: DynamoDb) -> None:
    last = put_first(kinesis)
    dynamodb.tables[LEASES] = [lease(shard, sequence) for shard, sequence in last.items()]
    gone, _ = sorted(last)
    assert kinesis.control.trim(kinesis.stream.name, gone)[gone]
    kinesis.stream.put()
    assert (await cdc("import", "--from", f"kcl:{LEASES}", "--yes")).exit_code == 0
    async with kinesis.bridge(wait_ready=False) as app:
        await kinesis.becomes(app, gone, "STOPPED")
        assert app.slots.stats.gaps == 1


@pytest.mark.parametrize(
    ("source", "ends_with"),
    [
        ("kcl:elsewhere", ExitCode.NOT_FOUND), ("kcl:", ExitCode.CONFIGURATION), ("dynamodb:", ExitCode.CONFIGURATION),
        (f"dynamodb:{LEASES}", ExitCode.NOT_FOUND),
    ],
)  # fmt: skip
async def test_a_table_that_holds_no_positions_changes_nothing(
    kinesis: Hostile, dynamodb: DynamoDb, source: str, ends_with: ExitCode
) -> None:
    last = put_first(kinesis)
    dynamodb.tables[LEASES] = [lease(shard, sequence) for shard, sequence in last.items()]
    assert code(await cdc("import", "--from", source, "--yes")) == ends_with
    assert await read_topic(kinesis.settings, "checkpoints") == []


async def test_a_table_that_may_not_be_read_is_said_so(kinesis: Hostile, dynamodb: DynamoDb) -> None:
    dynamodb.denied = True
    ended = await cdc("import", "--from", f"kcl:{LEASES}", "--yes")
    assert code(ended) == ExitCode.DENIED
    assert "AccessDeniedException" in str(ended.exception)
