"""aiokafka's ProduceRequest, whose batches are copied once on their way out, not once for each level of its schema."""

import functools
from typing import Any

from aiokafka.protocol.api import RequestStruct
from aiokafka.protocol.produce import ProduceRequest, ProduceRequest_v3
from aiokafka.protocol.types import Int16, Int32, String

_text = String("utf-8")


class _NoHeader:
    def encode(self) -> bytes:
        return b""


class _Flat:
    """Mixed into the structures of a request from version 3 on. The header goes in front of the body here: a connection
    would copy both to join them."""

    _header = b""

    def build_request_header(self, correlation_id: int, client_id: str) -> _NoHeader:
        """See RequestStruct."""
        request: Any = self
        self._header = RequestStruct.build_request_header(request, correlation_id, client_id).encode()
        return _NoHeader()

    def encode(self) -> bytes:
        """The bytes that aiokafka's schema would give."""
        fields: Any = self
        parts = [
            self._header, _text.encode(fields.transactional_id), Int16.encode(fields.required_acks),
            Int32.encode(fields.timeout), Int32.encode(len(fields.topics)),
        ]  # fmt: skip
        for topic, partitions in fields.topics:
            parts += (_text.encode(topic), Int32.encode(len(partitions)))
            for partition, batch in partitions:
                parts += (Int32.encode(partition), Int32.encode(len(batch)), batch)
        return b"".join(parts)


class FlatProduceRequest(ProduceRequest):
    """What a SlotProducer sends."""

    @classmethod
    def of(cls, request: ProduceRequest) -> "FlatProduceRequest":
        """The same request."""
        return cls(request._transactional_id, request._required_acks, request._timeout, request._topics)

    def build(self, request_struct_class: Any) -> Any:
        """See Request. Another layout than that of version 3 is left to aiokafka."""
        if request_struct_class.SCHEMA is ProduceRequest_v3.SCHEMA:
            request_struct_class = _flat(request_struct_class)
        return super().build(request_struct_class)


@functools.cache
def _flat(structure: Any) -> Any:
    return type(f"Flat{structure.__name__}", (_Flat, structure), {})
