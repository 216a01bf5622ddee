"""`cdc sandbox`: Kafka, an AWS stand-in and PostgreSQL on this machine, for trying things out."""

import contextlib
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Any

import click
import psutil

from sandbox.state import LOG, SandboxState, clear, keeper, take_lock
from sandbox.world import World, end_leftovers
from workers.failures import CommandError, ExitCode, NotFoundError, UnreachableError
from workers.settings.field_types import secret_text
from workers.settings.worker import Settings, load_settings

WATCH_SECONDS = 1.0
POLL_SECONDS = 0.05
DOWN_SECONDS = 10.0
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
USE_IT = 'use it:   eval "$(cdc sandbox env)"'


def _say(line: str) -> None:
    click.echo(f"sandbox: {line}", err=True)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def sandbox() -> None:
    """Run Kafka, an AWS stand-in and PostgreSQL on this machine, without Docker.

    Everything lives in CDC_SANDBOX_DIR (default .sandbox) and is gone after `down`; every `up` begins with an empty
    world, in which the stream KINESIS_STREAM_NAME, the bus EVENT_BUS_NAME and the built-in tables exist. If
    DATABASE_URL names a database of yours, that one is used as it is, and no PostgreSQL is started.

    \b
    Examples:
      cdc sandbox up --detach
      eval "$(cdc sandbox env)"
      aws kinesis describe-stream-summary --stream-name "$KINESIS_STREAM_NAME"
      psql "$DATABASE_URL" -c 'TABLE users'
      cdc worker
      cdc sandbox down
    """


@sandbox.command()
@click.option("--detach", is_flag=True, help="Return when all is ready; it runs on until `cdc sandbox down`.")
@click.option("--as-keeper", is_flag=True, hidden=True, help="The process that `--detach` starts.")
@click.pass_context
def up(ctx: click.Context, detach: bool, as_keeper: bool) -> None:
    """Start the sandbox, empty. Ctrl-C ends it.

    Needs Java 17 or newer, or what `make setup` installs. Missing jars of Kafka are fetched (44 MB). If it already
    runs, says where and leaves it alone.

    \b
    Examples:
      cdc sandbox up              in the foreground
      cdc sandbox up --detach     in the background
    """
    settings = load_settings()
    directory = settings.sandbox_dir.absolute()
    if keeper(directory) is not None:
        _say(f"already runs in {directory}")
        _describe(SandboxState.load(directory))
    elif detach:
        ctx.exit(_detach(directory))
    else:
        _keep(settings, directory, detached=as_keeper)


@sandbox.command()
def env() -> None:
    """Print `export NAME=value` lines for a shell. Exit 6 if no sandbox runs.

    They hold the sandbox's redaction key and the password of its database, random ones.

    \b
    Example:
      eval "$(cdc sandbox env)"
    """
    for name, value in _running(load_settings().sandbox_dir.absolute()).environment.items():
        click.echo(f"export {name}={shlex.quote(value)}")


@sandbox.command()
@click.option("--output", type=click.Choice(["table", "json"]), default="table", show_default=True,
              help="json: one document on stdout.")  # fmt: skip
@click.pass_context
def status(ctx: click.Context, output: str) -> None:
    """Show what runs where. Exit 0 if all of it runs, 6 if no sandbox runs, 7 if a part is dead.

    \b
    Examples:
      cdc sandbox status
      cdc sandbox status --output json | jq '.parts[].address'
    """
    directory = load_settings().sandbox_dir.absolute()
    pid = keeper(directory)
    state = SandboxState.load(directory) if pid is not None else None
    parts = _parts(state) if state is not None else []
    if output == "json":
        click.echo(
            json.dumps(
                {"running": state is not None, "directory": str(directory), "pid": pid, "parts": parts}, indent=2
            )
        )
    else:
        for part in parts:
            memory = f"{part['memory_bytes'] / 1e6:.0f} MB" if part["memory_bytes"] else "-"
            click.echo(f"{part['name']:<8} {part['state']:<8} {part['address']:<28} pid {part['pid']:<8} {memory}")
    if state is None:
        _running(directory)
    ctx.exit(ExitCode.OK if all(part["state"] == "running" for part in parts) else ExitCode.PARTIAL)


