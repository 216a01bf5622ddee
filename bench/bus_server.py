"""A bus for benchmarks: takes PutEvents of both generations in a process of its own, answers from prepared bytes, and
keeps a ledger.

`python -m bench.bus_server --port 4567`. It checks no signature and knows no rule. `Bench.Reset` begins a new ledger
and sets the latency; `Bench.Ledger` tells what came.
"""

import argparse
import asyncio
import re
import time
from typing import Any

import cbor2
import msgspec

from bench.publish_events import ENTITIES
from sandbox.ports import LOOPBACK

RESET, LEDGER = "Bench.Reset", "Bench.Ledger"
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_TARGET = re.compile(rb"\r\nx-amz-target: *([\w.]+)", re.IGNORECASE)
_CUSTOM = re.compile(rb"POST /service/AWSEventsV2/operation/(\w+) ")
_EVENT = re.compile(rb'entityId\\":\\"(\d+)\\",\\"entityType\\":\\"users\\",\\"eventId\\":\\"evt_\d+_([0-9a-f]{20})')
_CUSTOM_EVENT = re.compile(rb'entityId":"(\d+)","entityType":"users","eventId":"evt_\d+_([0-9a-f]{20})')
PUT_EVENTS = "AWSEvents.PutEvents"
MOST_ENTRIES, MOST_CUSTOM_ENTRIES = 10, 100
_EVENT_ID = {"EventId": "00000000-0000-0000-0000-000000000000"}
_CUSTOM_RESULT = _EVENT_ID | {"SequenceNumber": "0" * 39, "SuccessCode": "PUBLISHED"}


def _http(body: bytes, head: str = "Content-Type: application/x-amz-json-1.1") -> bytes:
    return f"HTTP/1.1 200 OK\r\n{head}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def _cbor(body: dict[str, Any]) -> bytes:
    return _http(cbor2.dumps(body), "smithy-protocol: rpc-v2-cbor\r\nContent-Type: application/cbor")


def _accepted(entries: int, result: dict[str, str]) -> dict[str, Any]:
    return {"FailedEntryCount": 0, "Entries": [result] * entries}


ANSWERS = [_http(msgspec.json.encode(_accepted(entries, _EVENT_ID))) for entries in range(MOST_ENTRIES + 1)]
CUSTOM_ANSWERS = [_cbor(_accepted(entries, _CUSTOM_RESULT)) for entries in range(MOST_CUSTOM_ENTRIES + 1)]
LOOKED_AT = _http(b'{"Rules":[]}')
"""For whoever asks whether the bus is there."""
CUSTOM_LOOKED_AT = _cbor({})


class Ledger:
    """What came since the last reset."""

    def __init__(self, records: int = 0, latency: float = 0.0, stalled: bool = False) -> None:
        self.latency = latency
        self.stalled = stalled
        """Nothing is answered any more."""
        self.seen = bytearray(records)
        self.newest: dict[bytes, int] = {}
        self.requests = self.entries = self.again = self.reordered = 0
        self.first = self.last = 0.0

    def take(self, found: list[tuple[bytes, bytes]]) -> int:
        """Count the entries of a request, (entity, number) each; how many they are."""
        self.last = time.time()
        self.first = self.first or self.last
        self.requests += 1
        self.entries += len(found)
        for entity, text in found:
            number = int(text, 16)
            if self.seen[number]:
                self.again += 1
                continue
            self.seen[number] = 1
            if self.newest.get(entity, -1) > number:
                self.reordered += 1
            else:
                self.newest[entity] = number
        return len(found)

    def told(self) -> dict[str, Any]:
        """For who asks."""
        return {
            "requests": self.requests, "entries": self.entries, "distinct": self.seen.count(1), "again": self.again,
            "reordered": self.reordered, "first": self.first, "last": self.last,
        }  # fmt: skip


class Connection(asyncio.Protocol):
    """One client's."""

    ledger = Ledger(ENTITIES)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It begins."""
        self._transport: Any = transport
        self._received = b""

    def data_received(self, data: bytes) -> None:
        """Answer every request that is whole."""
        self._received += data
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            head = self._received[: end + 2]
            length = _LENGTH.search(head)
            whole = end + 4 + (int(length[1]) if length else 0)
            if len(self._received) < whole:
                return
            body, self._received = self._received[end + 4 : whole], self._received[whole:]
            if custom := _CUSTOM.match(head):
                self._answer_custom(custom[1], body)
            else:
                target = _TARGET.search(head)
                self._answer(target[1].decode() if target else "", body)

    def _answer(self, target: str, body: bytes) -> None:
        if target == PUT_EVENTS:
            self._put(_EVENT.findall(body), ANSWERS)
        elif target == RESET:
            Connection.ledger = Ledger(**msgspec.json.decode(body))
            self._transport.write(_http(b"{}"))
        elif target == LEDGER:
            self._transport.write(_http(msgspec.json.encode(self.ledger.told())))
        else:
            self._transport.write(LOOKED_AT)

    def _answer_custom(self, operation: bytes, body: bytes) -> None:
        if operation == b"PutEvents":
            self._put(_CUSTOM_EVENT.findall(body), CUSTOM_ANSWERS)
        else:
            self._transport.write(CUSTOM_LOOKED_AT)

    def _put(self, found: list[tuple[bytes, bytes]], answers: list[bytes]) -> None:
        if not self.ledger.stalled:
            answer = answers[self.ledger.take(found)]
            if self.ledger.latency:
                asyncio.get_running_loop().call_later(self.ledger.latency, self._transport.write, answer)
            else:
                self._transport.write(answer)


async def serve(port: int) -> None:
    """Until the process is ended."""
    server = await asyncio.get_running_loop().create_server(Connection, LOOPBACK, port, backlog=256)
    await server.serve_forever()


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, required=True)
    asyncio.run(serve(parser.parse_args().port))


if __name__ == "__main__":
    main()
