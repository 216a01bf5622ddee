"""aiokafka's ProduceRequest, whose batches are copied once on their way out, not once for each level of its schema."""

import functools
from collections.abc import Iterable
from typing import Any

from aiokafka.protocol.api import RequestStruct
from aiokafka.protocol.produce import ProduceRequest, ProduceRequest_v3
from aiokafka.protocol.types import Int16, Int32, String

from workers.engine.packing import BuiltBatch

_text = String("utf-8")
_LENGTH = bytes(4)


class Framed:
    """A message with room for its length in front. A connection puts the header in front of a request, and their length
    in front of both: with bytes it would copy all of them each time."""

    def __init__(self, parts: Iterable[bytes]) -> None:
        self._bytes = bytearray().join((_LENGTH, *parts))

    def __len__(self) -> int:
        return len(self._bytes) - len(_LENGTH)

    def __radd__(self, front: bytes) -> "Framed | memoryview":
        if not front:
            return self
        self._bytes[: len(_LENGTH)] = front
        return memoryview(self._bytes)  # what a socket does not take at once is cut off, which copies nothing


class _NoHeader:
    def encode(self) -> bytes:
        return b""


class _Flat:
    """Mixed into the structures of a request from version 3 on: the header is a part of the body."""

    _header = b""

    def build_request_header(self, correlation_id: int, client_id: str) -> _NoHeader:
        """See RequestStruct."""
        request: Any = self
        self._header = RequestStruct.build_request_header(request, correlation_id, client_id).encode()
        return _NoHeader()

    def encode(self) -> Framed:
        """The bytes that aiokafka's schema would give."""
        fields: Any = self
        parts = [
            self._header, _text.encode(fields.transactional_id), Int16.encode(fields.required_acks),
            Int32.encode(fields.timeout), Int32.encode(len(fields.topics)),
        ]  # fmt: skip
        for topic, partitions in fields.topics:
            parts += (_text.encode(topic), Int32.encode(len(partitions)))
            for partition, batch in partitions:
                parts += (Int32.encode(partition), Int32.encode(len(batch)))
                parts += (batch.head, batch.records) if isinstance(batch, BuiltBatch) else (batch,)
        return Framed(parts)


class FlatProduceRequest(ProduceRequest):
    """What a SlotProducer sends: with batches of a RecordPacker, or of aiokafka's own `send`."""

    @classmethod
    def of(cls, request: ProduceRequest) -> "FlatProduceRequest":
        """The same request."""
        return cls(request._transactional_id, request._required_acks, request._timeout, request._topics)

    def build(self, request_struct_class: Any) -> Any:
        """See Request. Another layout than that of version 3 is left to aiokafka."""
        if request_struct_class.SCHEMA is ProduceRequest_v3.SCHEMA:
            return super().build(_flat(request_struct_class))
        given: Any = self
        given._topics = [(topic, [(at, bytes(batch)) for at, batch in found]) for topic, found in given._topics]
        return super().build(request_struct_class)


@functools.cache
def _flat(structure: Any) -> Any:
    return type(f"Flat{structure.__name__}", (_Flat, structure), {})
