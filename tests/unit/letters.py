"""Records of `cdc.dead`, made by hand."""

from typing import Any

from models.buried import Buried
from models.dead_letter import GAP_PREFIX, DeadLetter, dead_headers
from models.handled import Handled
from models.outcome import Failure
from models.raw import Headers
from models.redrive import DeadRecord
from models.taxonomy import handling

T0 = 1_768_473_060_000
"""2026-01-15T10:31:00Z"""


def dead_letter(
    offset: int, *, partition: int = 0, code: Failure = Failure.VALIDATION_ERROR, **fields: Any
) -> DeadLetter:
    """Of a record of `cdc.raw.core` whose offset is a thousand more than its letter's."""
    known: dict[str, Any] = {
        "stage": "enrich", "code": code, "category": handling(code).category, "message": "column X is not of type int",
        "attempts": 1, "first_failed_ms": T0, "last_failed_ms": T0, "stream": "s", "shard": "shardId-0",
        "sequence": str(offset), "sub_sequence": 0, "topic": "cdc.raw.core", "partition": partition,
        "offset": offset + 1_000, "replay": 0, "fingerprint": "ab", "table": "users", "timestamp_ms": T0,
    }  # fmt: skip
    return DeadLetter(**(known | fields))


def dead_record(
    offset: int, *, partition: int = 0, key: bytes | None = b'["core","users",7]', value: bytes | None = b"{}",
    time_ms: int = T0, headers: Headers = (), **fields: Any,
) -> DeadRecord:  # fmt: skip
    """A letter as it stands in Kafka; `headers`: those of the original."""
    letter = dead_letter(offset, partition=partition, **fields)
    return DeadRecord(partition, offset, time_ms, key, value, dead_headers(letter, headers))


def buried(offset: int, handled: Handled | None = None, **fields: Any) -> Buried:
    """A letter as commands see it."""
    return Buried.of(dead_record(offset, **fields), handled)


def gap(offset: int, partition: int = 0) -> Buried:
    """A record that stands for offsets nobody read."""
    where = {"stage": "enrich", "topic": "cdc.raw.core", "partition": partition, "start": 10, "end": 20}
    headers = [(f"{GAP_PREFIX}{name}", str(value).encode()) for name, value in where.items()]
    return Buried.of(DeadRecord(partition, offset, T0, None, None, headers))
