"""Redrive: a record of `cdc.dead` becomes one of `cdc.redrive.<stage>`, which the stage reads like the original.

Key, bytes and headers are those of the original; beside them stand its place and its Kafka timestamp, so that
`eventId`, `metadata.sequence` and `processedAt` are those of the original, too (P3).
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from msgspec import structs

from models.dead_letter import GAP_PREFIX, DeadLetter, is_its_own
from models.raw import HEADER_REPLAY, REDRIVE_PREFIX, Headers, RawRecord, raw_record

STAGES = ("enrich", "publish")
"""Those that read a redrive topic."""
MAX_REPLAYS = 5
"""Times a record is redriven unless somebody says otherwise: what fails that often needs a person."""
MAX_DIGITS = 20
"""Of a number in a header: a longer one is none of ours, and takes its time to read."""


@dataclass(frozen=True, slots=True)
class DeadRecord:
    """One record of `cdc.dead` as a Kafka client reads it. `timestamp_ms`: Kafka's, milliseconds since the epoch."""

    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers


@dataclass(frozen=True, slots=True)
class RedriveRecord:
    """One record for `cdc.redrive.<stage>`."""

    stage: str
    partition: int
    """That of the original: the slot that failed tries again, and the records of a key keep their order (P4)."""
    key: bytes | None
    value: bytes
    headers: tuple[tuple[str, bytes], ...]


@dataclass(frozen=True, slots=True)
class NotRedrivable:
    """Why a record of `cdc.dead` stays there. `reason` names no key and no value (P6)."""

    reason: str


@dataclass(frozen=True, slots=True)
class RedriveOrigin:
    """The record that is redriven, where it stood first, and how often and since when it has failed."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    """Kafka timestamp of the original, milliseconds since the epoch."""
    attempts: int
    first_failed_ms: int

    def to_headers(self) -> list[tuple[str, bytes]]:
        """`origin_of` reads them back."""
        return [
            (REDRIVE_PREFIX + field.name.replace("_", "-"), str(getattr(self, field.name)).encode())
            for field in fields(self)
        ]


def redrive_of(record: DeadRecord, *, max_replays: int = MAX_REPLAYS) -> RedriveRecord | NotRedrivable:
    """What has to be written to try a dead letter again, or why it cannot be tried again."""
    if any(name.startswith(GAP_PREFIX) for name, _ in record.headers):
        return NotRedrivable("it tells of records that were lost before they were read")
    try:
        letter = DeadLetter.from_headers(record.headers)
    except ValueError:
        return NotRedrivable("it is no dead letter of this pipeline")
    if letter.stage not in STAGES:
        return NotRedrivable("its stage cannot be redriven")
    if record.value is None:
        return NotRedrivable("its value was left out")
    if letter.timestamp_ms is None:
        return NotRedrivable("an earlier release wrote it, and kept too little of the original")
    if letter.replay >= max_replays:  # the loop guard
        return NotRedrivable(f"it was redriven or replayed {letter.replay} times; --max-replays allows {max_replays}")
    origin = RedriveOrigin(
        letter.topic, letter.partition, letter.offset, max(0, letter.timestamp_ms), letter.attempts,
        letter.first_failed_ms,
    )  # fmt: skip
    headers = redrive_headers(record.headers, origin, letter.replay + 1)
    return RedriveRecord(letter.stage, letter.partition, record.key, record.value, headers)


def redrive_headers(headers: Headers, origin: RedriveOrigin, replay: int) -> tuple[tuple[str, bytes], ...]:
    """Headers of a record that comes again for the `replay`-th time; `headers`: those it had, or has in `cdc.dead`."""
    own = [(name, value) for name, value in headers if name != HEADER_REPLAY and is_its_own(name)]
    return (*own, (HEADER_REPLAY, b"%d" % replay), *origin.to_headers())


def origin_of(headers: Headers) -> RedriveOrigin | None:
    """Which record was redriven; None if the headers do not say it: somebody else wrote into the topic."""
    found = {name: value for name, value in headers if name.startswith(REDRIVE_PREFIX)}
    values: dict[str, Any] = {}
    for field in fields(RedriveOrigin):
        raw = found.get(REDRIVE_PREFIX + field.name.replace("_", "-")) or b""
        if field.type is not int:
            values[field.name] = raw.decode("utf-8", "replace")
        elif raw.isdigit() and len(raw) < MAX_DIGITS:
            values[field.name] = int(raw)
        else:
            return None
    return RedriveOrigin(**values) if values["topic"] else None


def replay_of(headers: Headers) -> int:
    """How often a record of a redrive topic has come again, at least once."""
    raw = dict(headers).get(HEADER_REPLAY) or b""
    return max(1, int(raw)) if raw.isdigit() and len(raw) < MAX_DIGITS else 1


def redriven_raw(record: Any, sources: Mapping[str, str]) -> RawRecord:
    """A record of `cdc.redrive.enrich`, of any Kafka client, as the stage read the original. `sources`: name of the
    source by raw topic. `source` is empty where nobody knows it, or where the record is not in the partition of its
    original, whose slot alone may write its tables: such a record cannot be enriched."""
    origin = origin_of(record.headers)
    at_home = origin is not None and origin.partition == record.partition
    where = origin if origin is not None else record
    found = raw_record(
        topic=where.topic, partition=where.partition, offset=where.offset,
        timestamp_ms=origin.timestamp_ms if origin is not None else record.timestamp,
        key=record.key, value=record.value, headers=record.headers,
        source=sources.get(where.topic, "") if at_home else "",
    )  # fmt: skip
    return structs.replace(found, replay=replay_of(record.headers))
