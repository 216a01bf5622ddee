"""Kafka's record format (magic 2): lengths and headers as they stand on the wire."""

from collections.abc import Iterable

_TABLE = 1 << 14


def varint(number: int) -> bytes:
    """A zigzag varint: seven bits a byte, the low ones first. From -2**63 to 2**63 - 1."""
    if 0 <= number < _TABLE:
        return LENGTHS[number]
    return _varint(number)


def _varint(number: int) -> bytes:
    rest = (number << 1) ^ (number >> 63)
    found = bytearray()
    while rest > 0x7F:
        found.append(rest & 0x7F | 0x80)
        rest >>= 7
    found.append(rest)
    return bytes(found)


LENGTHS = tuple(map(_varint, range(_TABLE)))
"""The varints of the numbers that occur."""


def sized(content: bytes) -> bytes:
    """Length and content."""
    return varint(len(content)) + content


def packed_headers(headers: Iterable[tuple[str, bytes]]) -> bytes:
    """Headers of a record, their number first."""
    packed = [sized(name.encode()) + sized(content) for name, content in headers]
    return varint(len(packed)) + b"".join(packed)
