"""One record of `cdc.raw.<source>`: the source's bytes, untouched, with where they came from in its headers."""

from collections.abc import Sequence
from typing import Any

import msgspec

from models.record_format import sized, varint
from models.trace_context import HEADER_TRACEPARENT, TraceContext

HEADER_ADAPTER = "cdc-adapter"
HEADER_TABLE = "cdc-table"
HEADER_STREAM = "cdc-stream"
HEADER_SHARD = "cdc-shard"
HEADER_SEQUENCE = "cdc-sequence"
HEADER_SUB_SEQUENCE = "cdc-sub-sequence"
HEADER_ARRIVAL = "cdc-arrival"
HEADER_TRACE = "cdc-trace"
HEADER_REPLAY = "cdc-replay"
HEADER_SOURCE = "cdc-source"
"""Of an event in `cdc.events`: name of the source, hence the raw topic that its `metadata.sequence` is an offset of."""
HEADER_RETIRED = "cdc-retired"
REDRIVE_PREFIX = "cdc-redrive-"
"""Of headers that say which record was redriven (models.redrive)."""
HEADER_REDRIVEN = "cdc-redriven"
"""Of an event in `cdc.events`: offset in `cdc.redrive.enrich` of the record it was made of, if that was redriven."""
HEADER_OUT_OF_RANGE = "cdc-out-of-range"
"""A KPL user record whose hash key lies outside of its shard, as after a reshard: the KCL drops those."""

Headers = Sequence[tuple[str, bytes]]


class Origin(msgspec.Struct, frozen=True, gc=False):
    """Where the source delivered a record: the first hop of every trace."""

    stream: str
    shard: str
    sequence: str
    """Kinesis sequence number in decimal, up to 129 digits. Compared as an integer, never as text."""
    sub_sequence: int = 0
    arrival_ms: int = 0
    """Approximate arrival at the stream, milliseconds since the epoch; 0 = unknown."""


class RawRecord(msgspec.Struct, frozen=True, gc=False):
    """A record as the enrich stage reads it. Every field is fixed once the record stands in Kafka.

    `value` is None for a `retired` marker (the row of `key` got another primary key) and for source tombstones.
    """

    value: bytes | None
    key: bytes | None
    origin: Origin
    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    """Kafka timestamp, milliseconds since the epoch: the `processedAt` of the event."""
    source: str
    """Name of the source, from its topic."""
    generation: int = 1
    """Counts re-creations of the raw topic, so that `sequence` keeps growing."""
    adapter: str | None = None
    table: str | None = None
    trace: str | None = None
    """Id of the trace that it belongs to: the `correlationId` of the event."""
    replay: int = 0
    retired: bool = False
    parent: TraceContext | None = None
    """The hop before, if it was traced."""


def raw_headers(
    origin: Origin,
    *,
    adapter: str | None = None,
    table: str | None = None,
    trace: str | None = None,
    replay: int = 0,
    retired: bool = False,
    out_of_range: bool = False,
) -> list[tuple[str, bytes]]:
    """Headers of a raw record; `raw_record` reads them back."""
    headers = [
        (HEADER_STREAM, origin.stream.encode()),
        (HEADER_SHARD, origin.shard.encode()),
        (HEADER_SEQUENCE, origin.sequence.encode()),
        (HEADER_SUB_SEQUENCE, b"%d" % origin.sub_sequence),
        (HEADER_ARRIVAL, b"%d" % origin.arrival_ms),
    ]
    optional = ((HEADER_ADAPTER, adapter), (HEADER_TABLE, table), (HEADER_TRACE, trace))
    headers += [(name, text.encode()) for name, text in optional if text is not None]
    if replay:
        headers.append((HEADER_REPLAY, b"%d" % replay))
    if retired:
        headers.append((HEADER_RETIRED, b"1"))
    if out_of_range:
        headers.append((HEADER_OUT_OF_RANGE, b"1"))
    return headers


