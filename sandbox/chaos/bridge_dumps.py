"""What stands in Kinesis, in the raw topic and in the checkpoints, as the harness reads it itself."""

from time import monotonic
from typing import Any

from aiokafka import TopicPartition

from models.checkpoint import Boot, decode_entry
from models.raw import raw_record_of
from models.sources.kpl import Corrupt, aggregate
from sandbox.chaos.bridging import STREAM, fingerprint, told_by
from sandbox.chaos.topics import DUMP_SECONDS, read_all

Dumped = dict[str, Any]
"""{"rows": […], "complete": whether the reader reached the end}. Rows of records: [partition, offset, key,
`uid:version`, shard, sequence, sub-sequence, CRC-32]; of the stream the partition is the number of the shard, so that
children come after their parents, and the offset counts user records."""


def dump_stream(client: Any, shards: list[dict[str, Any]]) -> Dumped:
    """Every shard from its horizon to its end. `client`: boto3's; no fault may be in force."""
    rows: list[list[Any]] = []
    complete = True
    for shard in shards:
        name, offset = shard["ShardId"], 0
        iterator = client.get_shard_iterator(StreamName=STREAM, ShardId=name, ShardIteratorType="TRIM_HORIZON")
        token, deadline = iterator["ShardIterator"], monotonic() + DUMP_SECONDS
        while token is not None:
            page = client.get_records(ShardIterator=token)
            for record in page["Records"]:
                for sub, data in enumerate(_user_records(record["Data"])):
                    where = [name, record["SequenceNumber"], sub, fingerprint(data)]
                    rows.append([int(name.rpartition("-")[2]), offset, *told_by(data), *where])
                    offset += 1
            token = page.get("NextShardIterator")
            if not page["Records"] and page["MillisBehindLatest"] == 0:
                break
            if monotonic() > deadline:
                complete = False
                break
    return {"rows": sorted(rows), "complete": complete}


def _user_records(data: bytes) -> list[bytes]:
    found = aggregate(data)
    return [data] if found is None or isinstance(found, Corrupt) else [record.data for record in found]


async def dump_raw(bootstrap: str, topic: str, partitions: int) -> Dumped:
    """All committed records of the raw topic."""
    records, complete = await read_all(bootstrap, [TopicPartition(topic, index) for index in range(partitions)])
    rows = []
    for record in records:
        origin = raw_record_of(record, "core").origin
        where = [origin.shard, origin.sequence, origin.sub_sequence, fingerprint(record.value)]
        rows.append([record.partition, record.offset, *told_by(record.value), *where])
    return {"rows": sorted(rows), "complete": complete}


async def dump_checkpoints(bootstrap: str, topic: str, slots: int) -> Dumped:
    """All committed checkpoints, older ones too, as far as they are not compacted: [slot, offset, shard, state,
    sequence, sub-sequence, records, gaps]. Raises ValueError for one that is unreadable."""
    records, complete = await read_all(bootstrap, [TopicPartition(topic, index) for index in range(slots)])
    rows = []
    for record in records:
        if record.value is None:
            continue
        entry = decode_entry(record.key, record.value)
        if not isinstance(entry, Boot):
            position = [entry.sequence, entry.sub_sequence]
            rows.append([record.partition, record.offset, entry.shard, entry.state.value, *position, entry.records,
                         entry.gaps])  # fmt: skip
    return {"rows": sorted(rows), "complete": complete}


async def dump_dead(bootstrap: str, topic: str, partitions: int) -> Dumped:
    """Dead letters: a bridge writes none but the records of gaps."""
    records, complete = await read_all(bootstrap, [TopicPartition(topic, index) for index in range(partitions)])
    rows = [[record.partition, record.offset, "?", "0:0"] for record in records]
    return {"rows": sorted(rows), "complete": complete}
