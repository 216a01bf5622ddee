"""From what was read of a shard to what stands in Kafka: raw records, and the checkpoint beside them."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from enrichers.routing import Router
from models.checkpoint import Checkpoint, ShardState
from models.dead_letter import GAP_PREFIX
from models.position import Position, stream_name
from models.raw import Origin, ShardHeaders, raw_headers
from models.record_format import packed_headers
from models.routing import Route, partition_of
from models.shard import Shard
from models.sources.kpl import MAGIC, Corrupt, aggregate
from models.trace_context import HEADER_TRACEPARENT, is_sampled, root_of
from workers.engine.unit import UnitOfWork
from workers.kinesis.cursor import Part, advanced
from workers.kinesis.pages import Record, any_aggregate
from workers.tracing.spans import Hop

ASIDE_BYTES = 64 << 10
"""More data than this, with aggregates in it, is forwarded in a thread: six bytes of one are a record to be sent, so
that a part may hold some hundred thousand, seconds of work in which the loop would answer nobody."""
KPL_FAILURES = "kpl_failures"
"""Aggregates with the right magic and checksum that cannot be read: noted by source."""


@dataclass(frozen=True, slots=True)
class Destination:
    """Where the records of one stream go."""

    source: str
    topic: str
    """`cdc.raw.<source>`."""
    partitions: int
    checkpoints: str
    """`cdc.checkpoints`."""
    dead: str
    """`cdc.dead`."""
    router: Router
    trace_share: float = 0.0
    """Of the records whose trace begins here."""


@dataclass(frozen=True, slots=True)
class Loss:
    """Records of a shard that arrived from `since_ms` on (milliseconds since the epoch) may be gone."""

    shard: Shard
    since_ms: int
    why: str
    ended: bool = False
    """The shard itself is gone, nothing more comes from it."""


async def forward_aside(
    unit: UnitOfWork, to: Destination, stream: str, part: Part, before: Checkpoint | None
) -> Checkpoint:
    """`forward`, without holding the loop up. The unit is nobody else's until it commits, and the router's memory is
    read and set by single operations of its dicts."""
    if any_aggregate(part.records):
        if part.size > ASIDE_BYTES:
            return await asyncio.to_thread(forward, unit, to, stream, part, before)
        await asyncio.sleep(0)  # a unit may hold many small ones
    elif part.after is None:
        return forward_plain(unit, to, stream, part, before)
    return forward(unit, to, stream, part, before)


def forward_plain(unit: UnitOfWork, to: Destination, stream: str, part: Part, before: Checkpoint | None) -> Checkpoint:
    """`forward`, in a shorter loop, for a part without aggregates of which nothing was committed before."""
    sending = _Sending(unit, to, stream_name(stream), part)
    sending.send_all(part.records)
    unit.took(sending.records)
    return advanced(before, stream, part, sending.last, sending.records)


def forward(unit: UnitOfWork, to: Destination, stream: str, part: Part, before: Checkpoint | None) -> Checkpoint:
    """Put the records of a part into the unit, an aggregate whole, and return the checkpoint that belongs to them.
    `stream`: ARN. What stands at or before `part.after` was committed earlier and is left out (P1)."""
    sending = _Sending(unit, to, stream_name(stream), part)
    send, done = sending.send, part.after
    for record in part.records:
        if done is not None and Position(int(record.sequence_number)) > done:
            done = None  # numbers grow: from here on everything is news
        data = record.data
        found = aggregate(data) if data.startswith(MAGIC) else None
        if found is None or isinstance(found, Corrupt):
            if done is None:
                if found is not None:
                    unit.notes[KPL_FAILURES, to.source] += 1
                send(record, 0, data, record.partition_key)
            continue
        for index, user in enumerate(found):
            if done is None or Position(int(record.sequence_number), index) > done:
                outside = not user.within(part.shard.first_hash, part.shard.last_hash)
                send(record, index, user.data, user.partition_key, outside)
    unit.took(sending.records)
    return advanced(before, stream, part, sending.last, sending.records)


class _Sending:
    """The way of user records into a unit."""

    __slots__ = (
        "_arrival_ms", "_arrived", "_headers", "_index", "_last", "_names", "_partitions", "_route", "_topic",
        "_trace_share", "_unit", "records",
    )  # fmt: skip

    def __init__(self, unit: UnitOfWork, to: Destination, stream: str, part: Part) -> None:
        self._unit = unit
        self._route = to.router.route
        self._topic = to.topic
        self._trace_share = to.trace_share
        self._partitions = to.partitions
        self._names = (stream, part.shard.id)
        self._headers = ShardHeaders(stream, part.shard.id)
        self._last: Record | None = None
        self._index = 0
        self._arrived, self._arrival_ms = -1.0, 0
        self.records = 0

    @property
    def last(self) -> Position | None:
        """Of the last one."""
        return Position(int(self._last.sequence_number), self._index) if self._last is not None else None

    def send_all(self, records: Sequence[Record]) -> None:
        """`send` for each; none of them is an aggregate."""
        partitions, route, around, traced = self._partitions, self._route, self._headers.around, self._trace_share > 0
        waiting: list[list[Any]] = [[] for _ in range(partitions)]
        """Key, value and headers of one record after the other, by partition."""
        arrived, arrival_ms, adapter, table, digits = -1.0, 0, None, None, 0
        before = behind = b""
        for record in records:
            data = record.data
            number = record.sequence_number.encode()
            found = route(data, record.partition_key)
            if (
                record.approximate_arrival_timestamp != arrived or len(number) != digits
                or found.table is not table or found.adapter is not adapter
            ):  # fmt: skip
                arrived, arrival_ms, digits = record.approximate_arrival_timestamp, record.arrival_ms, len(number)
                adapter, table = found.adapter, found.table
                before, behind = around(digits, 0, arrival_ms, adapter, table)
            key = found.key
            headers = before + number + behind
            if traced or found.retired_key is not None:
                origin = Origin(*self._names, record.sequence_number, 0, arrival_ms)
                if found.retired_key is not None:
                    waiting[partition_of(found.retired_key, partitions)] += _marker(found, origin)
                headers = (self._traced(found, origin) if traced else None) or headers
            waiting[partition_of(key, partitions)] += (key, data, headers)
        for partition, flat in enumerate(waiting):
            if flat:
                each = iter(flat)
                self._unit.send_all(self._topic, partition, zip(each, each, each, strict=True))
        if records:
            self._last, self._index = records[-1], 0
            self.records += len(records)

    def send(self, record: Record, index: int, data: bytes, partition_key: str, outside: bool = False) -> None:
        """One user record; if its key changed, the row it was is told to forget itself in the same transaction."""
        sequence = record.sequence_number
        if record.approximate_arrival_timestamp != self._arrived:
            self._arrived, self._arrival_ms = record.approximate_arrival_timestamp, record.arrival_ms
        found = self._route(data, partition_key)
        if found.retired_key is not None:
            key, _, marker = _marker(found, Origin(*self._names, sequence, index, self._arrival_ms))
            self._unit.send(self._topic, key, None, marker, partition=partition_of(key, self._partitions))
        traced = None
        if self._trace_share > 0 and not outside:
            traced = self._traced(found, Origin(*self._names, sequence, index, self._arrival_ms))
        if traced is not None:
            headers = traced
        elif outside:
            origin = Origin(*self._names, sequence, index, self._arrival_ms)
            headers = packed_headers(raw_headers(origin, adapter=found.adapter, table=found.table, out_of_range=True))
        else:
            headers = self._headers.of(sequence, index, self._arrival_ms, found.adapter, found.table)
        self._unit.send(self._topic, found.key, data, headers, partition=partition_of(found.key, self._partitions))
        self._last, self._index = record, index
        self.records += 1

    def _traced(self, found: Route, origin: Origin) -> bytes | None:
        """Headers of a record whose trace begins here; None if it has none. Which ones that are says the record."""
        names = (origin.stream, origin.shard, origin.sequence, origin.sub_sequence)
        root = root_of(origin.arrival_ms, *names)
        if not is_sampled(root, self._trace_share):
            return None
        where = {"cdc.stream": origin.stream, "cdc.shard": origin.shard, "cdc.sequence": origin.sequence}
        table = {"cdc.table": found.table} if found.table is not None else {}
        self._unit.traced.append(Hop(root, None, origin.arrival_ms, where | table))
        headers = raw_headers(origin, adapter=found.adapter, table=found.table)
        return packed_headers([*headers, (HEADER_TRACEPARENT, root.header())])


def _marker(found: Route, origin: Origin) -> tuple[bytes, None, bytes]:
    """Key, value and headers of what tells a row that got another key to forget itself."""
    headers = raw_headers(origin, adapter=found.adapter, table=found.table, retired=True)
    return found.retired_key or b"", None, packed_headers(headers)


def record_loss(
    unit: UnitOfWork, to: Destination, stream: str, loss: Loss, before: Checkpoint | None, now_ms: int
) -> Checkpoint:
    """A gap of the source stands beside the dead letters, without key and value, and in the shard's checkpoint: so it
    is reported once, also to whoever finds it again at the same position. Returns the checkpoint."""
    shard = loss.shard
    where = {"stage": "bridge", "stream": stream, "shard": shard.id, "since": loss.since_ms, "why": loss.why}
    headers = [(f"{GAP_PREFIX}{name}", str(value).encode()) for name, value in where.items()]
    unit.send(to.dead, None, None, headers, partition=partition_of(shard.id.encode(), to.partitions))
    # What it covers stays as old as it is: the children of a shard that is gone may have lost something, too.
    base = before or Checkpoint.first(stream, shard, loss.since_ms)
    return replace(base, gaps=base.gaps + 1, gap_ms=now_ms, state=ShardState.SHARD_END if loss.ended else base.state)
