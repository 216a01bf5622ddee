"""A Kafka in a container, for tests over another broker than the embedded one. Needs Docker and testcontainers."""

import os
import subprocess
import time
from pathlib import Path
from typing import Any

from sandbox.kafka.broker import lists_a_broker
from sandbox.ports import LOOPBACK, free_ports
from workers.failures import UnreachableError

BROKER, IMAGE = "TEST_BROKER", "TEST_BROKER_IMAGE"
"""Environment names: `embedded`, `container` or `auto` (the default); and which image."""
REDPANDA = "redpandadata/redpanda:v24.3.1"
START_SECONDS = 120.0
POLL_SECONDS = 0.1
INSIDE = 9092


class ContainerBroker:
    """One node on a port of loopback: Redpanda, or any image that reads ADVERTISED (deploy/local-images/kafka). Its
    methods block."""

    name = "kafka"

    def __init__(self, directory: Path, image: str = REDPANDA) -> None:
        self.log = directory / "kafka.log"
        self._image = image
        self._port: int | None = None
        self._container: Any = None

    @property
    def bootstrap(self) -> str:
        """`host:port`, once started."""
        if self._port is None:
            raise RuntimeError("Kafka was never started")
        return f"{LOOPBACK}:{self._port}"

    address = bootstrap

    @property
    def pid(self) -> int | None:
        """Process id of the broker on this machine; None if it does not run."""
        if self._container is None:
            return None
        state = self._container.get_wrapped_container()
        state.reload()
        found = state.attrs["State"].get("Pid")
        return found if isinstance(found, int) and found else None

    def environment(self) -> dict[str, str]:
        """What a client needs to find it."""
        return {"KAFKA_BOOTSTRAP_SERVERS": self.bootstrap}

    def start(self) -> None:
        """Return when Kafka answers requests. Raises UnreachableError if it does not in time."""
        from testcontainers.core.config import testcontainers_config
        from testcontainers.core.container import DockerContainer

        [self._port] = free_ports(1)
        container = DockerContainer(self._image).with_bind_ports(INSIDE, self._port)
        container = container.with_env("ADVERTISED", self.bootstrap)
        if "redpanda" in self._image:
            container = container.with_command(
                f"redpanda start --mode=dev-container --smp=1 --memory=1G --kafka-addr=outside://0.0.0.0:{INSIDE} "
                f"--advertise-kafka-addr=outside://{self.bootstrap}"
            )
        # What removes the container if this process is killed is an image of its own, and nothing is pulled unasked.
        testcontainers_config.ryuk_disabled = not _is_there(testcontainers_config.ryuk_image)
        self._container = container.start()
        deadline = time.monotonic() + START_SECONDS
        while not lists_a_broker(self._port):
            if time.monotonic() > deadline or self.pid is None:
                self.log.parent.mkdir(parents=True, exist_ok=True)
                self.log.write_bytes(b"".join(container.get_logs()))
                self.kill()
                raise UnreachableError(f"the container of {self._image} does not answer", hint=f"see {self.log}")
            time.sleep(POLL_SECONDS)

    def stop(self) -> None:
        """End it and remove the container with its data."""
        if self._container is not None:
            container, self._container = self._container, None
            container.stop()

    kill = stop


def wanted_image() -> str | None:
    """The image to test over, as the environment says; None for the embedded broker. `auto` takes the container if
    Docker answers and has the image: nothing is pulled unasked. Raises ValueError for another word."""
    image = os.environ.get(IMAGE) or REDPANDA
    match os.environ.get(BROKER) or "auto":
        case "embedded":
            return None
        case "container":
            return image
        case "auto":
            return image if _is_there(image) else None
        case other:
            raise ValueError(f"{BROKER}={other}: write embedded, container or auto")


def _is_there(image: str) -> bool:
    try:
        done = subprocess.run(["docker", "image", "inspect", image], capture_output=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
