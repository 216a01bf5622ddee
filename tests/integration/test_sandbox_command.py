"""`cdc sandbox` as a user runs it: it starts, says where, and leaves nothing behind however it ends."""

import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from sandbox.kafka.distribution import cache_directory
from workers.failures import ExitCode

ENVIRONMENT_NAMES = {
    "AWS_ENDPOINT_URL", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY",
    "KAFKA_BOOTSTRAP_SERVERS", "KINESIS_STREAM_NAME", "EVENT_BUS_NAME", "ENVIRONMENT", "CDC_REDACTION_KEY",
    "CDC_PARTITIONS", "CDC_REPLICATION_FACTOR", "DATABASE_URL",
}  # fmt: skip
LAST_LINE_OF_UP = "Ctrl-C ends it"
CDC = [sys.executable, "-m", "workers", "sandbox"]


class Shell:
    """Runs `cdc sandbox …` for a sandbox directory of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        ours = ("CDC_", "DATABASE_URL")
        clean = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        self.environment = clean | {"CDC_SANDBOX_DIR": str(directory), "CDC_CACHE_DIR": str(cache_directory())}

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*CDC, *arguments], env=self.environment, capture_output=True, text=True, timeout=120, check=False
        )

    def foreground(self, until: str = LAST_LINE_OF_UP) -> subprocess.Popen[str]:
        """`up`, as far as the line that contains `until`."""
        process = subprocess.Popen([*CDC, "up"], env=self.environment, stderr=subprocess.PIPE, text=True)
        said = []
        for line in process.stderr or ():
            said.append(line)
            if until in line:
                return process
        pytest.fail(f"up ended: {''.join(said)}")

    def pids(self) -> list[int]:
        parts = json.loads(self.run("status", "--output", "json").stdout)["parts"]
        return [part["pid"] for part in parts]


def wait_until_gone(pids: list[int], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while alive := [pid for pid in pids if psutil.pid_exists(pid)]:
        assert time.monotonic() < deadline, f"still alive: {alive}"
        time.sleep(0.02)


def end(process: subprocess.Popen[str], number: signal.Signals) -> int:
    process.send_signal(number)
    try:
        return process.wait(30)
    finally:
        if process.stderr is not None:
            process.stderr.close()


@pytest.fixture(scope="module")
def detached(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """A sandbox in the background."""
    shell = Shell(tmp_path_factory.mktemp("detached") / "sandbox")
    started = shell.run("up", "--detach")
    assert started.returncode == ExitCode.OK, started.stderr
    assert "sandbox.log" in started.stderr
    yield shell
    shell.run("down")


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    """No sandbox runs; whatever a test starts ends with it."""
    own = Shell(tmp_path / "sandbox")
    yield own
    own.run("down")


def test_status_shows_every_part_running(detached: Shell) -> None:
    shown = json.loads(detached.run("status", "--output", "json").stdout)
    assert [part["name"] for part in shown["parts"]] == ["kafka", "aws", "postgres"]
    assert {part["state"] for part in shown["parts"]} == {"running"}
    assert all(part["memory_bytes"] > 1_000_000 for part in shown["parts"])


def test_env_is_what_a_shell_can_evaluate(detached: Shell) -> None:
    script = 'eval "$("$@")" && exec env'
    environment = {"PATH": os.environ["PATH"], **{n: v for n, v in detached.environment.items() if n[:4] == "CDC_"}}
    done = subprocess.run(
        ["sh", "-c", script, "sh", *CDC, "env"], env=environment, capture_output=True, text=True, check=True
    )
    names = {line.split("=", 1)[0] for line in done.stdout.splitlines()}
    assert names >= ENVIRONMENT_NAMES


def test_env_prints_nothing_but_the_promised_names(detached: Shell) -> None:
    lines = detached.run("env").stdout.splitlines()
    assert {line.removeprefix("export ").split("=", 1)[0] for line in lines} == ENVIRONMENT_NAMES


def test_a_second_up_leaves_the_first_alone_and_says_where_it_is(detached: Shell) -> None:
    before = detached.run("env").stdout
    second = detached.run("up")
    assert second.returncode == ExitCode.OK
    assert "already runs" in second.stderr
    assert json.loads(detached.run("status", "--output", "json").stdout)["parts"][0]["address"] in second.stderr
    assert detached.run("env").stdout == before


def test_the_file_with_the_key_is_for_its_owner_only(detached: Shell) -> None:
    assert stat.S_IMODE((detached.directory / "state.json").stat().st_mode) == 0o600


def test_env_without_a_sandbox_says_how_to_start_one(shell: Shell) -> None:
    done = shell.run("env")
    assert done.returncode == ExitCode.NOT_FOUND
    assert "cdc sandbox up" in done.stderr


def test_down_without_a_sandbox_is_fine(shell: Shell) -> None:
    assert shell.run("down").returncode == ExitCode.OK


def test_down_leaves_no_process_and_no_file(shell: Shell) -> None:
    shell.run("up", "--detach")
    pids = shell.pids()
    assert len(pids) == 3
    assert shell.run("down").returncode == ExitCode.OK
    wait_until_gone(pids, 0)
    assert not shell.directory.exists()


def test_a_killed_foreground_leaves_no_orphan_and_the_next_up_works(shell: Shell) -> None:
    process = shell.foreground()
    pids = shell.pids()
    end(process, signal.SIGKILL)
    wait_until_gone(pids, 5)
    assert shell.run("env").returncode == ExitCode.NOT_FOUND
    assert shell.run("up", "--detach").returncode == ExitCode.OK


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_foreground_within_five_seconds(shell: Shell, number: signal.Signals) -> None:
    process = shell.foreground()
    pids = shell.pids()
    began = time.monotonic()
    assert end(process, number) == ExitCode.OK
    wait_until_gone(pids, 0)
    assert time.monotonic() - began < 5
    assert not shell.directory.exists()


def test_a_signal_while_it_starts_leaves_nothing_behind(shell: Shell) -> None:
    process = shell.foreground(until="starting in")
    assert end(process, signal.SIGTERM) == ExitCode.OK
    assert not shell.directory.exists()


def test_status_tells_a_dead_part(shell: Shell) -> None:
    shell.run("up", "--detach")
    kafka = shell.pids()[0]
    os.kill(kafka, signal.SIGKILL)
    wait_until_gone([kafka], 5)
    done = shell.run("status")
    assert done.returncode == ExitCode.PARTIAL
    assert "dead" in done.stdout
