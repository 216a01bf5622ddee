"""Where a record goes: the key of a source row, and the one partition function (Kafka's murmur2 of the key bytes)."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from struct import unpack_from
from typing import Final

import msgspec

from models.sources.binary import TAG, is_tagged

MASK = 0xFFFFFFFF
M = 0x5BD1E995

MAX_KEY_BYTES: Final = 8_192
"""Of a source row: more than an index of DynamoDB, PostgreSQL, MySQL, Oracle or SQL Server takes."""

_INT64: Final = 1 << 63
_INTEGER: Final = re.compile(r"0|-?[1-9][0-9]*", re.ASCII)
_key_encoder: Final = msgspec.json.Encoder()


def murmur2(data: bytes) -> int:
    """32-bit murmur2 as Apache Kafka's `Utils.murmur2` computes it, as an unsigned integer."""
    length = len(data)
    h = (0x9747B28C ^ length) & MASK
    full = length & ~3
    for word in unpack_from(f"<{full >> 2}I", data):
        k = (word * M) & MASK
        h = ((h * M) & MASK) ^ ((k ^ k >> 24) * M & MASK)
    if full != length:
        h ^= int.from_bytes(data[full:], "little")
        h = (h * M) & MASK
    h ^= h >> 13
    h = (h * M) & MASK
    return h ^ (h >> 15)


@lru_cache(maxsize=65_536)
def partition_of(key: bytes, partitions: int) -> int:
    """Partition of a key: what Kafka's own default partitioner (Java) gives for the same bytes."""
    return (murmur2(key) & 0x7FFFFFFF) % partitions


@dataclass(frozen=True, slots=True)
class Route:
    """Where a source record goes: its Kafka key, and the key of the row it replaces if its primary key changed."""

    key: bytes
    adapter: str | None = None
    table: str | None = None
    """Unique name of the table's spec; None for control records and unknown tables."""
    retired_key: bytes | None = None


def entity_key(schema: str, table: str, values: Sequence[object]) -> bytes:
    """Key of a source row: compact JSON `[schema, table, pk...]`, e.g. `["core","users",7]`.

    3, 3.0 and "3" are one key value (a source may deliver any of them), written as an integer. Bytes stay tagged. A key
    of more than MAX_KEY_BYTES is `["","users","blake2b:<digest of it>"]`.
    """
    key = _key_encoder.encode([schema, table, *map(key_value, values)])
    if len(key) <= MAX_KEY_BYTES:
        return key
    # P7: beside a record of 10 MiB it would fit into no topic, and its partition would take seconds to compute.
    return _key_encoder.encode(["", table, f"blake2b:{hashlib.blake2b(key, digest_size=16).hexdigest()}"])


def key_value(value: object) -> object:
    """Canonical form of one key value: integers in any spelling become int, other numbers text."""
    if type(value) is int:
        return value if -_INT64 <= value < _INT64 else str(value)
    if type(value) is str:
        if len(value) > 20 or _INTEGER.fullmatch(value) is None:
            return value
        number = int(value)
        return number if -_INT64 <= number < _INT64 else value
    if type(value) is Decimal:
        if value == value.to_integral_value():
            return key_value(int(value))
        return format(value, "f").rstrip("0")
    return value


def key_form(value: object) -> object:
    """A key value as events show it: a number in its one form (7.0 is 7, 7.50 is 7.5), everything else as it is."""
    return key_value(value) if type(value) is Decimal else value


def is_key(value: object) -> bool:
    """Whether a value can be (part of) a key: a plain one, or bytes."""
    return value is not None and (not isinstance(value, list | dict) or is_tagged(value))


def id_text(value: object) -> str:
    """Text of one key value in an entityId, where `:` joins several: `%` and `:` are percent-encoded. Bytes are `%b64`
    and their base64, which no other value looks like."""
    if type(value) is int:
        return str(value)
    mark, text = ("%b64", str(value[TAG])) if is_tagged(value) else ("", key_text(value))  # type: ignore[index]
    return mark + text.replace("%", "%25").replace(":", "%3A")


def key_text(value: object) -> str:
    """Text of one key value in ids: what `key_value` unifies has one text."""
    if type(value) is str:  # an integer written as text has the text it is
        return value
    if type(value) is int:
        return str(value)
    value = key_value(value)
    if type(value) is bool:
        return "true" if value else "false"
    return str(value)
