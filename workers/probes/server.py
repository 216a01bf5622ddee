"""`/livez`, `/readyz` and `/metrics` on a port of their own, answered by a thread: it answers while the event loop does
not run, and that is what it is for."""

import errno
import json
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from workers.failures import ConfigurationError

TIMEOUT = 5.0
"""Seconds a client has for its request."""
MOST_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Told:
    """One answer."""

    status: int
    body: bytes
    content_type: str = "application/json"

    @staticmethod
    def document(document: dict[str, Any], *, well: bool) -> "Told":
        """200 or 503 with a JSON document."""
        return Told(200 if well else 503, json.dumps(document).encode() + b"\n")


Answers = dict[str, Callable[[str], Told]]
"""What answers a path; it is called in a thread, with the Accept header."""


class ProbeServer(ThreadingHTTPServer):
    """Listens from the moment it is made, so that a busy port is an error of the start."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 32

    def __init__(self, bind: str, port: int, answers: Answers) -> None:
        self.address_family = socket.AF_INET6 if ":" in bind else socket.AF_INET
        self.answers = answers
        self._room = threading.Semaphore(MOST_AT_ONCE)
        try:
            super().__init__((bind, port), ProbeHandler)
        except OSError as error:
            if error.errno not in (errno.EADDRINUSE, errno.EACCES, errno.EADDRNOTAVAIL):
                raise
            raise ConfigurationError(
                f"CDC_HEALTH_PORT {port} of {bind} cannot be listened on: {error.strerror}",
                hint="set CDC_HEALTH_PORT to another one, or unset it",
            ) from None

    def serve_in_background(self) -> None:
        """Until `server_close`."""
        threading.Thread(target=self.serve_forever, args=(0.5,), name="probes", daemon=True).start()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Whoever opens more connections than probes need gets none."""
        if not self._room.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """See ThreadingMixIn."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is nobody's business."""


class ProbeHandler(BaseHTTPRequestHandler):
    """GET of a known path, and nothing else."""

    server_version = "cdc"
    sys_version = ""
    timeout = TIMEOUT
    server: ProbeServer

    def do_GET(self) -> None:
        """Answer."""
        answer = self.server.answers.get(self.path.partition("?")[0])
        if answer is None:
            told = Told(404, b'{"error": "there are /livez, /readyz and /metrics"}\n')
        else:
            told = answer(self.headers.get("Accept", ""))
        self.send_response(told.status)
        for name, value in (
            ("Content-Type", told.content_type),
            ("Content-Length", str(len(told.body))),
            ("Cache-Control", "no-store"),
            ("X-Content-Type-Options", "nosniff"),
        ):
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(told.body)

    do_HEAD = do_GET  # noqa: N815

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  http.server's name
        """Probes come every few seconds."""
