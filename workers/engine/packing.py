"""Batches of Kafka's record format (magic 2), packed from bytes that are mostly there already.

aiokafka's builder encodes names, lengths and headers anew for every record, and looks at the clock. Here a record is a
few references, and its bytes are copied once: when the batch is built.
"""

import struct
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import google_crc32c
from aiokafka.codec import gzip_encode, lz4_encode, snappy_encode, zstd_encode

from models.record_format import LENGTHS, packed_headers, varint
from workers.engine.unit_producer import Packed

_FRAME = struct.Struct(">qiibI")
"""Offset, length, leader epoch, magic, checksum."""
_CHECKED = struct.Struct(">hiqqqhii")
"""What the checksum is of, with the records: attributes, last offset delta, first and largest timestamp, producer's id
and epoch, sequence number, records."""
_LENGTH_COUNTS_FROM = 12
_TRANSACTIONAL = 0x10
_ENCODERS: dict[int, Callable[[bytes], bytes]] = {1: gzip_encode, 2: snappy_encode, 3: lz4_encode, 4: zstd_encode}
"""By the number that stands in the attributes."""
_NULL = varint(-1)
_AT_ONCE = b"\0\0"
"""Attributes of a record, and its time: that of the batch."""
_STARTS = tuple(_AT_ONCE + offset for offset in LENGTHS)
"""What stands in front of a key, by the record's place in the batch."""


@dataclass(frozen=True, slots=True)
class BuiltBatch:
    """A batch in two pieces, which the request that it goes out with puts together."""

    head: bytes
    records: bytes

    def __len__(self) -> int:
        return len(self.head) + len(self.records)

    def __bytes__(self) -> bytes:
        return self.head + self.records


class RecordPacker:
    """See PackedBatch. It also stands where aiokafka expects its own BatchBuilder."""

    __slots__ = (
        "_built", "_closed", "_codec", "_count", "_first_ms", "_limit", "_made_ms", "_now", "_parts", "_producer",
        "_size", "_stamps", "_transactional",
    )  # fmt: skip

    def __init__(self, limit: int, codec: int = 0, *, transactional: bool, now_ms: int | None = None) -> None:
        """`limit`: bytes. Records without a timestamp have that of the batch: when it was made, or `now_ms`."""
        self._limit = limit
        self._codec = codec
        self._transactional = transactional
        self._made_ms = time.time_ns() // 1_000_000 if now_ms is None else now_ms
        self._first_ms = self._made_ms
        self._now = _AT_ONCE
        """Attributes of a record, and how far the batch's time lies behind its first timestamp."""
        self._stamps: list[int] = []
        """Timestamps that were given."""
        self._parts: list[bytes] = []
        self._count = 0
        self._size = _FRAME.size + _CHECKED.size
        self._closed = False
        self._producer = (-1, -1, 0)
        self._built: BuiltBatch | None = None

    def append(
        self,
        key: bytes | None,
        value: bytes | None,
        headers: Sequence[tuple[str, bytes]] | bytes,
        timestamp: int | None = None,
    ) -> int | None:
        """See PackedBatch; the bytes it takes."""
        if self._closed:
            return None
        # Called for every record, so what is ordinary comes first.
        if type(key) is bytes:
            size = len(key)
            key_size = LENGTHS[size] if size < 16_384 else varint(size)
        elif key is None:
            key, key_size = b"", _NULL
        else:
            raise TypeError(f"a key is bytes, not {type(key).__name__}")
        if type(value) is bytes:
            size = len(value)
            value_size = LENGTHS[size] if size < 16_384 else varint(size)
        elif value is None:
            value, value_size = b"", _NULL
        else:
            raise TypeError(f"a value is bytes, not {type(value).__name__}")
        if not isinstance(headers, bytes):
            headers = packed_headers(headers)
        when = self._now if timestamp is None else self._when(timestamp)
        count = self._count
        offset = LENGTHS[count] if count < 16_384 else varint(count)
        size = len(when) + len(offset) + len(key_size) + len(key) + len(value_size) + len(value) + len(headers)
        length = LENGTHS[size] if size < 16_384 else varint(size)
        size += len(length)
        whole = self._size + size
        if whole > self._limit and count:
            self._closed = True
            return None
        self._parts += (length, when, offset, key_size, key, value_size, value, headers)
        self._size = whole
        self._count = count + 1
        if timestamp is not None:
            self._stamps.append(timestamp)
        return size

    def extend(self, records: Iterator[Packed], most: int) -> Packed | None:
        """See PackedBatch."""
        if self._closed or self._now != _AT_ONCE:
            return next(records, None)
        parts, count, whole, limit = self._parts, self._count, self._size, self._limit
        lengths, starts = LENGTHS, _STARTS
        left = None
        for record in records:
            key, value, headers = record
            if value is None:
                left = record
                break
            try:
                start = starts[count]
                size = len(key)
                key_size = lengths[size]
                size += len(start) + len(key_size) + len(value) + len(headers)
                value_size = lengths[len(value)]
                size += len(value_size)
                length = lengths[size]
            except IndexError:  # a long one
                left = record
                break
            size += len(length)
            if size > most or whole + size > limit:
                left = record
                break
            parts += (length, start, key_size, key, value_size, value, headers)
            whole += size
            count += 1
        self._size, self._count = whole, count
        return left

    def _when(self, timestamp: int) -> bytes:
        if not self._count:
            self._first_ms = timestamp
            self._now = b"\0" + varint(self._made_ms - timestamp)
        return b"\0" + varint(timestamp - self._first_ms)

    def close(self) -> None:
        """See PackedBatch."""
        self._closed = True

    def closed(self) -> bool:
        """Whether nothing more is appended."""
        return self._closed

    def record_count(self) -> int:
        """See PackedBatch."""
        return self._count

    def size(self) -> int:
        """See PackedBatch."""
        return self._size

    def _set_producer_state(self, producer_id: int, producer_epoch: int, base_sequence: int) -> None:
        self._producer = (producer_id, producer_epoch, base_sequence)

    def _build(self) -> BuiltBatch:
        """The batch as it goes out; the same again when it is sent again."""
        if self._built is None:
            self._closed = True
            self._built = self._joined()
            self._parts = []
            self._size = len(self._built)
        return self._built

    def _joined(self) -> BuiltBatch:
        records, codec = b"".join(self._parts), 0
        if self._codec:
            packed = _ENCODERS[self._codec](records)
            if len(packed) < len(records):
                records, codec = packed, self._codec
        stamps = self._stamps if len(self._stamps) == self._count else [*self._stamps, self._made_ms]
        attributes = codec | (_TRANSACTIONAL if self._transactional else 0)
        checked = _CHECKED.pack(
            attributes, self._count - 1, self._first_ms, max(stamps, default=self._made_ms), *self._producer,
            self._count,
        )  # fmt: skip
        # The processor's own instruction: aiokafka's checksum took a twentieth of the bridge's CPU (measured).
        checksum = google_crc32c.extend(google_crc32c.value(checked), records)
        length = _FRAME.size + len(checked) + len(records) - _LENGTH_COUNTS_FROM
        return BuiltBatch(_FRAME.pack(0, length, -1, 2, checksum) + checked, records)
