"""`cdc worker` as a process of its own, as a user would run it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

STOP_SECONDS = 30


def own_environment(world: dict[str, str], name: str) -> dict[str, str]:
    """The world's environment with a stream, a bus, topics and groups that nobody else uses."""
    return world | {
        "CDC_APP": name,
        "CDC_TOPIC_PREFIX": f"{name}.",
        "KINESIS_STREAM_NAME": f"{name}-stream",
        "EVENT_BUS_NAME": f"{name}-bus",
        "CDC_SESSION_TIMEOUT": "6",
    }


class WorkerProcess:
    """One replica. `directory` holds its log and scratch data."""

    def __init__(self, environment: dict[str, str], directory: Path, name: str, *arguments: str) -> None:
        self.name = name
        self.log = directory / f"{name}.log"
        inherited = {key: value for key, value in os.environ.items() if not key.startswith(("CDC_", "AWS_"))}
        self._environment = inherited | environment | {"CDC_WORKER_NAME": name, "CDC_DATA_DIR": str(directory / name)}
        self._arguments = arguments
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "workers", "worker", *self._arguments],
                env=self._environment, cwd=self._directory, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        """SIGKILL, at whatever instant this is."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """SIGTERM, or another signal; returns the exit code."""
        assert self._process is not None
        self._process.send_signal(number)
        return self._process.wait(STOP_SECONDS)

    def end(self) -> None:
        """Whatever happened before, leave nothing running."""
        if self.running:
            self.kill()
