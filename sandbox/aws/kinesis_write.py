"""PutRecord and PutRecords: what a record may be, and the shard it goes to."""

import binascii
import re
from typing import Any

from sandbox.aws.errors import AwsError, constraint, invalid_argument, serialization
from sandbox.aws.fields import Body, matching, optional_text, text
from sandbox.aws.shard import Write
from sandbox.aws.stream import HASH_KEYS, Stream, hash_key

PUT_RECORDS_BYTES = 10 << 20  # data and keys of one request
MOST_DATA_BYTES = 10 << 20  # in the model; a stream's own limit is usually lower
HASH_KEY = re.compile(r"0|[1-9]\d{0,38}")


def read_write(record: Body, stream: Stream) -> Write:
    """One record of a request. Raises ValidationException, SerializationException or InvalidArgumentException."""
    partition_key = optional_text(record, "PartitionKey", longest=256)
    data = text(record, "Data", shortest=0, longest=4 * MOST_DATA_BYTES)
    try:
        size = len(binascii.a2b_base64(data, strict_mode=True))
    except ValueError:
        raise serialization("Data is not base64 text") from None
    if size > MOST_DATA_BYTES:
        raise constraint("Data", f"have length less than or equal to {MOST_DATA_BYTES}")
    if stream.spread:  # keys are kept and otherwise ignored (UpdateStreamRecordDistributionStrategy)
        return Write(data, partition_key, None, size + len((partition_key or "").encode()))
    if partition_key is None:
        raise constraint("PartitionKey", "not be null")
    explicit = optional_text(record, "ExplicitHashKey")
    if explicit is None:
        key = hash_key(partition_key)
    else:
        key = int(matching(explicit, "ExplicitHashKey", HASH_KEY))
        if key >= HASH_KEYS:
            raise invalid_argument(f"ExplicitHashKey {explicit} is above the last hash key, 2^128 - 1.")
    return Write(data, partition_key, key, size + len(partition_key.encode()))


def refuse_oversize(writes: list[Write], max_record_bytes: int) -> None:
    """Refuse the whole request, as no per-record error code of the API means "too large"."""
    for write in writes:
        if write.size > max_record_bytes:
            raise invalid_argument(f"A record of {write.size} bytes is above the stream's limit of {max_record_bytes}.")
    total = sum(write.size for write in writes)
    if len(writes) > 1 and total > PUT_RECORDS_BYTES:
        raise invalid_argument(f"{total} bytes of records are above the limit of {PUT_RECORDS_BYTES} per request.")


def put(stream: Stream, write: Write, now: float) -> dict[str, Any]:
    """Raises ProvisionedThroughputExceededException, if the stream has limits."""
    shard = stream.route(write.hash_key)
    if stream.rates is not None:
        stream.rates.write(shard.name, write.size, now)
    return {"ShardId": shard.name, "SequenceNumber": str(shard.append(write, now, stream.tail))}


def put_all(stream: Stream, writes: list[Write], now: float) -> dict[str, Any]:
    """The answer of PutRecords: 200 even if no record was taken."""
    if stream.rates is None:
        results = [put(stream, write, now) for write in writes]
        failed = 0
    else:
        results = [_put_or_tell(stream, write, now) for write in writes]
        failed = sum("ErrorCode" in result for result in results)
    return {"FailedRecordCount": failed, "Records": results}


def _put_or_tell(stream: Stream, write: Write, now: float) -> dict[str, Any]:
    try:
        return put(stream, write, now)
    except AwsError as refusal:
        return {"ErrorCode": refusal.code, "ErrorMessage": refusal.message}
