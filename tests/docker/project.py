"""docker-compose.yml as a project of its own: which images there are, and commands in it."""

import json
import os
import secrets
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from sandbox.ports import free_ports

ROOT = Path(__file__).parents[2]
LOCAL = ("cdc-local/python", "cdc-local/kafka", "cdc-local/postgres", "cdc-local/prometheus")
"""Made by deploy/local-images/build.sh."""
PULLED = ("python:3.13-slim", "redpandadata/redpanda:v24.3.1", "postgres:17-alpine", "prom/prometheus:v3.5.0")
PORTS = ("WORKER_1_PORT", "WORKER_2_PORT", "PROMETHEUS_PORT", "GRAFANA_PORT")


class Unavailable(Exception):
    """Docker does not answer, or images are missing."""


@dataclass(frozen=True, slots=True)
class Project:
    """One run of the file. Its commands raise subprocess.CalledProcessError and TimeoutExpired."""

    name: str
    command: tuple[str, ...]
    """`docker compose` or `docker-compose`."""
    files: tuple[str, ...]
    environment: Mapping[str, str]
    images: str

    @classmethod
    def find(cls) -> Self:
        """With the images that are there. Raises Unavailable."""
        if not _succeeds("docker", "info"):
            raise Unavailable("no Docker daemon answers")
        commands = (("docker", "compose"), ("docker-compose",))
        command = next((found for found in commands if _succeeds(*found, "version")), None)
        if command is None:
            raise Unavailable("docker compose is not installed")
        name = f"cdctest{secrets.token_hex(3)}"
        ports = {port: str(number) for port, number in zip(PORTS, free_ports(len(PORTS)), strict=True)}
        if all(_has(image) for image in PULLED):
            return cls(name, command, ("docker-compose.yml",), ports, "pulled ones")
        if all(_has(image) for image in LOCAL):
            files = ("docker-compose.yml", "deploy/compose/local-images.yml")
            return cls(name, command, files, {**ports, "PYTHON_IMAGE": LOCAL[0]}, "those of deploy/local-images")
        missing = [image for image in PULLED if not _has(image)]
        raise Unavailable(f"`docker pull` {', '.join(missing)}, or run deploy/local-images/build.sh")

    def compose(
        self, *arguments: str, seconds: float = 120.0, check: bool = True, environment: Mapping[str, str] | None = None
    ) -> str:
        """A command of compose; its output."""
        files = [part for file in self.files for part in ("-f", file)]
        return self._run(
            [*self.command, "-p", self.name, *files, *arguments],
            seconds,
            check,
            {**self.environment, **(environment or {})},
        )

    def docker(self, *arguments: str, seconds: float = 60.0, check: bool = True) -> str:
        """A command of docker; its output."""
        return self._run(["docker", *arguments], seconds, check, {})

    def python(self, service: str, code: str, *, check: bool = True) -> str:
        """What a piece of Python prints inside a container."""
        return self.docker("exec", self.container(service), "python", "-c", code, check=check)

    def container(self, service: str) -> str:
        """Id of a service's container."""
        return self.compose("ps", "--all", "--quiet", service).split()[0]

    def state(self, service: str) -> dict[str, Any]:
        """As `docker inspect` tells it."""
        found: dict[str, Any] = json.loads(self.docker("inspect", self.container(service)))[0]["State"]
        return found

    def health(self, service: str) -> str:
        """starting, healthy or unhealthy; empty without a probe."""
        return str(self.state(service).get("Health", {}).get("Status", ""))

    @staticmethod
    def _run(command: Sequence[str], seconds: float, check: bool, environment: Mapping[str, str]) -> str:
        done = subprocess.run(
            command, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, timeout=seconds,
            check=False,
        )  # fmt: skip
        if check and done.returncode != 0:
            raise subprocess.SubprocessError(
                f"`{' '.join(command[:6])} …` ended with {done.returncode}: {done.stderr[-1500:]}"
            )
        return done.stdout


def _has(image: str) -> bool:
    return _succeeds("docker", "image", "inspect", image)


def _succeeds(*command: str) -> bool:
    try:
        return subprocess.run(command, capture_output=True, timeout=20, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False