class ShardHeaders:
    """`raw_headers` for many records of one shard, packed: what repeats is packed once."""

    def __init__(self, stream: str, shard: str) -> None:
        self._origin = Origin(stream, shard, "")
        self._ends: dict[tuple[str | None, str | None], tuple[bytes, bytes]] = {}
        self._alike = (-1, -1, 0)
        """Digits of a sequence number, arrival and sub-sequence that `_around` was made for."""
        self._middle = b""
        self._around: dict[tuple[str | None, str | None], tuple[bytes, bytes]] = {}

    def of(self, sequence: str, sub_sequence: int, arrival_ms: int, adapter: str | None, table: str | None) -> bytes:
        """Headers of one record, as `packed_headers` would pack them."""
        number = sequence.encode()
        before, behind = self.around(len(number), sub_sequence, arrival_ms, adapter, table)
        return before + number + behind

    def around(
        self, digits: int, sub_sequence: int, arrival_ms: int, adapter: str | None, table: str | None
    ) -> tuple[bytes, bytes]:
        """What stands in front of a sequence number of so many digits, and behind it: the same for all records that
        differ in nothing else."""
        alike = (digits, arrival_ms, sub_sequence)
        if alike != self._alike:  # records of one call of a producer arrive together
            self._alike = alike
            self._around.clear()
            sub = _packed(HEADER_SUB_SEQUENCE, b"%d" % sub_sequence) if sub_sequence else _FIRST
            self._middle = sub + _packed(HEADER_ARRIVAL, b"%d" % arrival_ms)
        kind = (adapter, table)
        found = self._around.get(kind)
        if found is None:
            head, tail = self._ends.get(kind) or self._end(adapter, table)
            found = self._around[kind] = head + varint(digits), self._middle + tail
        return found

    def _end(self, adapter: str | None, table: str | None) -> tuple[bytes, bytes]:
        """What stands in front of the sequence number, and behind the arrival."""
        count = len(raw_headers(self._origin, adapter=adapter, table=table))
        shard = _packed(HEADER_STREAM, self._origin.stream.encode()) + _packed(
            HEADER_SHARD, self._origin.shard.encode()
        )
        optional = ((HEADER_ADAPTER, adapter), (HEADER_TABLE, table))
        tail = b"".join(_packed(name, text.encode()) for name, text in optional if text is not None)
        found = (varint(count) + shard + sized(HEADER_SEQUENCE.encode()), tail)
        self._ends[adapter, table] = found
        return found


def _packed(name: str, content: bytes) -> bytes:
    return sized(name.encode()) + sized(content)


_FIRST = _packed(HEADER_SUB_SEQUENCE, b"0")


def raw_record_of(record: Any, source: str) -> RawRecord:
    """From a record of any Kafka client. `source`: whose topic it stands in."""
    return raw_record(
        topic=record.topic, partition=record.partition, offset=record.offset, timestamp_ms=record.timestamp,
        key=record.key, value=record.value, headers=record.headers, source=source,
    )  # fmt: skip


def raw_record(
    *,
    topic: str,
    partition: int,
    offset: int,
    timestamp_ms: int,
    key: bytes | None,
    value: bytes | None,
    headers: Headers,
    source: str,
    generation: int = 1,
) -> RawRecord:
    """Build a RawRecord from a Kafka record; foreign or broken headers count as absent, nothing here raises."""
    found = dict(headers)
    parent = TraceContext.parse(found[HEADER_TRACEPARENT]) if HEADER_TRACEPARENT in found else None

    def text(name: str) -> str | None:
        raw = found.get(name)
        return raw.decode("utf-8", "replace") if raw is not None else None

    def number(name: str) -> int:
        raw = found.get(name) or b""
        return int(raw) if raw.isdigit() and len(raw) < 20 else 0

    return RawRecord(
        value=value,
        key=key,
        origin=Origin(
            stream=text(HEADER_STREAM) or "",
            shard=text(HEADER_SHARD) or "",
            sequence=text(HEADER_SEQUENCE) or "",
            sub_sequence=number(HEADER_SUB_SEQUENCE),
            arrival_ms=number(HEADER_ARRIVAL),
        ),
        topic=topic,
        partition=partition,
        offset=offset,
        timestamp_ms=timestamp_ms,
        source=source,
        generation=generation,
        adapter=text(HEADER_ADAPTER),
        table=text(HEADER_TABLE),
        trace=text(HEADER_TRACE) or (parent.trace_id if parent is not None else None),
        parent=parent,
        replay=number(HEADER_REPLAY),
        retired=HEADER_RETIRED in found,
    )
