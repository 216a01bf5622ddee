"""One Apache Kafka node (KRaft, broker and controller in one) as a child process, for tests and the sandbox."""

import base64
import contextlib
import json
import signal
import socket
import struct
import subprocess
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sandbox.child import GuardedChild, last_lines
from sandbox.kafka import distribution
from sandbox.kafka.java import Java, find_java
from sandbox.ports import LOOPBACK, free_ports
from workers.failures import CommandError, UnreachableError

START_SECONDS = 60.0
POLL_SECONDS = 0.05
STOP_SECONDS = 3.0
PORT_ATTEMPTS = 3
NODE_ID = 1
# Kafka answers Metadata before it would list itself; a broker that lists itself takes requests.
METADATA_KEY, METADATA_VERSION = 3, 1
SMALL_JVM = (
    "-Xms256m", "-Xmx512m", "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",  # half the start time; a sandbox never runs long enough to earn the second compiler back
)  # fmt: skip
KAFKA_JVM = (
    "-server", "-Xms1g", "-Xmx1g", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20", "-XX:InitiatingHeapOccupancyPercent=35",
    "-XX:+ExplicitGCInvokesConcurrent", "-XX:MaxInlineLevel=15",
)  # fmt: skip
"""What `kafka-server-start.sh` and `kafka-run-class.sh` of Kafka 4.1 set: for measurements. The small one stops the
broker for 20 to 55 ms every two seconds at 500 records/s (measured)."""
JVM = (
    "-Djava.awt.headless=true", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.showDateTime=true", "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSS",
    "-Dorg.slf4j.simpleLogger.log.kafka.server.KafkaRaftServer=info",
)  # fmt: skip
PROPERTIES = f"""\
process.roles=broker,controller
node.id={NODE_ID}
controller.listener.names=CONTROLLER
inter.broker.listener.name=CLIENT
auto.create.topics.enable=false
min.insync.replicas=1
default.replication.factor=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
transaction.abort.timed.out.transaction.cleanup.interval.ms=1000
message.max.bytes=16777216
replica.fetch.max.bytes=16777216
log.index.size.max.bytes=1048576
log.cleaner.dedupe.buffer.size=8388608
broker.heartbeat.interval.ms=500
broker.session.timeout.ms=3000
"""


@dataclass(frozen=True, slots=True)
class Listener:
    """One more way into the broker, beside the plain one of `bootstrap`."""

    name: str
    protocol: str = "PLAINTEXT"
    """PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL."""
    properties: Mapping[str, str] = field(default_factory=dict)
    """Settings of this listener alone; `listener.name.<name>.` is put before each."""
    advertised_port: int | None = None
    """Where clients are told to come back to: the port of a proxy. None: the listener's own."""


