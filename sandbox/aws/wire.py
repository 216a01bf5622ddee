"""How a service reads and writes its bodies: AWS's JSON protocols, or CBOR as Smithy's rpc-v2 has it.

Source: Smithy specification, "Smithy RPC v2 CBOR protocol".
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import cbor2
import msgspec

RPC_PATH = "/service/"
"""Requests of rpc-v2 name service and operation in the path: `/service/<service>/operation/<operation>`."""
SECONDS = 1  # tag of a time in seconds since 1970


@dataclass(frozen=True, slots=True)
class Json:
    """`content_type` has the version. `read` raises ValueError, here and below."""

    content_type: str
    headers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    def read(self, raw: bytes) -> Any:
        try:
            return msgspec.json.decode(raw)
        except (msgspec.DecodeError, RecursionError):
            raise ValueError("The body is not JSON.") from None

    def write(self, answer: Any) -> bytes:
        return answer if isinstance(answer, bytes) else msgspec.json.encode(answer)


@dataclass(frozen=True, slots=True)
class Cbor:
    """Times are seconds since 1970 inside, as in JSON; `time_of` marks those of an answer."""

    content_type: str = "application/cbor"
    headers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({"smithy-protocol": "rpc-v2-cbor"}))

    def read(self, raw: bytes) -> Any:
        try:
            return cbor2.loads(raw, semantic_decoders={SECONDS: lambda value, _: value})
        except (cbor2.CBORDecodeError, UnicodeDecodeError):
            raise ValueError("The body is not CBOR.") from None

    def write(self, answer: Any) -> bytes:
        return cbor2.dumps({} if answer is None else answer)


def time_of(seconds: float) -> Any:
    """A time in an answer of a `Cbor` service."""
    return cbor2.CBORTag(SECONDS, seconds)


def rpc_target(path: str) -> str | None:
    """`<service>.<operation>`, as X-Amz-Target has it elsewhere; None if the path names none."""
    parts = path.removeprefix(RPC_PATH).split("/")
    return (
        f"{parts[0]}.{parts[2]}" if path.startswith(RPC_PATH) and len(parts) == 3 and parts[1] == "operation" else None
    )
