"""Kinesis Data Streams, JSON 1.1: streams and their descriptions, and the table of all operations."""

import re
from typing import Any

from sandbox.aws.errors import AwsError, invalid_argument, validation
from sandbox.aws.fields import Body, choice, entries, named, optional_text, structure, whole
from sandbox.aws.kinesis_read import get_records, get_shard_iterator, refuse_dry_run
from sandbox.aws.kinesis_reshard import MOST_SHARDS, Resharding
from sandbox.aws.kinesis_settings import LEAST_KIB, MODES, MOST_KIB, STRATEGIES, StreamSettings, set_distribution
from sandbox.aws.kinesis_shards import list_shards, shard_description
from sandbox.aws.kinesis_write import put, put_all, read_write, refuse_oversize
from sandbox.aws.place import Clock, Place
from sandbox.aws.protocol import Operations
from sandbox.aws.stream import Stream
from sandbox.aws.streams import Behaviour, Streams

STREAM_NAME = re.compile(r"[a-zA-Z0-9_.-]+")
ON_DEMAND_SHARDS = 4  # what AWS opens for a new on-demand stream


class Kinesis:
    """All streams of the account."""

    def __init__(self, place: Place, clock: Clock, behaviour: Behaviour) -> None:
        self.streams = Streams(place, clock, behaviour)
        self._clock = clock

    def operations(self) -> Operations:
        return {
            "CreateStream": self._create_stream,
            "DeleteStream": self._delete_stream,
            "ListStreams": self._list_streams,
            "DescribeStream": self._describe_stream,
            "DescribeStreamSummary": self._describe_stream_summary,
            "ListShards": self._list_shards,
            "PutRecord": self._put_record,
            "PutRecords": self._put_records,
            "GetShardIterator": self._get_shard_iterator,
            "GetRecords": self._get_records,
            **Resharding(self.streams).operations(),
            **StreamSettings(self.streams).operations(),
        }

    async def _create_stream(self, body: Body) -> None:
        name = named(body, "StreamName", STREAM_NAME, longest=128)
        details = structure(body, "StreamModeDetails") or {"StreamMode": "PROVISIONED"}
        mode = choice(details, "StreamMode", MODES)
        count = whole(body, "ShardCount", 1, MOST_SHARDS, 0)
        max_record_kib = whole(body, "MaxRecordSizeInKiB", LEAST_KIB, MOST_KIB, LEAST_KIB)
        strategy = choice(body, "RecordDistributionStrategy", STRATEGIES, "USER_PARTITION_KEY")
        if mode == "PROVISIONED" and not count:
            raise validation("ShardCount is required for a stream in PROVISIONED mode.")
        if mode == "ON_DEMAND" and count:
            raise validation("ShardCount must not be given for a stream in ON_DEMAND mode.")
        streams = self.streams
        if name in streams.by_name:
            raise AwsError(
                "ResourceInUseException", f"Stream {name} under account {streams.place.account} already exists."
            )
        arn = streams.place.arn("kinesis", f"stream/{name}")
        stream = Stream(name, arn, mode, self._clock(), max_record_kib)
        set_distribution(stream, strategy)
        stream.open_evenly(count or ON_DEMAND_SHARDS)
        streams.by_name[name] = stream

    async def _delete_stream(self, body: Body) -> None:
        del self.streams.by_name[self.streams.of(body, self._clock()).name]

    async def _list_streams(self, body: Body) -> dict[str, Any]:
        limit = whole(body, "Limit", 1, 10_000, 100)
        start = optional_text(body, "ExclusiveStartStreamName", longest=128) or ""
        if token := optional_text(body, "NextToken"):
            state = self.streams.tokens.open("streams", token)
            if state is None:
                raise invalid_argument("NextToken is not valid.")
            start = state[0]
        names = sorted(name for name in self.streams.by_name if name > start)
        now = self._clock()
        listed = [self.streams.named(name, now) for name in names[:limit]]
        answer: dict[str, Any] = {
            "StreamNames": [stream.name for stream in listed],
            "HasMoreStreams": len(names) > limit,
            "StreamSummaries": [_identity(stream) for stream in listed],
        }
        if len(names) > limit:
            answer["NextToken"] = self.streams.tokens.seal("streams", listed[-1].name)
        return answer

    async def _describe_stream(self, body: Body) -> dict[str, Any]:
        stream = self.streams.of(body, self._clock())
        limit = whole(body, "Limit", 1, 10_000, 100)
        start = optional_text(body, "ExclusiveStartShardId", longest=128) or ""
        shards = [shard for shard in stream.shards if shard.name > start]
        return {
            "StreamDescription": {
                **_identity(stream),
                **_settings(stream),
                "Shards": [shard_description(shard, self.streams.behaviour) for shard in shards[:limit]],
                "HasMoreShards": len(shards) > limit,
            }
        }

    async def _describe_stream_summary(self, body: Body) -> dict[str, Any]:
        stream = self.streams.of(body, self._clock())
        summary = {
            **_identity(stream),
            **_settings(stream),
            "OpenShardCount": len(stream.open_shards()),
            "ConsumerCount": 0,
            "MaxRecordSizeInKiB": stream.max_record_kib,
        }
        if stream.mode == "ON_DEMAND":
            summary["RecordDistributionStrategy"] = "AUTO" if stream.spread else "USER_PARTITION_KEY"
        return {"StreamDescriptionSummary": summary}

    async def _list_shards(self, body: Body) -> dict[str, Any]:
        return list_shards(self.streams, body, self._clock())

    async def _put_record(self, body: Body) -> dict[str, Any]:
        now = self._clock()
        stream = self.streams.of(body, now)
        write = read_write(body, stream)
        refuse_oversize([write], stream.max_record_bytes)
        refuse_dry_run(body)
        return _encrypted(stream, put(stream, write, now))

    async def _put_records(self, body: Body) -> dict[str, Any]:
        now = self._clock()
        stream = self.streams.of(body, now)
        writes = [read_write(record, stream) for record in entries(body, "Records", most=500)]
        refuse_oversize(writes, stream.max_record_bytes)
        refuse_dry_run(body)
        return _encrypted(stream, put_all(stream, writes, now))

    async def _get_shard_iterator(self, body: Body) -> dict[str, Any]:
        return get_shard_iterator(self.streams, body, self._clock())

    async def _get_records(self, body: Body) -> bytes:
        return get_records(self.streams, body, self._clock())


def _encrypted(stream: Stream, answer: dict[str, Any]) -> dict[str, Any]:
    if stream.key_id is not None:
        answer["EncryptionType"] = "KMS"
    return answer


def _identity(stream: Stream) -> dict[str, Any]:
    return {
        "StreamName": stream.name,
        "StreamARN": stream.arn,
        "StreamStatus": stream.status,
        "StreamModeDetails": {"StreamMode": stream.mode},
        "StreamCreationTimestamp": stream.created_at,
    }


def _settings(stream: Stream) -> dict[str, Any]:
    settings: dict[str, Any] = {
        "RetentionPeriodHours": stream.retention_hours,
        "EnhancedMonitoring": [{"ShardLevelMetrics": []}],
        "EncryptionType": "NONE" if stream.key_id is None else "KMS",
    }
    if stream.key_id is not None:
        settings["KeyId"] = stream.key_id
    return settings
