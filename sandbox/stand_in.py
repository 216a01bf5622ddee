"""The AWS stand-in as a part of the sandbox: a child process, with the stream and the bus the sandbox promises."""

import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from sandbox.aws.control_client import StandInControl
from sandbox.child import GuardedChild, last_lines
from sandbox.ports import LOOPBACK, free_ports
from workers.failures import UnreachableError

REGION = "us-east-1"
CREDENTIAL = "sandbox"  # any value will do: the stand-in listens on loopback only and checks no signature
START_SECONDS = 30.0
STOP_SECONDS = 2.0
POLL_SECONDS = 0.05
PORT_ATTEMPTS = 3


class AwsStandIn:
    """Kinesis, EventBridge and SQS on one loopback port. Its methods block; it forgets everything when it stops."""

    name = "aws"

    def __init__(
        self, directory: Path, *, stream: str, shards: int, bus: str, custom_bus: bool = False, region: str = REGION
    ) -> None:
        """`bus`: its name. `custom_bus`: it is a Custom Event Bus (v2), which the environment names by its ARN."""
        self.directory = directory.absolute()
        self.log = self.directory / "aws.log"
        self._stream, self._shards, self._bus, self._region = stream, shards, bus, region
        self._custom_bus = custom_bus
        self.bus = bus
        """What EVENT_BUS_NAME says once it has started."""
        self._port: int | None = None
        self._child: GuardedChild | None = None

    @property
    def address(self) -> str:
        """Value for `endpoint_url`, once started."""
        if self._port is None:
            raise RuntimeError("the AWS stand-in was never started")
        return f"http://{LOOPBACK}:{self._port}"

    @property
    def pid(self) -> int | None:
        """Process id; None if it does not run."""
        return self._child.pid if self._child is not None and self._child.alive else None

    def environment(self) -> dict[str, str]:
        """What unmodified boto3 needs to find it, and what is there."""
        return {
            "AWS_ENDPOINT_URL": self.address,
            "AWS_REGION": self._region,
            "AWS_DEFAULT_REGION": self._region,  # the only region name boto3 reads
            "AWS_ACCESS_KEY_ID": CREDENTIAL,
            "AWS_SECRET_ACCESS_KEY": CREDENTIAL,
            "KINESIS_STREAM_NAME": self._stream,
            "EVENT_BUS_NAME": self.bus,
        }

    @property
    def control(self) -> StandInControl:
        """Faults, limits, trimming and status of this stand-in."""
        return StandInControl(self.address)

    def client(self, service: str) -> Any:
        """A boto3 client for it, whatever the environment and ~/.aws say."""
        return sandbox_client(service, self.address, self._region)

    def start(self) -> None:
        """Return when it answers and the stream and the bus exist. Raises UnreachableError if it ends instead."""
        if self.pid is not None:
            return
        self.directory.mkdir(parents=True, exist_ok=True)
        ports = [self._port] if self._port is not None else free_ports(PORT_ATTEMPTS)
        for port in ports:
            self._port = port
            if self._run(port):
                self._prepare()
                return
        raise UnreachableError(
            f"the AWS stand-in ended while it started:\n{last_lines(self.log)}", hint=f"see {self.log}"
        )

    def stop(self) -> None:
        """SIGTERM, then SIGKILL after STOP_SECONDS."""
        if self._child is not None:
            self._child.stop(STOP_SECONDS)

    def kill(self) -> None:
        """SIGKILL."""
        if self._child is not None:
            self._child.kill()

    def _run(self, port: int) -> bool:
        command = [sys.executable, "-m", "sandbox.aws", "--port", str(port), "--region", self._region]
        self._child = child = GuardedChild(command, log=self.log)
        deadline = time.monotonic() + START_SECONDS
        while child.alive:
            try:
                socket.create_connection((LOOPBACK, port), timeout=1).close()
            except OSError:
                time.sleep(POLL_SECONDS)
            else:
                return child.alive  # if it ended, whoever took the port answered
            if time.monotonic() > deadline:
                child.kill()
                raise UnreachableError(
                    f"the AWS stand-in did not start within {START_SECONDS:g} s", hint=f"see {self.log}"
                )
        return False

    def _prepare(self) -> None:
        self.bus = prepare(self.client, self._stream, self._shards, self._bus, custom_bus=self._custom_bus)


def prepare(client: Callable[[str], Any], stream: str, shards: int, bus: str, *, custom_bus: bool = False) -> str:
    """Make a stream and a bus, and return what EVENT_BUS_NAME has to say. `client` makes boto3 clients by service."""
    kinesis = client("kinesis")
    kinesis.create_stream(StreamName=stream, ShardCount=shards)
    kinesis.get_waiter("stream_exists").wait(StreamName=stream, WaiterConfig={"Delay": 0.05, "MaxAttempts": 200})
    if custom_bus:
        arn: str = client("eventbridgev2").create_event_bus(Name=bus)["EventBusArn"]
        return arn
    client("events").create_event_bus(Name=bus)
    return bus


def sandbox_client(service: str, endpoint: str, region: str = REGION) -> Any:
    """A boto3 client for a stand-in at `endpoint`, whatever the environment and ~/.aws say."""
    return boto3.client(
        service, endpoint_url=endpoint, region_name=region,
        aws_access_key_id=CREDENTIAL, aws_secret_access_key=CREDENTIAL,
        config=Config(retries={"total_max_attempts": 5}, connect_timeout=5, read_timeout=15),
    )  # fmt: skip