@sandbox.command()
def down() -> None:
    """End the sandbox and remove everything it made. Fine if none runs.

    \b
    Example:
      cdc sandbox down
    """
    directory = load_settings().sandbox_dir.absolute()
    pid = keeper(directory)
    if pid is not None:
        _end_keeper(directory, pid)
    if directory.is_dir() and any(directory.iterdir()):
        end_leftovers(directory)
    _say("stopped" if pid is not None else f"none runs in {directory}")


def _running(directory: Path) -> SandboxState:
    """State of a ready sandbox. Raises NotFoundError."""
    starting = keeper(directory) is not None
    state = SandboxState.load(directory)
    if starting and state is not None:
        return state
    raise NotFoundError(
        f"the sandbox in {directory} is not ready yet" if starting else f"no sandbox runs in {directory}",
        hint="try again in a few seconds" if starting else "start one with `cdc sandbox up --detach`",
    )


def _parts(state: SandboxState) -> list[dict[str, Any]]:
    rows = []
    for part in state.parts:
        memory: int | None = None
        if (process := part.process()) is not None:
            with contextlib.suppress(psutil.Error):
                memory = process.memory_info().rss
        condition = "running" if process is not None else "dead"
        rows.append(
            {"name": part.name, "state": condition, "address": part.address, "pid": part.pid, "memory_bytes": memory}
        )
    return rows


def _describe(state: SandboxState | None) -> None:
    if state is None:
        _say("it is still starting")
        return
    for part in _parts(state):
        _say(f"{part['name']:<8} {part['state']} at {part['address']} (pid {part['pid']})")
    _say(f"stream {state.environment['KINESIS_STREAM_NAME']}, bus {state.environment['EVENT_BUS_NAME']}")
    _say(USE_IT)


def _end_on_signal(_number: int, _frame: FrameType | None) -> None:
    for number in ENDING:
        signal.signal(number, signal.SIG_IGN)  # ending takes well under a second; a second Ctrl-C must not tear it
    raise KeyboardInterrupt


def _keep(settings: Settings, directory: Path, *, detached: bool) -> None:
    for number in ENDING:
        signal.signal(number, _end_on_signal)
    world = World(
        directory, stream=settings.kinesis_stream_name, bus=settings.bus.name, custom_bus=settings.bus.custom,
        cache=settings.cache_dir, report=_say, postgres=True,
        database_url=secret_text("DATABASE_URL", settings.database_url, settings.database_url_file),
    )  # fmt: skip
    with contextlib.suppress(KeyboardInterrupt):
        _say(f"starting in {directory}")
        with world:
            if not detached:
                _describe(SandboxState.load(directory))
                _say("Ctrl-C ends it")
            _watch(world)
    world.stop()  # a signal right behind its start
    end_leftovers(directory)  # a signal in the middle of claiming the directory leaves its marker
    _say("stopped")


def _watch(world: World) -> None:
    dead: set[str] = set()
    while True:
        time.sleep(WATCH_SECONDS)
        for part in world.parts:
            if part.pid is None and part.name not in dead:
                dead.add(part.name)
                _say(f"{part.name} has ended unexpectedly, see {part.log}")


def _detach(directory: Path) -> int:
    """Start `up` in a session of its own, show what it says until it is ready, return its exit code."""
    lock = take_lock(directory)
    if lock is None:
        raise CommandError(f"another process just started a sandbox in {directory}", hint="see `cdc sandbox status`")
    log = directory / LOG
    with lock:
        clear(directory)
        log.unlink(missing_ok=True)
        log.touch(mode=0o600)
    with log.open("ab") as output, log.open("rb") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "workers", "sandbox", "up", "--as-keeper"],
            stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            env=os.environ | {"CDC_SANDBOX_DIR": str(directory)}, start_new_session=True,
        )  # fmt: skip
        while process.poll() is None:
            _show(said)
            state = SandboxState.load(directory)
            if state is not None and state.pid == process.pid:
                _describe(state)
                _say(f"log:      {log}")
                _say("end it:   cdc sandbox down")
                return ExitCode.OK
            time.sleep(POLL_SECONDS)
        _show(said)
    return process.returncode or ExitCode.ERROR


def _show(said: Any) -> None:
    click.echo(said.read(), nl=False, err=True)


def _end_keeper(directory: Path, pid: int) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        deadline = time.monotonic() + DOWN_SECONDS
        while time.monotonic() < deadline:
            if keeper(directory) != pid:
                return
            time.sleep(POLL_SECONDS)
    raise UnreachableError(f"the process {pid} that keeps the sandbox does not end", hint=f"kill -9 {pid}")
