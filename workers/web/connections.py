"""How many connections the web server has, and how long one may say nothing: a worker that has no file descriptors left
because somebody opens connections stops the pipeline (P7). Probes have a port of their own."""

import asyncio
import logging
import socket
import ssl
from dataclasses import dataclass, field

from aiohttp import web

log = logging.getLogger("cdc.web")

MOST = 256
HEAD_SECONDS = 10.0
"""For the handshake, and again for all headers of the first request."""
KEEP_SECONDS = 75.0
"""From one request to the end of the next one's headers."""


class WithoutTexts(logging.Filter):
    """Of what aiohttp logs: where an exception is from and of which type. Its text quotes what was sent, which may be a
    token with a wrong character behind it (P6)."""

    def filter(self, record: logging.LogRecord) -> bool:
        """See logging.Filter."""
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            record.msg, record.args = f"{record.getMessage()}: {type(error).__name__}", ()
            record.exc_info = record.exc_text = None
        return True


http_log = logging.getLogger("cdc.web.http")
http_log.addFilter(WithoutTexts())


class Closed(asyncio.Protocol):
    """A connection that is one too many."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Hang up."""
        if isinstance(transport, asyncio.Transport):
            transport.abort()


@dataclass(slots=True)
class Door:
    """Makes the protocol of each connection."""

    server: web.Server
    head_seconds: float = HEAD_SECONDS
    most: int = MOST
    _silent: dict[asyncio.BaseProtocol, asyncio.TimerHandle] = field(default_factory=dict)
    """Connections that have not asked for anything yet, with what ends them."""
    _full: bool = False

    def __call__(self) -> asyncio.Protocol:
        full = len(self.server.connections) >= self.most
        if full and not self._full:
            log.warning("%d connections are open: no more are let in until one ends", self.most)
        self._full = full
        if full:
            return Closed()
        made = self.server()
        self._silent[made] = asyncio.get_running_loop().call_later(self.head_seconds, self._end, made)
        return made

    def heard(self, protocol: asyncio.BaseProtocol) -> None:
        """Of a request that has come."""
        if (timer := self._silent.pop(protocol, None)) is not None:
            timer.cancel()

    def _end(self, made: web.RequestHandler) -> None:
        del self._silent[made]
        if isinstance(made.transport, asyncio.Transport):
            made.transport.abort()


class BoundedSite(web.BaseSite):
    """Answers on a socket that listens already, behind a door. The runner is set up already."""

    __slots__ = ("_listening", "door")

    def __init__(self, runner: web.AppRunner, listening: socket.socket, *, tls: ssl.SSLContext | None) -> None:
        super().__init__(runner, ssl_context=tls)
        self._listening = listening
        if runner.server is None:
            raise RuntimeError("the runner is not set up")
        self.door = Door(runner.server)

    @property
    def name(self) -> str:
        """Where it listens."""
        return "{}:{}".format(*self._listening.getsockname()[:2])

    async def start(self) -> None:
        """Raises OSError."""
        await super().start()
        self._server = await asyncio.get_running_loop().create_server(
            self.door, sock=self._listening, ssl=self._ssl_context,
            ssl_handshake_timeout=HEAD_SECONDS if self._ssl_context else None,
        )  # fmt: skip
