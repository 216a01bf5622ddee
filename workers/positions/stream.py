"""The stream as AWS has it now."""

import asyncio
import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from models.shard import Shard
from models.source_spec import SourceSpec
from workers.aws.client import Session, reach_of
from workers.aws.errors import AwsDenied, AwsError
from workers.failures import CommandError, DeniedError, NotFoundError, RefusedError, UnreachableError
from workers.kinesis.directory import REFRESH_SECONDS, Listing, ShardDirectory, StreamFacts, missing_parents
from workers.settings.worker import Settings

PAGES = 200
"""Empty pages after which a record counts as not there."""


@dataclass(frozen=True, slots=True)
class StreamNow:
    """One listing. A single one may miss a shard: nothing is concluded from that but what is shown."""

    facts: StreamFacts
    listing: Listing

    @property
    def shards(self) -> Mapping[str, Shard]:
        """By id."""
        return self.listing.shards


async def ask_stream(settings: Settings, source: SourceSpec, waits: Callable[[int], None] | None = None) -> StreamNow:
    """DescribeStreamSummary and ListShards of the stream of a source. Raises AwsError.

    `waits` is called with the number of parents that are not listed, if any, before a second listing 30 s later says
    whether they are gone: a parent that one listing missed would begin after its children. Without it one listing is
    enough. Raises RefusedError if the two do not agree."""
    ask = functools.partial(Session(settings, reach_of(source)).cold, "kinesis")
    directory = ShardDirectory(ask, source.stream, settings.source_slots)
    await directory.refresh()
    found = _now(directory)
    unsure = missing_parents(found.shards.values(), found.shards)
    if waits is None or not unsure:
        return found
    waits(len(unsure))
    await asyncio.sleep(REFRESH_SECONDS)
    await directory.refresh(now=True)
    found = _now(directory)
    if not all(directory.absent(p, float("inf")) for p in missing_parents(found.shards.values(), found.shards)):
        raise RefusedError("two listings of the shards do not agree", hint="run it again")
    return found


def _now(directory: ShardDirectory) -> StreamNow:
    if directory.facts is None or directory.listing is None:
        raise AwsError("NoListing")
    return StreamNow(directory.facts, directory.listing)


async def arrival_of(settings: Settings, source: SourceSpec, arn: str, shard: str, sequence: str) -> int:
    """When this record arrived, milliseconds since the epoch. Raises NotFoundError if the shard does not hold it (any
    more), AwsError."""
    session = Session(settings, reach_of(source))
    try:
        found = await session.cold(
            "kinesis", "get_shard_iterator", StreamARN=arn, ShardId=shard,
            ShardIteratorType="AT_SEQUENCE_NUMBER", StartingSequenceNumber=sequence,
        )  # fmt: skip
    except AwsError as error:
        if error.code != "InvalidArgumentException":
            raise
        raise _no_record(shard, sequence) from None
    iterator = found["ShardIterator"]
    for _ in range(PAGES):
        page = await session.cold("kinesis", "get_records", ShardIterator=iterator, Limit=1, StreamARN=arn)
        for record in page["Records"]:
            if record["SequenceNumber"] == sequence:
                return int(record["ApproximateArrivalTimestamp"].timestamp() * 1000)
            raise _no_record(shard, sequence)
        iterator = page.get("NextShardIterator")
        if iterator is None or page.get("MillisBehindLatest") == 0:
            break
    raise _no_record(shard, sequence)


def _no_record(shard: str, sequence: str) -> NotFoundError:
    return NotFoundError(
        f"{shard} holds no record {sequence}",
        hint="it was trimmed, or is of another shard; see `cdc checkpoint status`",
    )


def aws_failure(error: AwsError) -> CommandError:
    """With which exit code a command ends that cannot do without AWS."""
    if isinstance(error, AwsDenied):
        return DeniedError(f"AWS says {error.code}", hint="see the IAM policy in docs/deployment.md")
    if error.code == "ResourceNotFoundException":
        return NotFoundError(
            "AWS does not know the stream or table", hint="KINESIS_STREAM_NAME, AWS_REGION, CDC_SOURCES?"
        )
    return UnreachableError(f"AWS: {error.code}", hint="without the listing of the shards nothing is changed")
