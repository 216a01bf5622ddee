"""The calls every test of Kinesis makes, on one stream."""

from datetime import UTC, datetime
from typing import Any

STREAM = "coredb"
FIRST = "shardId-000000000000"
LAST_HASH_KEY = 2**128 - 1
MIB = 1 << 20
MOST_PAGES = 10


def create(kinesis: Any, shards: int = 1, **more: Any) -> None:
    kinesis.create_stream(StreamName=STREAM, ShardCount=shards, **more)


def put(kinesis: Any, data: bytes = b"x", key: str = "k", **more: Any) -> str:
    number: str = kinesis.put_record(StreamName=STREAM, Data=data, PartitionKey=key, **more)["SequenceNumber"]
    return number


def iterator(kinesis: Any, kind: str = "TRIM_HORIZON", shard: str = FIRST, **more: Any) -> str:
    found: str = kinesis.get_shard_iterator(StreamName=STREAM, ShardId=shard, ShardIteratorType=kind, **more)[
        "ShardIterator"
    ]
    return found


def read(kinesis: Any, start: str, **more: Any) -> list[bytes]:
    return [record["Data"] for record in kinesis.get_records(ShardIterator=start, **more)["Records"]]


def shard_names(answer: Any) -> list[int]:
    return [int(shard["ShardId"].removeprefix("shardId-")) for shard in answer["Shards"]]


def moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def split(kinesis: Any, shard: str = FIRST, at: int = 1 << 127) -> None:
    """Into a child below the hash key `at` and one from there on."""
    kinesis.split_shard(StreamName=STREAM, ShardToSplit=shard, NewStartingHashKey=str(at))


def merge(kinesis: Any, shard: str, adjacent: str) -> None:
    kinesis.merge_shards(StreamName=STREAM, ShardToMerge=shard, AdjacentShardToMerge=adjacent)


def rescale(kinesis: Any, count: int) -> dict[str, Any]:
    answer: dict[str, Any] = kinesis.update_shard_count(
        StreamName=STREAM, TargetShardCount=count, ScalingType="UNIFORM_SCALING"
    )
    return answer


def name(index: int) -> str:
    """The id AWS gives the shard opened as number `index`."""
    return f"shardId-{index:012d}"


def described(kinesis: Any, index: int) -> dict[str, Any]:
    """A shard as ListShards has it."""
    [shard] = [one for one in kinesis.list_shards(StreamName=STREAM)["Shards"] if one["ShardId"] == name(index)]
    found: dict[str, Any] = shard
    return found


def ending(kinesis: Any, index: int) -> str:
    number: str = described(kinesis, index)["SequenceNumberRange"]["EndingSequenceNumber"]
    return number


def summary(kinesis: Any) -> dict[str, Any]:
    found: dict[str, Any] = kinesis.describe_stream_summary(StreamName=STREAM)["StreamDescriptionSummary"]
    return found


def last_page(kinesis: Any, start: str) -> dict[str, Any]:
    """What a reader of a closed shard is told when it has read everything."""
    for _ in range(MOST_PAGES):
        answer: dict[str, Any] = kinesis.get_records(ShardIterator=start)
        if "NextShardIterator" not in answer:
            return answer
        start = answer["NextShardIterator"]
    raise AssertionError("the shard does not end")
