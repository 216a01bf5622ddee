"""Aggregation of the Kinesis Producer Library: many user records inside of one Kinesis record.

Layout: four bytes of magic, a proto2 message, the MD5 of that message. Source: aggregation-format.md in
awslabs/amazon-kinesis-producer:

    AggregatedRecord {repeated string partition_key_table = 1; repeated string explicit_hash_key_table = 2;
                      repeated Record records = 3}
    Record {required uint64 partition_key_index = 1; optional uint64 explicit_hash_key_index = 2;
            required bytes data = 3; repeated Tag tags = 4}
    Tag {required string key = 1; optional string value = 2}
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

MAGIC = b"\xf3\x89\x9a\xc2"
DIGEST_BYTES = 16
MAX_RECORDS = 100_000
"""User records, and entries of each key table. An aggregate has 51,200 bytes unless its producer was told otherwise;
one of 10 MiB could name 1.7 million records, each of them an object here and a record of Kafka afterwards."""
MAX_FIELDS = 8 * MAX_RECORDS
"""Of all messages and groups together: an ordinary record has four, of its own and in the tables. One of 10 MiB could
have five millions that say nothing, two bytes each, and each of them costs as much as any other."""
MAX_UNPACKED_BYTES = 64 << 20
"""Data and partition keys of all user records. A key stands once in the table and with every record in Kafka."""
MAX_KEY_CHARACTERS = 256
"""Of a partition key: the limit of the Kinesis API."""
MAX_GROUP_DEPTH = 100
"""Of unknown groups: where protobuf's own parsers stop."""

_VARINT, _FIXED64, _LENGTH, _GROUP, _END_GROUP, _FIXED32 = range(6)
_WIDTHS = {_FIXED64: 8, _FIXED32: 4}
# A tag is the number of a field and its wire type.
_PARTITION_KEY, _HASH_KEY, _RECORD = 1 << 3 | _LENGTH, 2 << 3 | _LENGTH, 3 << 3 | _LENGTH
_KEY_INDEX, _HASH_INDEX, _DATA, _TAG = 1 << 3 | _VARINT, 2 << 3 | _VARINT, 3 << 3 | _LENGTH, 4 << 3 | _LENGTH
_TAG_KEY, _TAG_VALUE = 1 << 3 | _LENGTH, 2 << 3 | _LENGTH
_DECIMAL = re.compile(r"0|[1-9][0-9]{0,38}", re.ASCII)
_LAST_HASH = (1 << 128) - 1

Field = tuple[int, int, int]
"""(tag, value, end): the value of a number, or the place where the bytes begin that reach to `end`."""


class UserRecord(msgspec.Struct, frozen=True, gc=False):
    """One record as its producer put it. A Struct, because there may be ten thousands in a page."""

    partition_key: str
    data: bytes
    explicit_hash_key: int | None = None

    @property
    def hash_key(self) -> int:
        """Where on the hash ring it belongs, 0 .. 2**128 - 1: its explicit hash key, else the MD5 of its partition key.
        Computed at every call."""
        if self.explicit_hash_key is not None:
            return self.explicit_hash_key
        return int.from_bytes(hashlib.md5(self.partition_key.encode(), usedforsecurity=False).digest(), "big")

    def within(self, first: int, last: int) -> bool:
        """Whether a shard with this hash range, both ends included, is its own. Behind a reshard an aggregate may hold
        records of two shards."""
        return first <= self.hash_key <= last


@dataclass(frozen=True, slots=True)
class Corrupt:
    """Magic and checksum are right and the message is not, so nothing of it is used. `reason` quotes no bytes (P6)."""

    reason: str


class _Broken(Exception):
    """The message cannot be read. Never leaves this module."""


class _Body:
    """The bytes of a Kinesis record, and how many fields may still be read of them."""

    __slots__ = ("data", "fields", "most")

    def __init__(self, data: bytes, most: int) -> None:
        self.data = data
        self.fields = self.most = most

    def exhausted(self) -> _Broken:
        return _Broken(f"more than {self.most} fields")


def aggregate(
    data: bytes, *, max_records: int = MAX_RECORDS, max_bytes: int = MAX_UNPACKED_BYTES, max_fields: int = MAX_FIELDS
) -> tuple[UserRecord, ...] | Corrupt | None:
    """The user records of a Kinesis record, in their order; None if it is a plain record. Never raises.

    Plain is what has no magic, is too short or has another checksum. An empty aggregate is `()`; the KCL would take it
    for a plain record. The time it takes beside the checksum is bounded by `max_fields`, what it returns by the other
    two limits: an aggregate beyond one of them is Corrupt.
    """
    if not data.startswith(MAGIC):
        return None
    stop = len(data) - DIGEST_BYTES
    if stop < len(MAGIC):
        return None
    if not data.endswith(hashlib.md5(memoryview(data)[len(MAGIC) : stop], usedforsecurity=False).digest()):
        return None
    try:
        return _message(_Body(data, max_fields), len(MAGIC), stop, max_records, max_bytes)
    except _Broken as broken:
        return Corrupt(str(broken))


def _message(body: _Body, at: int, stop: int, max_records: int, max_bytes: int) -> tuple[UserRecord, ...]:
    keys: list[str] = []
    sizes: list[int] = []
    hash_texts: list[str] = []
    found: list[tuple[int, int | None, int, int]] = []
    for tag, value, end in _fields(body, at, stop):
        if tag == _RECORD:
            found.append(_record(body, value, end))
        elif tag == _PARTITION_KEY:
            keys.append(_key(body.data, value, end))
            sizes.append(end - value)
        elif tag == _HASH_KEY:
            hash_texts.append(_text(body.data, value, end))
        else:
            _unknown(tag, last=3)
            continue
        if len(found) > max_records or len(keys) > max_records or len(hash_texts) > max_records:
            raise _Broken(f"more than {max_records} records or keys")
    return _resolved(body.data, found, keys, sizes, hash_texts, max_bytes)