class KafkaBroker:
    """A Kafka with its data below `directory`; keeps port and data over `stop`/`kill` and `start`.

    >>> with contextlib.closing(KafkaBroker(Path(".kafka"))) as kafka:
    ...     kafka.start()
    ...     print(kafka.bootstrap)

    Its methods block: from asyncio use `asyncio.to_thread`. `start` begins with an empty Kafka if `directory` does not
    exist. Only stop(), kill() and the end of this process end it; the last one always does, even SIGKILL.
    """

    name = "kafka"

    def __init__(
        self,
        directory: Path,
        *,
        cache: Path | None = None,
        start_seconds: float = START_SECONDS,
        report: distribution.Report = lambda _: None,
        listeners: Sequence[Listener] = (),
        properties: Mapping[str, str] | None = None,
        jvm: Sequence[str] = SMALL_JVM,
    ) -> None:
        """`properties` are added to, and win over, those of the sandbox (`server.properties` of Kafka)."""
        self.directory = directory.absolute()
        self.log = self.directory / "kafka.log"
        self._cache = distribution.cache_directory(cache)
        self._start_seconds = start_seconds
        self._report = report  # progress of fetching the jars, if they are missing
        self._listeners = tuple(listeners)
        self._properties = dict(properties or {})
        self._jvm = (*jvm, *JVM)
        self._ports: list[int] = []
        self._child: GuardedChild | None = None

    @property
    def bootstrap(self) -> str:
        """`host:port`, once started."""
        if not self._ports:
            raise RuntimeError("Kafka was never started")
        return f"{LOOPBACK}:{self._ports[0]}"

    address = bootstrap

    def address_of(self, listener: str) -> str:
        """`host:port` where an additional listener itself listens (not the advertised one), once started."""
        if not self._ports:
            raise RuntimeError("Kafka was never started")
        index = [one.name for one in self._listeners].index(listener)
        return f"{LOOPBACK}:{self._ports[2 + index]}"

    @property
    def pid(self) -> int | None:
        """Process id of the java process; None if it does not run."""
        return self._child.pid if self._child is not None and self._child.alive else None

    def environment(self) -> dict[str, str]:
        """What a client needs to find it."""
        return {"KAFKA_BOOTSTRAP_SERVERS": self.bootstrap}

    def start(self) -> None:
        """Return when Kafka answers requests.

        Raises UnreachableError if it ends or does not answer in time, NotFoundError without a Java, and what
        `distribution.install` raises.
        """
        if self.pid is not None:
            return
        java = find_java()
        distribution.install(self._cache, report=self._report)
        self.directory.mkdir(parents=True, exist_ok=True)
        if self._ports:
            self._run(java)
            return
        for attempt in range(1, PORT_ATTEMPTS + 1):
            self._ports = free_ports(2 + len(self._listeners))
            try:
                self._run(java)
            except UnreachableError:
                # Somebody took a port between our looking and Kafka's listening.
                if attempt == PORT_ATTEMPTS or "Address already in use" not in last_lines(self.log, 100):
                    raise
                self.log.unlink()
            else:
                return

    def stop(self) -> None:
        """Let Kafka shut down in order, at most STOP_SECONDS, then kill it."""
        if self._child is not None:
            self._child.stop(STOP_SECONDS)

    close = stop

    def kill(self) -> None:
        """SIGKILL."""
        if self._child is not None:
            self._child.kill()

    def pause(self) -> None:
        """SIGSTOP: connections stay open and nothing answers, as with a frozen machine."""
        self._send(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        self._send(signal.SIGCONT)

    def _send(self, number: signal.Signals) -> None:
        if self._child is None or not self._child.alive:
            raise RuntimeError("Kafka does not run")
        self._child.send(number)

    def _run(self, java: Java) -> None:
        properties = self._write_properties()
        if not (self.directory / "data" / "meta.properties").exists():
            self._format(java, properties)
        command = self._java_command(java, "kafka.Kafka", str(properties))
        self._child = child = GuardedChild(command, log=self.log)
        deadline = time.monotonic() + self._start_seconds
        while not lists_a_broker(self._ports[0]):
            if not child.alive:
                raise UnreachableError(f"Kafka ended while it started:\n{last_lines(self.log)}", hint=f"see {self.log}")
            if time.monotonic() > deadline:
                child.kill()
                raise UnreachableError(f"Kafka did not start within {self._start_seconds:g} s", hint=f"see {self.log}")
            time.sleep(POLL_SECONDS)

    def _write_properties(self) -> Path:
        client, controller, *others = self._ports
        extra = list(zip(self._listeners, others, strict=True))
        ours = {
            "listeners": _join(
                [f"CLIENT://{LOOPBACK}:{client}", f"CONTROLLER://{LOOPBACK}:{controller}"],
                [f"{one.name}://{LOOPBACK}:{port}" for one, port in extra],
            ),
            "advertised.listeners": _join(
                [f"CLIENT://{LOOPBACK}:{client}"],
                [f"{one.name}://{LOOPBACK}:{one.advertised_port or port}" for one, port in extra],
            ),
            "listener.security.protocol.map": _join(
                ["CLIENT:PLAINTEXT", "CONTROLLER:PLAINTEXT"], [f"{one.name}:{one.protocol}" for one, _ in extra]
            ),
            "controller.quorum.voters": f"{NODE_ID}@{LOOPBACK}:{controller}",
            # A Java properties file: json quoting is a superset of the escapes a path can need.
            "log.dirs": json.dumps(str(self.directory / "data"))[1:-1],
        }
        for one, _ in extra:
            prefix = f"listener.name.{one.name.lower()}."
            ours |= {prefix + name: value for name, value in one.properties.items()}
        lines = [f"{name}={value}\n" for name, value in (ours | self._properties).items()]
        file = self.directory / "server.properties"
        file.write_text(PROPERTIES + "".join(lines), encoding="utf-8")
        return file

    def _java_command(self, java: Java, main: str, *arguments: str) -> list[str]:
        return [java.command, *self._jvm, "-cp", distribution.class_path(self._cache), main, *arguments]

    def _format(self, java: Java, properties: Path) -> None:
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        command = self._java_command(
            java, "kafka.tools.StorageTool", "format", "--config", str(properties), f"--cluster-id={cluster}"
        )
        done = subprocess.run(command, capture_output=True, text=True, timeout=self._start_seconds, check=False)
        if done.returncode != 0:
            raise CommandError(f"Kafka could not format its storage:\n{done.stderr or done.stdout}")


def _join(first: list[str], others: list[str]) -> str:
    return ",".join([*first, *others])


def lists_a_broker(port: int) -> bool:
    """True if a Kafka on `port` answers a Metadata request and knows at least one broker that takes requests.

    Formats: https://kafka.apache.org/protocol#The_Messages_Metadata; version 1, an empty array asks for no topics.
    """
    body = struct.pack(">hhih", METADATA_KEY, METADATA_VERSION, 0, -1) + struct.pack(">i", 0)
    with (
        contextlib.suppress(OSError, struct.error),
        socket.create_connection((LOOPBACK, port), timeout=2) as connection,
    ):
        connection.sendall(struct.pack(">i", len(body)) + body)
        answer = connection.recv(12, socket.MSG_WAITALL)  # size, correlation id, number of brokers
        brokers: int = struct.unpack(">iii", answer)[2]
        return brokers > 0
    return False
