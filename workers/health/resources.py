"""What of AWS the pipeline uses, one look at each: streams, buses, parameters, and where dead letters are filed."""

from collections.abc import Mapping
from typing import Any

from models.bus_health import EventBridgeHC
from models.source_spec import SourceSpec
from workers.aws.client import Session
from workers.aws.errors import AwsError
from workers.eventbridge.bus_sight import look_at_bus
from workers.health.verdicts import State, Verdict, failed, of_error, ok

MOST_PARAMETERS = 10
"""Names in one GetParameters call."""
SERVING = ("ACTIVE", "UPDATING")
"""Statuses of a stream that is written and read."""


async def check_stream(session: Session, spec: SourceSpec) -> list[Verdict]:
    """Status of one stream."""
    named = {"StreamARN" if spec.stream.startswith("arn:") else "StreamName": spec.stream}
    try:
        answer = await session.cold("kinesis", "describe_stream_summary", **named)
    except AwsError as error:
        return [of_error("kinesis", spec.name, error, "kinesis:DescribeStreamSummary")]
    return [judge_stream(spec.name, answer["StreamDescriptionSummary"])]


def judge_stream(source: str, summary: Mapping[str, Any]) -> Verdict:
    """`summary`: as DescribeStreamSummary has it."""
    status = str(summary.get("StreamStatus"))
    told = f"{status}, {summary.get('OpenShardCount', '?')} shards"
    if status in SERVING:
        return ok("kinesis", source, told)
    action = "records wait in it; nothing is read before it is ACTIVE"
    if status == "DELETING":
        action = "it is being deleted, with what nobody has read: was that meant?"
    return failed("kinesis", source, told, action)


async def check_bus(session: Session, bus: str) -> list[Verdict]:
    """Whether the bus is there. `bus`: name or ARN."""
    try:
        sight = await look_at_bus(session, bus)
    except AwsError as error:
        found = of_error("bus", bus, error, "events:DescribeEventBus", away=EventBridgeHC.IN_ALARM)
        return [found]
    if not sight.exists:
        action = "create it: events wait in cdc.events, as long as Kafka keeps them"
        return [failed("bus", bus, "it does not exist", action, EventBridgeHC.IN_ALARM)]
    if not sight.takes_events:
        return [failed("bus", bus, f"it is {sight.state}", "events wait until it is ACTIVE", EventBridgeHC.IN_ALARM)]
    return [ok("bus", bus, sight.state or "it is there", EventBridgeHC.OK)]


async def check_parameters(session: Session, names: tuple[str, ...]) -> list[Verdict]:
    """Whether they are there. Secrets are not decrypted, and no value is kept (P6)."""
    missing: list[str] = []
    for start in range(0, len(names), MOST_PARAMETERS):
        some = list(names[start : start + MOST_PARAMETERS])
        try:
            answer = await session.cold("ssm", "get_parameters", Names=some, WithDecryption=False)
        except AwsError as error:
            return [of_error("ssm", ", ".join(some), error, "ssm:GetParameters")]
        missing += answer.get("InvalidParameters", ())
    action = "create it: a worker that runs goes on, one that starts cannot"
    return [
        Verdict("ssm", name, State.DEGRADED, "there is no such parameter", action) if name in missing
        else ok("ssm", name, "it is there")
        for name in names
    ]  # fmt: skip


async def check_sink(session: Session, setting: str, service: str, operation: str, **named: Any) -> list[Verdict]:
    """Whether the bucket, queue or topic of a setting is there. Dead letters wait in Kafka while it is not."""
    permissions = {
        "s3": "s3:ListBucket", "sqs": "sqs:GetQueueAttributes", "sns": "sns:GetTopicAttributes",
    }  # fmt: skip
    try:
        await session.cold(service, operation, **named)
    except AwsError as error:
        return [of_error("archive", setting, error, permissions[service])]
    return [ok("archive", setting, "it is there")]