def _resolved(
    body: bytes,
    found: list[tuple[int, int | None, int, int]],
    keys: list[str],
    sizes: list[int],
    hash_texts: list[str],
    max_bytes: int,
) -> tuple[UserRecord, ...]:
    """Follow the indexes, at the end: a table may stand behind the records that refer to it."""
    hash_keys: dict[int | None, int | None] = {None: None}
    unpacked = 0
    records = []
    for key, hash_index, start, end in found:
        if key >= len(keys):
            raise _Broken("a partition key that is not in the table")
        unpacked += sizes[key] + end - start
        if unpacked > max_bytes:
            raise _Broken(f"more than {max_bytes} bytes when unpacked")
        if hash_index not in hash_keys:
            hash_keys[hash_index] = _hash_key(hash_texts, hash_index or 0)
        records.append(UserRecord(keys[key], body[start:end], hash_keys[hash_index]))
    return tuple(records)


def _record(body: _Body, at: int, stop: int) -> tuple[int, int | None, int, int]:
    """(partition key index, explicit hash key index or None, begin and end of the data). Of a field that comes again
    the last one counts, as everywhere in protobuf."""
    key: int | None = None
    hash_index: int | None = None
    start = end = -1
    for tag, value, after in _fields(body, at, stop):
        if tag == _KEY_INDEX:
            key = value
        elif tag == _DATA:
            start, end = value, after
        elif tag == _HASH_INDEX:
            hash_index = value
        elif tag == _TAG:
            _check_tag(body, value, after)
        else:
            _unknown(tag, last=4)
    if key is None or start < 0:
        raise _Broken("a record without partition key or data")
    return key, hash_index, start, end


def _check_tag(body: _Body, at: int, stop: int) -> None:
    """Nobody sets or reads tags, but one without its required key makes the message unreadable for every parser."""
    named = False
    for tag, value, end in _fields(body, at, stop):
        if tag in (_TAG_KEY, _TAG_VALUE):
            _text(body.data, value, end)
            named = named or tag == _TAG_KEY
        else:
            _unknown(tag, last=2)
    if not named:
        raise _Broken("a tag without key")


def _unknown(tag: int, *, last: int) -> None:
    """A field to skip, unless its number is one of ours: then its wire type is wrong."""
    if tag >> 3 <= last:
        raise _Broken(f"field {tag >> 3} with wire type {tag & 7}")


def _key(body: bytes, start: int, end: int) -> str:
    key = _text(body, start, end)
    if len(key) > MAX_KEY_CHARACTERS:
        raise _Broken(f"a partition key of more than {MAX_KEY_CHARACTERS} characters")
    return key


def _hash_key(texts: list[str], index: int) -> int:
    if index >= len(texts):
        raise _Broken("an explicit hash key that is not in the table")
    if _DECIMAL.fullmatch(texts[index]) is None or (value := int(texts[index])) > _LAST_HASH:
        raise _Broken("an explicit hash key that is no 128-bit number")
    return value


def _text(body: bytes, start: int, end: int) -> str:
    try:
        return body[start:end].decode()
    except UnicodeDecodeError:
        raise _Broken("text that is not UTF-8") from None


def _fields(body: _Body, at: int, stop: int) -> Iterator[Field]:
    """The fields of the message body[at:stop]; a group is one field of its wire type."""
    data = body.data
    while at < stop:
        body.fields -= 1
        if body.fields < 0:
            raise body.exhausted()
        tag, value, at = _field(data, at, stop)
        wire = tag & 7
        if wire == _GROUP:
            at = _behind_group(body, at, stop, tag >> 3)
        elif wire == _END_GROUP:
            raise _Broken("the end of a group that did not begin")
        yield tag, value, at


def _behind_group(body: _Body, at: int, stop: int, number: int) -> int:
    """Where a group ends that began before `at`."""
    numbers = [number]
    while numbers:
        body.fields -= 1
        if body.fields < 0:
            raise body.exhausted()
        tag, _, at = _field(body.data, at, stop)
        if tag & 7 == _GROUP:
            numbers.append(tag >> 3)
            if len(numbers) > MAX_GROUP_DEPTH:
                raise _Broken(f"groups nested deeper than {MAX_GROUP_DEPTH}")
        elif tag & 7 == _END_GROUP and numbers.pop() != tag >> 3:
            raise _Broken("the end of a group that did not begin")
    return at


def _field(body: bytes, at: int, stop: int) -> Field:
    """One field, or the bare begin or end of a group."""
    tag, at = _varint(body, at, stop)
    if not 8 <= tag < 1 << 32:
        raise _Broken("a field number out of range")
    wire = tag & 7
    if wire == _VARINT:
        value, at = _varint(body, at, stop)
        return tag, value, at
    if wire == _LENGTH:
        size, at = _varint(body, at, stop)
    elif wire in (_GROUP, _END_GROUP):
        size = 0
    elif wire in _WIDTHS:
        size = _WIDTHS[wire]
    else:
        raise _Broken(f"wire type {wire}")
    if size > stop - at:
        raise _Broken("truncated")
    return tag, at, at + size


def _varint(body: bytes, at: int, stop: int) -> tuple[int, int]:
    """(value, place behind it): seven bits a byte, the low ones first, 64 in all."""
    if at < stop and body[at] < 0x80:
        return body[at], at + 1
    value = shift = 0
    while at < stop and shift < 64:
        byte = body[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if value >> 64:
                break
            return value, at
        shift += 7
    raise _Broken("truncated" if shift < 64 and not value >> 64 else "a number of more than 64 bits")
