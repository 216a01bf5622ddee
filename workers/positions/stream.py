"""The stream as AWS has it now."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass

from models.shard import Shard
from workers.aws.client import Session
from workers.aws.errors import AwsError
from workers.kinesis.directory import ShardDirectory, StreamFacts
from workers.settings import Settings


@dataclass(frozen=True, slots=True)
class StreamNow:
    """One listing. A single one may miss a shard: nothing is concluded from that but what is shown."""

    facts: StreamFacts
    shards: Mapping[str, Shard]


async def ask_stream(settings: Settings) -> StreamNow:
    """DescribeStreamSummary and ListShards of the stream of the settings. Raises AwsError."""
    ask = functools.partial(Session(settings).cold, "kinesis")
    directory = ShardDirectory(ask, settings.kinesis_stream_name, settings.source_slots)
    await directory.refresh()
    if directory.facts is None or directory.listing is None:
        raise AwsError("NoListing")
    return StreamNow(directory.facts, directory.listing.shards)
