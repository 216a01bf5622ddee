"""A whole world for the pipeline on one machine: its parts are child processes, and it always begins empty."""

import contextlib
import os
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import IO, Protocol, Self

from sandbox.interruptible import Interruptible
from sandbox.kafka.broker import KafkaBroker
from sandbox.postgres import PostgresServer, is_of_a_sandbox
from sandbox.stand_in import AwsStandIn
from sandbox.state import LOG, PartState, SandboxState, clear, process_start, remove, take_lock
from workers.failures import CommandError

STREAM = "coredb-cdc-stream"
SHARDS = 4
BUS = "cdc-events"

Report = Callable[[str], None]


class Part(Protocol):
    """A server the world consists of. Its methods block; `start` returns when it answers requests."""

    name: str
    log: Path

    @property
    def address(self) -> str: ...
    @property
    def pid(self) -> int | None: ...
    def start(self) -> None: ...
    def stop(self) -> None: ...
    def kill(self) -> None: ...
    def environment(self) -> dict[str, str]: ...


class BrokerPart(Part, Protocol):
    """The Kafka of a world."""

    @property
    def bootstrap(self) -> str: ...


class AlreadyRunningError(CommandError):
    """Another process keeps a sandbox in this directory."""


class World:
    """Kafka, the AWS stand-in with the stream and the bus that `environment` names, and PostgreSQL if it is asked for.

    >>> with World(Path(".sandbox")) as world:
    ...     os.environ.update(world.environment())

    It ends with this process, even by SIGKILL. From asyncio: `await asyncio.to_thread(world.start)`.
    """

    def __init__(
        self, directory: Path, *, stream: str = STREAM, shards: int = SHARDS, bus: str = BUS, custom_bus: bool = False,
        cache: Path | None = None, report: Report = lambda _: None, postgres: bool = False, database_url: str = "",
        kafka: BrokerPart | None = None,
    ) -> None:  # fmt: skip
        """`custom_bus`: the bus is a Custom Event Bus (v2). `kafka`: another broker than an embedded one.

        `postgres`: with a database of its own, or with that of `database_url`, unless that is a sandbox's."""
        self.directory = directory.absolute()
        self.kafka: BrokerPart = kafka or KafkaBroker(self.directory / "kafka", cache=cache, report=report)
        self.aws = AwsStandIn(self.directory / "aws", stream=stream, shards=shards, bus=bus, custom_bus=custom_bus)
        self.parts: list[Part] = [self.kafka, self.aws]
        self._database_url = "" if is_of_a_sandbox(database_url) else database_url
        if postgres and not self._database_url:
            self.parts.append(PostgresServer(self.directory / "postgres"))
        self._report = report
        self._redaction_key = secrets.token_hex(32)
        self._lock: IO[str] | None = None

    def environment(self) -> dict[str, str]:
        """Environment of a worker, or of any client, in this world; the world must have been started."""
        names: dict[str, str] = {}
        for part in self.parts:
            names.update(part.environment())
        if self._database_url:
            names["DATABASE_URL"] = self._database_url
        return names | {
            "ENVIRONMENT": "LOCAL",
            "CDC_REDACTION_KEY": self._redaction_key,
            "CDC_PARTITIONS": "4",
            "CDC_REPLICATION_FACTOR": "1",
        }

    def start(self) -> None:
        """Empty the directory, start all parts at once, return when all are ready.

        Raises AlreadyRunningError, ConfigurationError if the directory is not ours to empty, and what the parts raise;
        nothing is left running then.
        """
        beginning = Interruptible(self._begin)
        try:
            beginning.run()
        except BaseException as error:
            beginning.give_up(self._kill_parts)
            self._end(keep_logs=isinstance(error, Exception))  # they say why; not wanted after Ctrl-C
            raise

    def stop(self) -> None:
        """End all parts and leave an empty directory. Fine if nothing runs."""
        self._end(keep_logs=False)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _begin(self) -> None:
        self._lock = take_lock(self.directory)
        if self._lock is None:
            raise AlreadyRunningError(f"a sandbox already runs in {self.directory}", hint="see `cdc sandbox status`")
        clear(self.directory)
        with ThreadPoolExecutor(len(self.parts)) as pool:
            tasks = [pool.submit(self._start_part, part) for part in self.parts]
            try:
                for task in tasks:
                    task.result()
            except BaseException:
                self._kill_parts()  # or the pool would wait for the others to become ready
                raise
        self._state().save(self.directory)

    def _start_part(self, part: Part) -> None:
        part.start()
        self._report(f"{part.name} runs at {part.address}")

    def _kill_parts(self) -> None:
        # Nothing in a world is worth an orderly end: it always begins empty.
        for part in self.parts:
            part.kill()

    def _end(self, *, keep_logs: bool) -> None:
        lock, self._lock = self._lock, None
        if lock is None:
            return
        with lock:
            self._kill_parts()
            if not keep_logs:
                clear(self.directory)
                (self.directory / LOG).unlink(missing_ok=True)
                remove(self.directory)

    def _state(self) -> SandboxState:
        parts = [
            PartState(part.name, part.address, part.pid, process_start(part.pid))
            for part in self.parts
            if part.pid is not None
        ]
        return SandboxState(os.getpid(), process_start(os.getpid()), parts, self.environment())


def end_leftovers(directory: Path) -> None:
    """Remove a sandbox whose keeper is dead. Does nothing if it lives or there is none."""
    with contextlib.ExitStack() as held:
        if directory.is_dir() and (lock := take_lock(directory)) is not None:
            held.enter_context(lock)
            clear(directory)
            (directory / LOG).unlink(missing_ok=True)
            remove(directory)
