"""One Faust event carries one batch: consecutive records of one partition."""

from collections.abc import Iterator, Sequence
from typing import Any

import faust
from faust.events import Event
from faust.types import TP


class RecordBatch:
    """Records that cover the offsets `start` .. `next_offset - 1`, control records and compacted gaps included.

    `epoch` counts the seeks of the partition, `generation` the rebalances of the group: a batch from before either
    is stale. The batch grows until somebody starts to work on it (`started`).
    """

    __slots__ = ("done", "epoch", "generation", "next_offset", "records", "size", "start", "started", "tp")

    def __init__(self, tp: TP, records: list[Any], start: int, next_offset: int, epoch: int, generation: int) -> None:
        self.tp = tp
        self.records = records
        self.start = start
        self.next_offset = next_offset
        self.epoch = epoch
        self.generation = generation
        self.started = False
        self.done = False
        self.size = records_size(records)

    def extend(self, other: "RecordBatch") -> None:
        """Join the batch fetched right after this one, as long as nobody has started on this one."""
        self.records.extend(other.records)
        self.size += other.size
        self.next_offset = other.next_offset

    def fill(self, other: "RecordBatch", max_records: int) -> "RecordBatch | None":
        """Take what fits from the batch fetched right after this one, and return the rest; offset gaps belong to the
        left part. Nobody has started on either."""
        free = max_records - len(self)
        if len(other) <= free:
            self.extend(other)
            return None
        cut = other.records[free].offset
        rest = RecordBatch(self.tp, other.records[free:], cut, other.next_offset, self.epoch, self.generation)
        self.extend(RecordBatch(self.tp, other.records[:free], other.start, cut, self.epoch, self.generation))
        return rest

    def since(self, offset: int) -> "RecordBatch":
        """What is left from `offset` on, after a body committed the part before it."""
        return self._part([r for r in self.records if r.offset >= offset], offset, self.next_offset)

    def halves(self) -> list["RecordBatch"]:
        """Both halves, for the bisection after a data error."""
        return self.cut(len(self.records) // 2)

    def cut(self, count: int) -> list["RecordBatch"]:
        """The first `count` records and the others, both not empty; offset gaps belong to the left part."""
        cut = self.records[count].offset
        return [
            self._part(self.records[:count], self.start, cut),
            self._part(self.records[count:], cut, self.next_offset),
        ]

    def _part(self, records: list[Any], start: int, end: int) -> "RecordBatch":
        part = RecordBatch(self.tp, records, start, end, self.epoch, self.generation)
        part.started = True
        return part

    def __len__(self) -> int:
        return len(self.records)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.records)

    def __repr__(self) -> str:
        where = f"{self.tp.topic}/{self.tp.partition}"
        return f"<batch {where} [{self.start}..{self.next_offset}) n={len(self.records)}>"


def record_size(record: Any) -> int:
    """Bytes of key and value; headers are small and not counted."""
    return len(record.value or b"") + len(record.key or b"")


def records_size(records: Sequence[Any]) -> int:
    """The same for several records."""
    return sum([len(record.value or b"") + len(record.key or b"") for record in records])


def chunks(records: Sequence[Any], max_records: int, max_bytes: int) -> Iterator[list[Any]]:
    """Cut fetched records into batches bounded in records and bytes; one larger record travels alone."""
    for begin in range(0, len(records), max_records):
        part = list(records[begin : begin + max_records])
        if records_size(part) <= max_bytes:
            yield part
        else:
            yield from _by_size(part, max_bytes)


def _by_size(records: Sequence[Any], max_bytes: int) -> Iterator[list[Any]]:
    chunk: list[Any] = []
    size = 0
    for record in records:
        weight = record_size(record)
        if chunk and size + weight > max_bytes:
            yield chunk
            chunk, size = [], 0
        chunk.append(record)
        size += weight
    if chunk:
        yield chunk


class BatchTopic(faust.Topic):
    """A Faust topic whose events carry a RecordBatch: no serializers, and no acknowledgements for Faust to track."""

    def __init__(self, app: Any, **options: Any) -> None:
        options["acks"] = False
        super().__init__(app, **options)

    def _compile_decode(self) -> None:
        app = self.app

        async def decode(message: Any, *, propagate: bool = False) -> Event:  # noqa: ARG001  Faust calls it so
            return Event(app, None, message.value, None, message)

        self.decode = decode
