"""GetShardIterator and GetRecords: an iterator is a sealed position with a short life."""

import re
from typing import Any

import msgspec

from sandbox.aws.errors import AwsError, invalid_argument, not_found
from sandbox.aws.fields import Body, choice, matching, moment, optional_text, text, whole
from sandbox.aws.kinesis_shards import SHARD_END, hash_range
from sandbox.aws.sequence import LAST_COUNTER, unpack
from sandbox.aws.shard import Shard
from sandbox.aws.stream import Stream
from sandbox.aws.streams import Behaviour, Streams

BY_NUMBER = frozenset({"AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER"})
ITERATOR_TYPES = BY_NUMBER | {"TRIM_HORIZON", "LATEST", "AT_TIMESTAMP"}
SEQUENCE_NUMBER = re.compile(r"0|[1-9]\d{0,128}")


def get_shard_iterator(streams: Streams, body: Body, now: float) -> dict[str, Any]:
    """Raises InvalidArgumentException for a number or time this shard cannot start at."""
    stream = streams.of(body, now)
    shard = streams.shard(stream, body, "ShardId")
    kind = choice(body, "ShardIteratorType", ITERATOR_TYPES)
    given = optional_text(body, "StartingSequenceNumber")
    if (given is not None) != (kind in BY_NUMBER):
        raise invalid_argument("StartingSequenceNumber goes with AT_SEQUENCE_NUMBER and AFTER_SEQUENCE_NUMBER, only.")
    if given is not None:
        matching(given, "StartingSequenceNumber", SEQUENCE_NUMBER)
        number = _own_number(shard, kind, given, streams.behaviour)
        after = number - 1 if kind == "AT_SEQUENCE_NUMBER" else number
    elif kind == "AT_TIMESTAMP":
        after = shard.before(_past(body, now))
    else:
        after = shard.latest if kind == "LATEST" else shard.starting
    refuse_dry_run(body)
    if stream.rates is not None:
        stream.rates.iterator(shard.name, now)
    return {"ShardIterator": _seal(streams, stream, shard, after, now)}


def get_records(streams: Streams, body: Body, now: float) -> bytes:
    """The answer as JSON text: the records are joined as they are stored."""
    limit = whole(body, "Limit", 1, 10_000, 10_000)
    stream, shard, after = _open(streams, body, now)
    refuse_dry_run(body)
    if stream.rates is not None:
        stream.rates.before_read(shard.name, now)
    oldest = shard.before(stream.trim_horizon(now))
    page = shard.read(max(after, oldest), limit, now)
    if stream.rates is not None:
        stream.rates.after_read(shard.name, page.size, now)
    rest: dict[str, Any] = {"MillisBehindLatest": page.millis_behind}
    if shard.drained(page.after):
        rest["ChildShards"] = [
            {"ShardId": child.name, "ParentShards": list(child.parents), "HashKeyRange": hash_range(child)}
            for child in stream.children(shard)
        ]
    else:
        rest["NextShardIterator"] = _seal(streams, stream, shard, page.after, now)
    return b'{"Records":[' + b",".join(page.entries) + b"]," + msgspec.json.encode(rest)[1:]


def iterator_position(streams: Streams, iterator: str) -> tuple[str, str] | None:
    """The names of the stream and the shard that an iterator reads; None for a made-up one."""
    state = streams.tokens.open("iterator", iterator)
    return None if state is None else (state[1], state[3])


def refuse_dry_run(body: Body) -> None:
    """A request that would have succeeded, and was only asked about."""
    if body.get("DryRun") is True:
        raise AwsError("DryRunOperationException", "The request would have succeeded, but DryRun is set.")


def _own_number(shard: Shard, kind: str, given: str, behaviour: Behaviour) -> int:
    """A number this shard gave or may yet give."""
    at_end = given == SHARD_END and shard.ending is not None and behaviour.ending_sequence_numbers == "sentinel"
    number = shard.ending if at_end and shard.ending is not None else int(given)
    try:
        parts = unpack(number)
    except ValueError:
        raise invalid_argument(f"StartingSequenceNumber {given} is not a sequence number.") from None
    if parts.shard != shard.index or parts.created != int(shard.created_at) or number < shard.starting:
        raise invalid_argument(f"StartingSequenceNumber {given} did not come from shard {shard.name}.")
    if parts.counter >= LAST_COUNTER:
        raise invalid_argument(
            f"Invalid SequenceNumber for ShardIteratorType {kind}, "
            "SequenceNumber has reached max possible value for the shard."
        )
    return number


def _past(body: Body, now: float) -> float:
    since = moment(body, "Timestamp")
    if since is None:
        raise invalid_argument("An iterator of type AT_TIMESTAMP needs a Timestamp.")
    if since > now:
        raise invalid_argument("The Timestamp of an iterator must not be in the future.")
    return since


def _seal(streams: Streams, stream: Stream, shard: Shard, after: int, now: float) -> str:
    return streams.tokens.seal("iterator", now, stream.name, stream.created_at, shard.name, str(after))


def _open(streams: Streams, body: Body, now: float) -> tuple[Stream, Shard, int]:
    state = streams.tokens.open("iterator", text(body, "ShardIterator", longest=512))
    if state is None:
        raise invalid_argument("ShardIterator is not valid.")
    issued, name, created_at, shard_name, after = state
    stream = streams.named(name, now)
    shard = stream.shard(shard_name)
    if stream.created_at != created_at:
        raise not_found(f"The stream {name} of this ShardIterator was deleted.")
    if shard is None:
        raise not_found(f"Could not find shard {shard_name} in {streams.where(stream)}.")
    arn = optional_text(body, "StreamARN", longest=2048)
    if arn is not None and arn != stream.arn:
        raise invalid_argument("StreamARN and ShardIterator name different streams.")
    lifetime = streams.behaviour.iterator_seconds
    if now - issued > lifetime:
        raise AwsError("ExpiredIteratorException", f"The ShardIterator is older than {lifetime:g} seconds.")
    return stream, shard, int(after)
