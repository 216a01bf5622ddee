"""Kinesis sequence numbers in the layout decoded from AWS captures: 186 bits, always 56 decimal digits.

From the top, in hex digits: `2`, shard creation in seconds (9), low digit of the shard's index (1), counter (16),
zero (2), arrival in seconds (9), the shard's index (8), layout version `2` (1). The counter stands before the arrival
time, so numbers of one shard grow even if the clock does not.
"""

from dataclasses import dataclass

VERSION = 2
SECONDS_SHIFT = 36
COUNTER_SHIFT = 80
MARK = 2 << 184
LAST_COUNTER = (1 << 63) - 1  # the counter of a closed shard's EndingSequenceNumber


@dataclass(frozen=True, slots=True)
class SequenceParts:
    """What a sequence number says: `created` and `seconds` are whole seconds since 1970."""

    created: int
    shard: int
    counter: int
    seconds: int


def pack(parts: SequenceParts) -> int:
    head = ((parts.created & 0xFFFFFFFFF) << 4 | parts.shard & 0xF) << 144
    tail = (parts.shard & 0xFFFFFFFF) << 4 | VERSION
    return MARK | head | parts.counter << COUNTER_SHIFT | parts.seconds << SECONDS_SHIFT | tail


def unpack(number: int) -> SequenceParts:
    """Raises ValueError for a number that no shard could have given."""
    parts = SequenceParts(
        created=number >> 148 & 0xFFFFFFFFF,
        shard=number >> 4 & 0xFFFFFFFF,
        counter=number >> COUNTER_SHIFT & 0xFFFFFFFFFFFFFFFF,
        seconds=number >> SECONDS_SHIFT & 0xFFFFFFFFF,
    )
    if pack(parts) != number:
        raise ValueError("not a sequence number of this layout")
    return parts
