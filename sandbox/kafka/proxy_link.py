"""One client's connection through the proxy, and the broker's end of it."""

import asyncio
import contextlib
import logging
import socket
import struct
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from sandbox.kafka.faults import Fault
from sandbox.kafka.frames import HEAD_BYTES, Request, refusal, with_error

log = logging.getLogger(__name__)

CHUNK = 1 << 16
"""Bytes of a frame in memory at a time, unless a fault has to see all of it."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A request that has no answer yet."""

    request: Request
    fault: Fault | None
    answer: bytes | None = None
    """A whole frame, where the proxy answers in the broker's place."""


class Passing(Protocol):
    """What a link needs of its proxy (`sandbox/kafka/proxy.py`)."""

    target: tuple[str, int]
    clock: Callable[[], float]
    answers: Counter[str]

    def arrived(self, request: Request) -> Fault | None:
        """Count a request, and say which fault hits it."""

    def note(self, request: Request, fault: Fault) -> None:
        """A fault really happened."""

    async def hold_back(self, request: Request, fault: Fault) -> None:
        """Wait until a delayed frame may go on."""

    async def pass_on(self, way: str) -> None:
        """Latency, then a black hole."""


class Link:
    """Moves frames in both directions. Kafka answers the requests of a connection in their order."""

    def __init__(
        self, proxy: Passing, number: int, client: asyncio.StreamReader, to_client: asyncio.StreamWriter
    ) -> None:
        self.proxy = proxy
        self.number = number
        self.held = False
        """Half-open: a frame was dropped, and whatever comes from now on is dropped too."""
        self._client, self._to_client = client, to_client
        self._to_broker: asyncio.StreamWriter | None = None
        self._waiting: deque[Waiting] = deque()

    async def run(self) -> None:
        """Until one side leaves."""
        try:
            await self.proxy.pass_on("upstream")
            broker, self._to_broker = await asyncio.open_connection(*self.proxy.target)
        except OSError:
            reset(self._to_client)
            return
        ways = [asyncio.ensure_future(self._requests(self._to_broker)), asyncio.ensure_future(self._answers(broker))]
        try:
            done, _ = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in done:
                if isinstance(error := way.exception(), ValueError):
                    log.warning("connection %s: %s", self.number, error)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            self._to_client.close()
            self._to_broker.close()

    def reset(self) -> None:
        """RST to both sides."""
        reset(self._to_client)
        if self._to_broker is not None:
            reset(self._to_broker)

    async def _requests(self, to_broker: asyncio.StreamWriter) -> None:
        proxy, client = self.proxy, self._client
        while True:
            prefix = await client.readexactly(4)
            size = int.from_bytes(prefix, "big")
            head = await client.readexactly(min(size, HEAD_BYTES))
            request = Request.read(head, time=proxy.clock(), connection=self.number)
            fault = proxy.arrived(request)
            await proxy.pass_on("upstream")
            rest = size - len(head)
            if self.held:
                await _copy(client, rest, None)
            elif fault is None or await self._goes_on(request, fault, prefix + head, rest):
                if request.answered:
                    self._waiting.append(Waiting(request, fault))
                to_broker.write(prefix + head)
                await _copy(client, rest, to_broker)

    async def _goes_on(self, request: Request, fault: Fault, start: bytes, rest: int) -> bool:
        """Apply the fault's part on the way upstream; whether the request is still to be sent. `start`: what was read
        of its frame."""
        match fault.action:
            case "drop_request" | "disconnect":
                await _copy(self._client, rest, None)
                self._lose(request, fault)
                return False
            case "error" if not fault.reaches_broker:
                body = request.body + await self._client.readexactly(rest)
                answer = refusal(request.api, body, fault.error_code)
                self._waiting.append(Waiting(request, fault, _frame(request.correlation_id, answer)))
                self._answer_ourselves()
                return False
            case "delay":
                await self.proxy.hold_back(request, fault)
                return True
            case "late_request" if self._to_broker is not None:
                frame = start + await self._client.readexactly(rest)
                reset(self._to_client)
                await self.proxy.hold_back(request, fault)
                self._waiting.append(Waiting(request, None))
                self._to_broker.write(frame)
                while self._waiting:  # the broker drops what it has not read when its client leaves
                    await asyncio.sleep(0.01)
                return False
            case _:
                return True

    async def _answers(self, broker: asyncio.StreamReader) -> None:
        proxy, to_client = self.proxy, self._to_client
        while True:
            prefix = await broker.readexactly(8)
            size, correlation_id = struct.unpack(">ii", prefix)
            waiting = self._waiting_for(correlation_id)
            if waiting:
                proxy.answers[waiting.request.api] += 1
            await proxy.pass_on("downstream")
            rest = size - 4
            match waiting.fault if waiting else None:
                case _ if self.held:
                    await _copy(broker, rest, None)
                case Fault(action="drop_response") as fault if waiting:
                    await _copy(broker, rest, None)
                    self._lose(waiting.request, fault)
                case Fault(action="error") as fault if waiting:
                    body = with_error(waiting.request.api, await broker.readexactly(rest), fault.error_code)
                    proxy.note(waiting.request, fault)
                    to_client.write(_frame(correlation_id, body))
                    await to_client.drain()
                case fault:
                    if waiting and fault and fault.action == "delay_response":
                        await proxy.hold_back(waiting.request, fault)
                    to_client.write(prefix)
                    await _copy(broker, rest, to_client)
            if waiting:
                self._waiting.popleft()
            self._answer_ourselves()

    def _lose(self, request: Request, fault: Fault) -> None:
        """Bytes were dropped: the connection is of no use any more."""
        self.proxy.note(request, fault)
        self.held = fault.action != "disconnect" and fault.then == "hold"
        if not self.held:
            self.reset()

    def _waiting_for(self, correlation_id: int) -> Waiting | None:
        """The request that an answer belongs to; it stays at the head of the queue until the answer is written."""
        waiting = self._waiting
        if not any(one.request.correlation_id == correlation_id for one in waiting):
            return None
        while waiting[0].request.correlation_id != correlation_id:
            waiting.popleft()
        return waiting[0]

    def _answer_ourselves(self) -> None:
        """Answer in the broker's place, once everything that was asked before has its answer."""
        while self._waiting and (answer := self._waiting[0].answer) is not None and not self.held:
            one = self._waiting.popleft()
            if one.fault is not None:
                self.proxy.note(one.request, one.fault)
            self._to_client.write(answer)


async def _copy(source: asyncio.StreamReader, size: int, target: asyncio.StreamWriter | None) -> None:
    """Pass `size` bytes on as they come; to nobody, if there is no target."""
    while size > 0:
        chunk = await source.read(min(size, CHUNK))
        if not chunk:
            raise asyncio.IncompleteReadError(b"", size)
        size -= len(chunk)
        if target is not None:
            target.write(chunk)
            await target.drain()


def _frame(correlation_id: int, body: bytes) -> bytes:
    return struct.pack(">ii", 4 + len(body), correlation_id) + body


def reset(writer: asyncio.StreamWriter) -> None:
    """Close with RST instead of FIN: what was not sent yet is lost, as with a cable that is cut."""
    connection = writer.get_extra_info("socket")
    with contextlib.suppress(OSError, AttributeError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
