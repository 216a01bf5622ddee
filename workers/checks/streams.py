"""Checks of the way into the pipeline: who the worker is to AWS, and whether it may do all that reading a stream needs.

AWS has no dry run for these calls, so they are made for real: they read at most one record, and keep nothing of it."""

from typing import Any

from models.source_spec import SourceSpec
from workers.aws.client import Session, reach_of
from workers.aws.errors import AwsDenied, AwsError, AwsThrottled, AwsUnavailable
from workers.checks.bus import within
from workers.checks.findings import Finding
from workers.settings.worker import Settings

READABLE = ("ACTIVE", "UPDATING")
ACTION_OF = {
    "describe_stream_summary": "kinesis:DescribeStreamSummary", "list_shards": "kinesis:ListShards",
    "get_shard_iterator": "kinesis:GetShardIterator", "get_records": "kinesis:GetRecords",
}  # fmt: skip


class _Refused(Exception):
    """A call failed; holds the finding."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.message)
        self.finding = finding


async def check_identity(settings: Settings, seconds: float) -> list[Finding]:
    """Ask STS who we are. GetCallerIdentity needs no permission: a denial is one of the credentials."""
    try:
        found = await within(seconds, Session(settings).cold("sts", "get_caller_identity"))
    except AwsDenied as error:
        return [Finding.of("aws.credentials", "credentials", f"sts:GetCallerIdentity was refused ({error.code})")]
    except AwsError as error:
        return [Finding.of("aws.identity", "STS", f"sts:GetCallerIdentity was not answered ({error.code})")]
    account = str(found.get("Account", ""))
    if settings.aws_account_id is not None and account != settings.aws_account_id:
        return [Finding.of("aws.account", "AWS_ACCOUNT_ID", f"the credentials are of account {account}")]
    return []


async def check_streams(settings: Settings, seconds: float) -> list[Finding]:
    """Every enabled source; its role is assumed, if it has one."""
    found: list[Finding] = []
    for spec in (spec for spec in settings.sources if spec.enabled):
        found += await _check_stream(Session(settings, reach_of(spec)), spec, seconds)
    return found


async def _check_stream(session: Session, spec: SourceSpec, seconds: float) -> list[Finding]:
    name = {"StreamARN" if spec.stream.startswith("arn:") else "StreamName": spec.stream}

    async def ask(operation: str, **arguments: Any) -> dict[str, Any]:
        try:
            return await within(seconds, session.cold("kinesis", operation, **arguments))
        except AwsError as error:
            raise _Refused(_sorted(error, spec, session.region, ACTION_OF[operation])) from None

    try:
        summary = (await ask("describe_stream_summary", **name))["StreamDescriptionSummary"]
        if summary["StreamStatus"] not in READABLE:
            return [Finding.of("stream.status", spec.stream, f"it is {summary['StreamStatus']}")]
        shards = (await ask("list_shards", **name, MaxResults=1))["Shards"]
        if not shards:
            return []
        at = {"ShardId": shards[0]["ShardId"], "ShardIteratorType": "TRIM_HORIZON"}
        iterator = (await ask("get_shard_iterator", **name, **at))["ShardIterator"]
        await ask("get_records", ShardIterator=iterator, Limit=1)
    except _Refused as refused:
        return [refused.finding]
    return []


def _sorted(error: AwsError, spec: SourceSpec, region: str, action: str) -> Finding:
    match error:
        case AwsDenied() if error.code == "NoCredentials":
            return Finding.of("stream.denied", spec.stream, "boto3 found no AWS credentials (it does not read .env)")
        case AwsDenied():
            return Finding.of("stream.denied", spec.stream, f"{action} is not allowed ({error.code})")
        case AwsThrottled() | AwsUnavailable():
            return Finding.of("stream.unreachable", spec.stream, f"{action} was not answered ({error.code})")
        case _ if error.code == "ResourceNotFoundException":
            return Finding.of("stream.missing", spec.stream, f"there is no such stream in {region}")
        case _:
            return Finding.of("stream.missing", spec.stream, f"{action} was refused ({error.code})")
