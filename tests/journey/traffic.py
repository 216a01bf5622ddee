"""DMS traffic of users, and what has to come out of it: written from the outside, with boto3 and JSON alone."""

import json
import random
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import boto3

ROWS = 60


@dataclass(frozen=True, slots=True)
class Change:
    """One change of one row. `name` is published as it is, so a test can tell which change an event stands for."""

    row: int
    version: int
    data: bytes
    canaries: tuple[str, ...]

    @property
    def name(self) -> str:
        return f"u{self.row}v{self.version}"


def changes(seed: int, count: int) -> Iterator[Change]:
    """Inserts first, then updates of random rows; Email is masked and PasswordHash removed by the built-in table."""
    dice = random.Random(seed)
    versions: dict[int, int] = defaultdict(int)
    for index in range(count):
        row = index if index < ROWS else dice.randrange(ROWS)
        versions[row] += 1
        version = versions[row]
        password, mail = f"hash{dice.getrandbits(60):x}", f"mail{dice.getrandbits(60):x}@private.test"
        record: dict[str, Any] = {
            "data": {
                "ID": row, "HomeOrgID": 3, "UserName": f"u{row}v{version}", "Status": "active", "Email": mail,
                "PasswordHash": password,
            },
            "metadata": {
                "timestamp": "2026-01-15T10:31:00.500000Z", "record-type": "data",
                "operation": "insert" if version == 1 else "update", "partition-key-type": "primary-key",
                "schema-name": "core", "table-name": "users", "transaction-id": index + 1,
                "transaction-record-id": 1, "commit-timestamp": "2026-01-15T10:31:00.000000Z",
                "stream-position": f"binlog.{index}",
            },
        }  # fmt: skip
        data = json.dumps(record, indent=2 if dice.random() < 0.3 else None).encode()
        yield Change(row, version, data, (password, mail))


@dataclass(slots=True)
class Verdict:
    """What an outsider sees at the end of the bus."""

    expected: dict[str, Change] = field(default_factory=dict)
    seen: dict[str, str] = field(default_factory=dict)
    details: dict[str, str] = field(default_factory=dict)
    last_version: dict[int, int] = field(default_factory=dict)
    received: int = 0
    repeats: int = 0
    problems: list[str] = field(default_factory=list)

    def expect(self, change: Change) -> None:
        self.expected[change.name] = change

    def receive(self, body: str) -> None:
        """One SQS message body: an EventBridge event."""
        self.received += 1
        detail_text = body[body.index('"detail":') :]
        detail = json.loads(body)["detail"]
        event_id, name = detail["eventId"], detail["changes"]["UserName"]["new"]
        change = self.expected.get(name)
        if change is None:
            self.problems.append(f"{name} was never sent")
            return
        if any(canary in body for canary in change.canaries):
            self.problems.append(f"{name}: a redacted value is in the event")
        if self.details.setdefault(event_id, detail_text) != detail_text:
            self.problems.append(f"{event_id} came again with other bytes")
        if name in self.seen:
            self.repeats += 1
            if self.seen[name] != event_id:
                self.problems.append(f"{name} has two event ids")
            return
        self.seen[name] = event_id
        if self.last_version.get(change.row, 0) != change.version - 1:
            last = self.last_version.get(change.row, 0)
            self.problems.append(f"row {change.row}: version {change.version} came after {last}")
        self.last_version[change.row] = max(change.version, self.last_version.get(change.row, 0))

    @property
    def missing(self) -> int:
        return len(self.expected) - len(self.seen)


@dataclass(frozen=True, slots=True)
class Outside:
    """boto3 clients of one stream and one bus, and a queue behind it."""

    environment: dict[str, str]

    def client(self, service: str) -> Any:
        names = self.environment
        return boto3.client(
            service, endpoint_url=names["AWS_ENDPOINT_URL"], region_name=names["AWS_REGION"],
            aws_access_key_id=names["AWS_ACCESS_KEY_ID"], aws_secret_access_key=names["AWS_SECRET_ACCESS_KEY"],
        )  # fmt: skip

    def make(self, shards: int = 4) -> str:
        """Create stream, bus, rule and queue; returns the queue's URL."""
        stream, bus = self.environment["KINESIS_STREAM_NAME"], self.environment["EVENT_BUS_NAME"]
        events, sqs = self.client("events"), self.client("sqs")
        self.client("kinesis").create_stream(StreamName=stream, ShardCount=shards)
        events.create_event_bus(Name=bus)
        url: str = sqs.create_queue(QueueName=f"{bus}-all")["QueueUrl"]
        attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]
        pattern = json.dumps({"source": [{"prefix": "cdc-pipeline"}]})
        events.put_rule(Name="all", EventBusName=bus, EventPattern=pattern)
        events.put_targets(Rule="all", EventBusName=bus, Targets=[{"Id": "q", "Arn": attributes["QueueArn"]}])
        return url

    def put(self, kinesis: Any, batch: list[Change]) -> None:
        """Put changes of distinct order per row: one request, rows are partition keys."""
        answer = kinesis.put_records(
            StreamName=self.environment["KINESIS_STREAM_NAME"],
            Records=[{"Data": change.data, "PartitionKey": f"core.users.{change.row}"} for change in batch],
        )
        assert answer["FailedRecordCount"] == 0

    @staticmethod
    def drain(sqs: Any, url: str, verdict: Verdict, wait: int) -> int:
        """Receive what is there, up to ten messages; returns how many."""
        messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=wait).get("Messages", [])
        for message in messages:
            verdict.receive(message["Body"])
        if messages:
            entries = [{"Id": str(n), "ReceiptHandle": m["ReceiptHandle"]} for n, m in enumerate(messages)]
            sqs.delete_message_batch(QueueUrl=url, Entries=entries)
        return len(messages)
