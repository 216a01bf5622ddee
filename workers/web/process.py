"""What does not change while this process lives."""

import platform
import time
from dataclasses import dataclass
from importlib import metadata


@dataclass(frozen=True, slots=True)
class Process:
    """Of this worker."""

    started_ms: int
    """Milliseconds since the epoch."""
    version: str
    python: str


PROCESS = Process(time.time_ns() // 1_000_000, metadata.version("cdc-worker"), platform.python_version())
