"""ListShards: filters, paging, and how a shard is described."""

from typing import Any

from sandbox.aws.errors import AwsError, invalid_argument
from sandbox.aws.fields import Body, choice, moment, optional_text, structure, text, whole
from sandbox.aws.shard import Shard
from sandbox.aws.stream import Stream
from sandbox.aws.streams import Behaviour, Streams

TOKEN_SECONDS = 300
FILTERS = frozenset(
    {"AFTER_SHARD_ID", "AT_TRIM_HORIZON", "FROM_TRIM_HORIZON", "AT_LATEST", "AT_TIMESTAMP", "FROM_TIMESTAMP"}
)
SHARD_END = "9223372036854775807"  # what some answers have instead of a closed shard's own last number
# A token stands for the whole request it continues; these would contradict it.
NOT_WITH_TOKEN = ("StreamName", "StreamARN", "ExclusiveStartShardId", "StreamCreationTimestamp", "ShardFilter")


def list_shards(streams: Streams, body: Body, now: float) -> dict[str, Any]:
    """One page."""
    limit = min(whole(body, "MaxResults", 1, 10_000, 1_000), 1_000)
    if body.get("NextToken") is not None:
        stream, start, kind, since, shard_id = _continue(streams, body, now)
    else:
        stream = streams.of(body, now)
        start = optional_text(body, "ExclusiveStartShardId", longest=128) or ""
        kind, since, shard_id = _filter(structure(body, "ShardFilter"), now)
    shards = [shard for shard in _chosen(stream, kind, since, shard_id, now) if shard.name > start]
    answer: dict[str, Any] = {"Shards": [shard_description(shard, streams.behaviour) for shard in shards[:limit]]}
    if len(shards) > limit:
        state = (now, stream.name, shards[limit - 1].name, kind, since, shard_id)
        answer["NextToken"] = streams.tokens.seal("shards", *state)
    return answer


def shard_description(shard: Shard, behaviour: Behaviour) -> dict[str, Any]:
    """The model's Shard: decimal strings, no EndingSequenceNumber while open, two parents only after a merge."""
    numbers = {"StartingSequenceNumber": str(shard.starting)}
    if shard.ending is not None:
        sentinel = behaviour.ending_sequence_numbers == "sentinel"
        numbers["EndingSequenceNumber"] = SHARD_END if sentinel else str(shard.ending)
    described: dict[str, Any] = {
        "ShardId": shard.name,
        "HashKeyRange": hash_range(shard),
        "SequenceNumberRange": numbers,
    }
    described.update(zip(("ParentShardId", "AdjacentParentShardId"), shard.parents, strict=False))
    return described


def hash_range(shard: Shard) -> dict[str, str]:
    return {"StartingHashKey": str(shard.first_key), "EndingHashKey": str(shard.last_key)}


def _filter(given: Body | None, now: float) -> tuple[str, float, str]:
    """Kind, moment in seconds, shard id; those that the kind does not use are 0 and empty."""
    if given is None:
        return "FROM_TRIM_HORIZON", 0.0, ""
    kind = choice(given, "Type", FILTERS)
    if kind == "AFTER_SHARD_ID":
        if given.get("ShardId") is None:
            raise invalid_argument("A ShardFilter of type AFTER_SHARD_ID needs a ShardId.")
        return kind, 0.0, text(given, "ShardId", longest=128)
    if kind in {"AT_TIMESTAMP", "FROM_TIMESTAMP"}:
        since = moment(given, "Timestamp")
        if since is None:
            raise invalid_argument(f"A ShardFilter of type {kind} needs a Timestamp.")
        if since > now:
            raise invalid_argument("The Timestamp of a ShardFilter must not be in the future.")
        return kind, since, ""
    return kind, 0.0, ""


def _chosen(stream: Stream, kind: str, since: float, shard_id: str, now: float) -> list[Shard]:
    horizon = stream.trim_horizon(now)
    since = max(since, horizon, stream.created_at)
    kept = [shard for shard in stream.shards if not shard.expired(horizon)]
    match kind:
        case "AFTER_SHARD_ID":
            return [shard for shard in kept if shard.name > shard_id]
        case "AT_LATEST":
            return [shard for shard in kept if shard.closed_at is None]
        case "AT_TRIM_HORIZON" | "AT_TIMESTAMP":
            return [shard for shard in kept if shard.open_at(since)]
        case "FROM_TIMESTAMP":
            return [shard for shard in kept if shard.open_since(since)]
        case _:
            return kept


def _continue(streams: Streams, body: Body, now: float) -> tuple[Stream, str, str, float, str]:
    if clashing := [name for name in NOT_WITH_TOKEN if body.get(name) is not None]:
        raise invalid_argument(f"NextToken and {clashing[0]} must not be given together.")
    state = streams.tokens.open("shards", text(body, "NextToken"))
    if state is None:
        raise invalid_argument("NextToken is not valid.")
    issued, name, start, kind, since, shard_id = state
    if now - issued > TOKEN_SECONDS:
        raise AwsError("ExpiredNextTokenException", f"NextToken is older than {TOKEN_SECONDS} seconds.")
    return streams.named(name, now), start, kind, since, shard_id
