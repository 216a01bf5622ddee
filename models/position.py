"""Where a record stands in a shard."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """Of one user record. Kinesis gives no order between two shards, and numbers of different length, so numbers are
    compared as integers and never as text.

    The records of one KPL aggregate share its sequence number; `sub_sequence` counts them from 0.
    """

    sequence: int
    sub_sequence: int = 0


def stream_name(arn: str) -> str:
    """The name in a stream's ARN (`arn:aws:kinesis:<region>:<account>:stream/<name>`); a bare name is its own."""
    return arn.rpartition("/")[2]
