"""Kinesis records as the Kinesis Producer Library aggregates them; `models/sources/kpl.py` reads them back."""

import hashlib
from collections.abc import Iterable

from models.sources.kpl import MAGIC

VARINT, LENGTH = 0, 2

Put = tuple[str, bytes, int | None]
"""(partition key, data, explicit hash key or None)."""


def aggregated(records: Iterable[Put]) -> bytes:
    """One Kinesis record that holds these records. Each key stands in its table once."""
    keys: dict[str, int] = {}
    hash_keys: dict[int, int] = {}
    packed = []
    for key, data, hash_key in records:
        record = numbered(1, keys.setdefault(key, len(keys)))
        if hash_key is not None:
            record += numbered(2, hash_keys.setdefault(hash_key, len(hash_keys)))
        packed.append(delimited(3, record + delimited(3, data)))
    tables = [delimited(1, key.encode()) for key in keys] + [delimited(2, b"%d" % key) for key in hash_keys]
    return sealed(b"".join(tables + packed))


def sealed(message: bytes) -> bytes:
    """A protobuf message between magic and checksum, whatever it says."""
    return MAGIC + message + hashlib.md5(message, usedforsecurity=False).digest()


def numbered(field: int, value: int) -> bytes:
    """A protobuf field of wire type VARINT."""
    return varint(field << 3 | VARINT) + varint(value)


def delimited(field: int, value: bytes) -> bytes:
    """A protobuf field of wire type LEN: text, bytes or a message."""
    return varint(field << 3 | LENGTH) + varint(len(value)) + value


def varint(value: int) -> bytes:
    """Base 128, low digits first; `value` is not negative."""
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)
