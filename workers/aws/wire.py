"""How requests of a service are written and its failures are read: AWS's JSON 1.1, or CBOR as Smithy's rpc-v2 has it.

Source: Smithy specification, "AWS JSON 1.1 protocol" and "Smithy RPC v2 CBOR protocol".
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

import cbor2
import msgspec


class IWire(Protocol):
    """One protocol of one service. Bodies are the caller's; `arguments` and `answer` translate them for boto3."""

    def path(self, operation: str) -> str:
        """Path of the request's URL."""

    def headers(self, operation: str) -> dict[str, str]:
        """Headers that say what is asked for, names in lower case."""

    def failure(self, answer: bytes) -> tuple[str, str]:
        """Code and message of an answer other than 200; empty where it has none. Never raises."""

    def arguments(self, request: bytes) -> dict[str, Any]:
        """A request as boto3 takes it."""

    def answer(self, found: dict[str, Any]) -> bytes:
        """boto3's answer as the service would have sent it."""


class _Failure(msgspec.Struct):
    type: str = msgspec.field(name="__type", default="")
    message: str = ""
    Message: str = ""


@dataclass(frozen=True, slots=True)
class JsonWire:
    """`target`: prefix of X-Amz-Target."""

    target: str

    def path(self, operation: str) -> str:
        """See IWire."""
        return "/"

    def headers(self, operation: str) -> dict[str, str]:
        """See IWire."""
        return {"content-type": "application/x-amz-json-1.1", "x-amz-target": f"{self.target}.{operation}"}

    def failure(self, answer: bytes) -> tuple[str, str]:
        """See IWire."""
        try:
            found = msgspec.json.decode(answer, type=_Failure)
        except msgspec.MsgspecError:
            return "", ""
        return found.type, found.message or found.Message

    def arguments(self, request: bytes) -> dict[str, Any]:
        """See IWire."""
        found: dict[str, Any] = msgspec.json.decode(request)
        return found

    def answer(self, found: dict[str, Any]) -> bytes:
        """See IWire."""
        return msgspec.json.encode(_plain(found))


@dataclass(frozen=True, slots=True)
class CborWire:
    """`service`: its name in the path."""

    service: str

    def path(self, operation: str) -> str:
        """See IWire."""
        return f"/service/{self.service}/operation/{operation}"

    def headers(self, operation: str) -> dict[str, str]:
        """See IWire."""
        return {"smithy-protocol": "rpc-v2-cbor", "accept": "application/cbor", "content-type": "application/cbor"}

    def failure(self, answer: bytes) -> tuple[str, str]:
        """See IWire."""
        try:
            found = msgspec.convert(read_cbor(answer), _Failure)
        except (ValueError, msgspec.ValidationError):
            return "", ""
        return found.type, found.message or found.Message

    def arguments(self, request: bytes) -> dict[str, Any]:
        """See IWire."""
        found: dict[str, Any] = read_cbor(request)
        return found

    def answer(self, found: dict[str, Any]) -> bytes:
        """See IWire."""
        return cbor2.dumps(_plain(found))


def read_cbor(data: bytes) -> Any:
    """Times are datetimes. Raises ValueError, without a word of what is in it (P6)."""
    try:
        return cbor2.loads(data)
    except Exception:  # noqa: BLE001  whatever an odd tag or a cut-off text makes of the decoder
        raise ValueError("the body is not CBOR") from None


def _plain(value: Any) -> Any:
    """boto3's answer with times as the wire has them: seconds since the epoch."""
    match value:
        case datetime():
            return value.timestamp()
        case dict():
            return {name: _plain(found) for name, found in value.items()}
        case list():
            return [_plain(found) for found in value]
        case _:
            return value
