"""Kinesis Data Streams, JSON 1.1: streams and their descriptions, and the table of all operations."""

import re
from typing import Any

from sandbox.aws.errors import AwsError, invalid_argument, not_found, validation
from sandbox.aws.fields import Body, choice, entries, named, optional_text, structure, text, whole
from sandbox.aws.kinesis_read import get_records, get_shard_iterator
from sandbox.aws.kinesis_shards import list_shards, shard_description
from sandbox.aws.kinesis_write import put, read_write, refuse_oversize
from sandbox.aws.place import Clock, Place
from sandbox.aws.protocol import Operations
from sandbox.aws.stream import Stream
from sandbox.aws.tokens import Tokens

STREAM_NAME = re.compile(r"[a-zA-Z0-9_.-]+")
MODES = frozenset({"PROVISIONED", "ON_DEMAND"})
ON_DEMAND_SHARDS = 4  # what AWS opens for a new on-demand stream
MOST_SHARDS = 10_000


class Kinesis:
    """All streams of the account."""

    def __init__(self, place: Place, clock: Clock) -> None:
        self.streams: dict[str, Stream] = {}
        self._place = place
        self._clock = clock
        self._tokens = Tokens()

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
        }

    def stream_named(self, name: str) -> Stream:
        stream = self.streams.get(name)
        if stream is None:
            raise not_found(f"Stream {name} under account {self._place.account} not found.")
        return stream

    def _stream(self, body: Body) -> Stream:
        """The stream a request names by StreamName, StreamARN or both."""
        name = optional_text(body, "StreamName", longest=128)
        arn = optional_text(body, "StreamARN", longest=2048)
        if name is None and arn is None:
            raise invalid_argument("One of StreamName and StreamARN is required.")
        if arn is not None:
            named_by_arn = arn.rpartition(":stream/")[2]
            if arn != self._place.arn("kinesis", f"stream/{named_by_arn}"):
                raise not_found(f"Stream {arn} not found.")
            if name not in {None, named_by_arn}:
                raise invalid_argument("StreamName and StreamARN name different streams.")
            name = named_by_arn
        return self.stream_named(name or "")

    async def _create_stream(self, body: Body) -> None:
        name = named(body, "StreamName", STREAM_NAME, longest=128)
        details = structure(body, "StreamModeDetails") or {"StreamMode": "PROVISIONED"}
        mode = choice(details, "StreamMode", MODES)
        count = whole(body, "ShardCount", 1, MOST_SHARDS, 0)
        max_record_kib = whole(body, "MaxRecordSizeInKiB", 1024, 10_240, 1024)
        if mode == "PROVISIONED" and not count:
            raise validation("ShardCount is required for a stream in PROVISIONED mode.")
        if mode == "ON_DEMAND" and count:
            raise validation("ShardCount must not be given for a stream in ON_DEMAND mode.")
        if name in self.streams:
            raise AwsError(
                "ResourceInUseException", f"Stream {name} under account {self._place.account} already exists."
            )
        arn = self._place.arn("kinesis", f"stream/{name}")
        stream = Stream(name, arn, mode, self._clock(), max_record_kib)
        stream.open_evenly(count or ON_DEMAND_SHARDS)
        self.streams[name] = stream

    async def _delete_stream(self, body: Body) -> None:
        del self.streams[self._stream(body).name]

    async def _list_streams(self, body: Body) -> dict[str, Any]:
        limit = whole(body, "Limit", 1, 10_000, 100)
        start = optional_text(body, "ExclusiveStartStreamName", longest=128) or ""
        if token := optional_text(body, "NextToken"):
            state = self._tokens.open("streams", token)
            if state is None:
                raise invalid_argument("NextToken is not valid.")
            start = state[0]
        names = sorted(name for name in self.streams if name > start)
        listed = [self.streams[name] for name in names[:limit]]
        answer: dict[str, Any] = {
            "StreamNames": [stream.name for stream in listed],
            "HasMoreStreams": len(names) > limit,
            "StreamSummaries": [_identity(stream) for stream in listed],
        }
        if len(names) > limit:
            answer["NextToken"] = self._tokens.seal("streams", listed[-1].name)
        return answer

    async def _describe_stream(self, body: Body) -> dict[str, Any]:
        stream = self._stream(body)
        limit = whole(body, "Limit", 1, 10_000, 100)
        start = optional_text(body, "ExclusiveStartShardId", longest=128) or ""
        shards = [shard for shard in stream.shards if shard.name > start]
        return {
            "StreamDescription": {
                **_identity(stream),
                **_settings(stream),
                "Shards": [shard_description(shard) for shard in shards[:limit]],
                "HasMoreShards": len(shards) > limit,
            }
        }

    async def _describe_stream_summary(self, body: Body) -> dict[str, Any]:
        stream = self._stream(body)
        return {
            "StreamDescriptionSummary": {
                **_identity(stream),
                **_settings(stream),
                "OpenShardCount": len(stream.open_shards()),
                "ConsumerCount": 0,
                "MaxRecordSizeInKiB": stream.max_record_kib,
            }
        }

    async def _list_shards(self, body: Body) -> dict[str, Any]:
        given = body.get("NextToken") is not None
        stream = None if given else self._stream(body)
        return list_shards(self, self._tokens, stream, body, self._clock())

    async def _put_record(self, body: Body) -> dict[str, Any]:
        stream = self._stream(body)
        write = read_write(body)
        refuse_oversize([write], stream.max_record_bytes)
        _refuse_dry_run(body)
        return put(stream, write, self._clock())

    async def _put_records(self, body: Body) -> dict[str, Any]:
        stream = self._stream(body)
        writes = [read_write(record) for record in entries(body, "Records", most=500)]
        refuse_oversize(writes, stream.max_record_bytes)
        _refuse_dry_run(body)
        now = self._clock()
        return {"FailedRecordCount": 0, "Records": [put(stream, write, now) for write in writes]}

    async def _get_shard_iterator(self, body: Body) -> dict[str, Any]:
        stream = self._stream(body)
        name = text(body, "ShardId", longest=128)
        shard = stream.shard(name)
        if shard is None:
            raise not_found(f"Shard {name} in stream {stream.name} does not exist.")
        return get_shard_iterator(self._tokens, stream, shard, body, self._clock())

    async def _get_records(self, body: Body) -> bytes:
        return get_records(self, self._tokens, body, self._clock())


def _refuse_dry_run(body: Body) -> None:
    """A write that would have succeeded, and was only asked about."""
    if body.get("DryRun") is True:
        raise AwsError("DryRunOperationException", "The request would have succeeded, but DryRun is set.")


def _identity(stream: Stream) -> dict[str, Any]:
    return {
        "StreamName": stream.name,
        "StreamARN": stream.arn,
        "StreamStatus": "ACTIVE",
        "StreamModeDetails": {"StreamMode": stream.mode},
        "StreamCreationTimestamp": stream.created_at,
    }


def _settings(stream: Stream) -> dict[str, Any]:
    return {
        "RetentionPeriodHours": stream.retention_hours,
        "EnhancedMonitoring": [{"ShardLevelMetrics": []}],
        "EncryptionType": "NONE",
    }
