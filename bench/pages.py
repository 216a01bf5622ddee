"""A Kinesis stream that is complete before anybody reads it: every record encoded as GetRecords sends it.

All records of a shard have one length, so a page of any size from any position is one slice of its buffer.
"""

import base64
import hashlib
from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property

from sandbox.aws.sequence import SequenceParts, pack, unpack

DATA_BYTES = 700
"""Of a record: a change as AWS DMS writes it."""
ROWS = 5_000
"""Rows of the table, over all shards. Each of them changes three times in a row, then the next one does."""
FIRST_ROW = 1_000_000_000
CHANGES_IN_A_ROW = 3
PAGE_RECORDS = 10_000
PAGE_BYTES = 10 << 20
"""Bounds of one GetRecords answer, in records and in bytes of data and partition keys."""
CREATED = 1_768_470_000
ARRIVED = 1_768_473_060
HASH_KEYS = 1 << 128

_SHARD, _NUMBER = slice(-16, -13), slice(-12, -3)
_DATA = (
    b'{"data":{"ID":%(row)d,"HomeOrgID":40017,"UserName":"u%(row)d","FirstName":"Greta","LastName":"Okafor",'
    b'"Email":"greta.okafor.%(row)d@corp.example","Status":"ACTIVE","TimeZone":"Europe/Lisbon",'
    b'"Revision":%(number)d,"LastLoginAt":null,"UpdatedAt":"2026-01-15T10:31:00.000000Z","Note":"%(note)s"},%(before)s'
    b'"metadata":{"timestamp":"2026-01-15T10:31:00.512345Z","record-type":"data","operation":"update",'
    b'"partition-key-type":"primary-key","schema-name":"core","table-name":"users","transaction-id":87978110091475,'
    b'"transaction-record-id":1,"commit-timestamp":"2026-01-15T10:31:00.000000Z",'
    b'"stream-position":"mysql-bin-changelog.000042.%(shard)03d.%(number)09d"}}'
)
_BEFORE = b'"before-image":{"ID":%d,"Status":"INVITED"},'
_ENTRY = b'{"SequenceNumber":"%d","ApproximateArrivalTimestamp":%d.000,"Data":"%s","PartitionKey":"%s"},'


def partition_key(row: int) -> bytes:
    """As DMS makes it of a primary key."""
    return b"core.users.%d" % row


def record(shard: int, number: int, row: int) -> bytes:
    """Change `number` (from 0) of a shard: DATA_BYTES bytes. Two of three have a before image."""
    before = _BEFORE % row if number % CHANGES_IN_A_ROW else b""
    fields = {b"shard": shard, b"number": number, b"row": row, b"before": before, b"note": b""}
    return _DATA % (fields | {b"note": b"n" * (DATA_BYTES - len(_DATA % fields))})


def place_of(value: bytes) -> tuple[int, int]:
    """(shard, number) of a record, without decoding it."""
    return int(value[_SHARD]), int(value[_NUMBER])


@dataclass(frozen=True)
class PreparedShard:
    """One shard, closed to writers and open to readers."""

    index: int
    first_hash: int
    last_hash: int
    rows: tuple[int, ...]
    records: int

    @property
    def name(self) -> str:
        """Shard id."""
        return f"shardId-{self.index:012d}"

    def sequence(self, number: int) -> int:
        """Sequence number of record `number`; -1 is the one before the first."""
        return pack(SequenceParts(CREATED, self.index, number + 1, ARRIVED))

    def behind(self, sequence: str) -> int:
        """Where a reader goes on after a sequence number. Raises ValueError for one that is not of this shard."""
        found = unpack(int(sequence))
        if (found.shard, found.created) != (self.index, CREATED) or found.counter > self.records:
            raise ValueError("not a sequence number of this shard")
        return found.counter

    @cached_property
    def entries(self) -> memoryview:
        """All records as JSON, a comma behind each."""
        length = self.entry_bytes
        found = bytearray(length * self.records)
        for number in range(self.records):
            found[number * length : (number + 1) * length] = self._entry(number)
        return memoryview(found)

    @cached_property
    def entry_bytes(self) -> int:
        """Length of one of them."""
        return len(self._entry(0))

    def page(self, start: int, limit: int, shown: int) -> tuple[memoryview, int]:
        """(entries without a last comma, where the next page begins); nothing from `shown` on is there yet."""
        fitting = PAGE_BYTES // (DATA_BYTES + len(partition_key(FIRST_ROW)))
        stop = max(start, min(start + min(limit, PAGE_RECORDS, fitting), shown, self.records))
        length = self.entry_bytes
        return self.entries[start * length : max(start * length, stop * length - 1)], stop

    def _entry(self, number: int) -> bytes:
        row = self.rows[number // CHANGES_IN_A_ROW % len(self.rows)]
        data = base64.b64encode(record(self.index, number, row))
        return _ENTRY % (self.sequence(number), ARRIVED, data, partition_key(row))


def prepared_shards(shards: int, records: int) -> tuple[PreparedShard, ...]:
    """`shards` shards that split the hash space evenly, with `records` records each, about rows whose partition keys
    belong to them."""
    firsts = [(index * HASH_KEYS + shards - 1) // shards for index in range(shards)]
    ends = [*firsts[1:], HASH_KEYS]
    rows: list[list[int]] = [[] for _ in firsts]
    for row in range(FIRST_ROW, FIRST_ROW + ROWS):
        digest = hashlib.md5(partition_key(row), usedforsecurity=False).digest()
        rows[bisect_right(firsts, int.from_bytes(digest, "big")) - 1].append(row)
    return tuple(
        PreparedShard(index, first, end - 1, tuple(rows[index]), records)
        for index, (first, end) in enumerate(zip(firsts, ends, strict=True))
    )
