"""Which stream and shards a Kinesis request is about, as far as its body can be read; never an error."""

from collections.abc import Iterable
from typing import Any

from sandbox.aws.errors import AwsError
from sandbox.aws.faults import Subject
from sandbox.aws.fields import Body
from sandbox.aws.kinesis_read import iterator_position
from sandbox.aws.kinesis_write import HASH_KEY
from sandbox.aws.stream import HASH_KEYS, Stream, hash_key
from sandbox.aws.streams import Streams

SHARD_MEMBERS = ("ShardId", "ShardToSplit", "ShardToMerge", "AdjacentShardToMerge")


def subject(streams: Streams, body: Body) -> Subject:
    """By the members a request may have; those of an iterator or a page token count as its own."""
    if isinstance(iterator := body.get("ShardIterator"), str):
        position = iterator_position(streams, iterator)
        return Subject() if position is None else Subject(position[0], {position[1]})
    if isinstance(token := body.get("NextToken"), str):
        state = streams.tokens.open("shards", token)
        return Subject() if state is None else Subject(state[1])
    name, arn = body.get("StreamName"), body.get("StreamARN")
    if not isinstance(name, str):
        name = arn.rpartition(":stream/")[2] if isinstance(arn, str) else None
    try:
        stream = streams.named(name, streams.clock()) if name is not None else None
    except AwsError:
        stream = None
    shards = {value for member in SHARD_MEMBERS if isinstance(value := body.get(member), str)}
    if stream is not None:
        records = body.get("Records")
        shards |= set(_targets(stream, records if isinstance(records, list) else [body]))
    return Subject(name, shards)


def _targets(stream: Stream, records: list[Any]) -> Iterable[str]:
    """The shards these records go to; unknown where the service chooses."""
    if stream.spread:
        return
    for record in records:
        key = record.get("PartitionKey") if isinstance(record, dict) else None
        if not isinstance(key, str):
            continue
        explicit = record.get("ExplicitHashKey")
        given = isinstance(explicit, str) and HASH_KEY.fullmatch(explicit) is not None
        number = int(explicit) if given else hash_key(key)
        if number < HASH_KEYS:
            yield stream.route(number).name
