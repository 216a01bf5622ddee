"""The prepared stream, and the process that sends its pages."""

import contextlib
import json
import os
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.environments import ROOT
from bench.page_server import SHOW
from bench.throughput import PeerFailed
from sandbox.child import GuardedChild, last_lines
from sandbox.ports import LOOPBACK, free_ports

ENCODING_SECONDS = 300.0
POLL_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Stream:
    """A prepared stream: `records` in each of its shards."""

    name: str
    shards: int
    records: int

    @property
    def total(self) -> int:
        """Records of all shards."""
        return self.shards * self.records


class PageServer:
    """`bench/page_server.py` as a child process."""

    def __init__(self, log: Path, streams: tuple[Stream, ...]) -> None:
        [port] = free_ports(1)
        self.url = f"http://{LOOPBACK}:{port}/"
        self._log = log
        words = [f"--stream={stream.name}:{stream.shards}:{stream.records}" for stream in streams]
        self._child = GuardedChild(
            [sys.executable, "-m", "bench.page_server", f"--port={port}", *words],
            log=log, environment=os.environ | {"PYTHONPATH": str(ROOT)},
        )  # fmt: skip

    @property
    def pid(self) -> int:
        """Of the server itself."""
        return self._child.pid

    def wait(self, stream: Stream) -> None:
        """Return when all pages are encoded. Raises PeerFailed."""
        deadline = time.monotonic() + ENCODING_SECONDS
        while True:
            with contextlib.suppress(OSError):
                self.show(stream, 0)
                return
            if not self._child.alive or time.monotonic() > deadline:
                raise PeerFailed(f"the page server does not answer\n{last_lines(self._log)}")
            time.sleep(POLL_SECONDS)

    def show(self, stream: Stream, records: int) -> None:
        """Make so many records of each shard visible: before that, readers find nothing and wait."""
        body = json.dumps({"StreamName": stream.name, "Records": records}).encode()
        with urllib.request.urlopen(urllib.request.Request(self.url, body, {"X-Amz-Target": SHOW}), timeout=5) as done:
            done.read()

    def close(self) -> None:
        """End it."""
        self._child.kill()


@contextlib.contextmanager
def page_server(log: Path, *streams: Stream) -> Iterator[PageServer]:
    """A server of these streams, of which nothing is visible yet. Raises PeerFailed."""
    with contextlib.closing(PageServer(log, streams)) as server:
        for stream in streams:
            server.wait(stream)
        yield server
