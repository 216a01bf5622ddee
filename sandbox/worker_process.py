"""A `cdc worker` as a child process in a world: its own environment, directory and log, gone when we are gone."""

import http.client
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from sandbox.child import GuardedChild, last_lines
from sandbox.ports import LOOPBACK, free_ports
from workers.failures import UnreachableError

ROOT = Path(__file__).parents[1]
READY_SECONDS = 60.0
POLL_SECONDS = 0.1
FOREIGN = ("CDC_", "AWS_", "KAFKA_", "KINESIS_", "EVENT_", "DATABASE_", "DLQ_", "ALERT_")
"""Settings of whoever started us: a worker in a world of its own must not see them."""


class WorkerProcess:
    """One worker with all stages. `environment` is that of the world it works in."""

    def __init__(self, directory: Path, environment: dict[str, str]) -> None:
        self.directory = directory.absolute()
        self.log = self.directory / "worker.log"
        self._environment = environment
        self._port = 0
        self._child: GuardedChild | None = None

    @property
    def address(self) -> str:
        """URL of its web views, once started."""
        return f"http://{LOOPBACK}:{self._port}/"

    @property
    def alive(self) -> bool:
        """True while it runs."""
        return self._child is not None and self._child.alive

    def start(self) -> None:
        """Start it; `wait_until_ready` says when it works."""
        self.directory.mkdir(parents=True, exist_ok=True)
        [self._port] = free_ports(1)
        foreign = {name for name in os.environ if name.startswith(FOREIGN)}
        ours = {name: value for name, value in os.environ.items() if name not in foreign}
        path = os.pathsep.join(part for part in (str(ROOT), os.environ.get("PYTHONPATH", "")) if part)
        environment = ours | self._environment | {
            "CDC_WEB_PORT": str(self._port),
            "CDC_DATA_DIR": str(self.directory / "data"),
            "PYTHONPATH": path,
        }  # fmt: skip
        # In a directory of its own: a `.env` where we were started is not for this worker.
        command = ["sh", "-c", 'cd "$0" && exec "$@"', str(self.directory), sys.executable, "-m", "workers", "worker"]
        self._child = GuardedChild(command, log=self.log, environment=environment)

    def wait_until_ready(self, check: Callable[[], None] = lambda: None) -> None:
        """Return when every stage works. Raises UnreachableError if it ends or takes too long."""
        deadline = time.monotonic() + READY_SECONDS
        while self.get("ready") is None or not all((self.get("ready") or {"": False}).values()):
            check()
            if not self.alive:
                raise UnreachableError(f"the worker ended while it started:\n{last_lines(self.log)}")
            if time.monotonic() > deadline:
                raise UnreachableError(f"the worker was not ready within {READY_SECONDS:g} s:\n{last_lines(self.log)}")
            time.sleep(POLL_SECONDS)

    def get(self, page: str = "") -> dict[str, Any] | None:
        """A page of its web views as JSON; None if it does not answer."""
        connection = http.client.HTTPConnection(LOOPBACK, self._port, timeout=2)
        try:
            connection.request("GET", f"/{page}")
            found = json.loads(connection.getresponse().read())
        except (OSError, ValueError, http.client.HTTPException):
            return None
        finally:
            connection.close()
        return found if isinstance(found, dict) else None

    def outside(self) -> Iterator[tuple[str, str]]:
        """What anybody may see of it: (what it is, its text)."""
        yield "the worker's log", self.log.read_text(encoding="utf-8", errors="replace")
        yield "the worker's web views", str(self.get())

    def stop(self, grace: float) -> None:
        """SIGTERM, and SIGKILL after `grace` seconds; 0 kills at once."""
        if self._child is None:
            return
        if grace > 0:
            self._child.stop(grace)
        else:
            self._child.kill()
