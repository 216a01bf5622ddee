"""A bus for benchmarks: takes PutEvents in a process of its own, answers from prepared bytes, and keeps a ledger.

`python -m bench.bus_server --port 4567`. It checks no signature and knows no rule. `Bench.Reset` begins a new ledger
and sets the latency; `Bench.Ledger` tells what came.
"""

import argparse
import asyncio
import re
import time
from typing import Any

import msgspec

from bench.publish_events import ENTITIES
from sandbox.ports import LOOPBACK

RESET, LEDGER = "Bench.Reset", "Bench.Ledger"
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_TARGET = re.compile(rb"\r\nx-amz-target: *([\w.]+)", re.IGNORECASE)
_EVENT = re.compile(rb'entityId\\":\\"(\d+)\\",\\"entityType\\":\\"users\\",\\"eventId\\":\\"evt_\d+_([0-9a-f]{20})')
MOST_ENTRIES = 10


def _http(body: bytes) -> bytes:
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/x-amz-json-1.1\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def _accepted(entries: int) -> bytes:
    results = [{"EventId": "00000000-0000-0000-0000-000000000000"}] * entries
    return _http(msgspec.json.encode({"FailedEntryCount": 0, "Entries": results}))


ANSWERS = [_accepted(entries) for entries in range(MOST_ENTRIES + 1)]


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

    def take(self, body: bytes) -> int:
        """Count the entries of a request; how many they are."""
        found = _EVENT.findall(body)
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
            target = _TARGET.search(head)
            self._answer(target[1].decode() if target else "", body)

    def _answer(self, target: str, body: bytes) -> None:
        if target == RESET:
            Connection.ledger = Ledger(**msgspec.json.decode(body))
            self._transport.write(_http(b"{}"))
        elif target == LEDGER:
            self._transport.write(_http(msgspec.json.encode(self.ledger.told())))
        elif not self.ledger.stalled:
            answer = ANSWERS[self.ledger.take(body)]
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
