"""What `cdc worker` says itself, in the form of its log lines."""

import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from workers.cli.worker import _in_json
from workers.settings.log import early_log_format

ROOT = Path(__file__).parents[2]


def test_a_start_that_fails_is_one_object_where_objects_are_read(tmp_path: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "CDC_LINGERR": "1"}
    ended = subprocess.run(
        [sys.executable, "-m", "workers", "worker"], cwd=tmp_path, env=environment, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip
    (line,) = ended.stderr.splitlines()
    told = json.loads(line)
    assert (ended.returncode, told["level"]) == (3, "CRITICAL")
    assert "did you mean CDC_LINGER" in told["message"]
    assert told["fields"]["hint"]


BROKEN = """
import sys
from workers.cli import main, worker
def broken(*_):
    raise KeyError("a value of a row")
worker._run = broken
sys.argv = ["cdc", "worker"]
main.main()
"""


@pytest.mark.parametrize("form", ["json", "text"])
def test_a_bug_that_ends_a_worker_is_one_line_in_the_form_of_its_log_and_shows_no_value(
    tmp_path: Path, form: str
) -> None:
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "CDC_LOG_FORMAT": form}
    ended = subprocess.run(
        [sys.executable, "-c", BROKEN], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip
    (line,) = ended.stderr.splitlines()
    told = json.loads(line)["message"] if form == "json" else line.removeprefix("cdc: ")
    assert (ended.returncode, told) == (70, "this is a bug: KeyError at <string>:5")


@pytest.mark.parametrize(
    ("environment", "terminal", "form"),
    [
        ({}, False, "json"),
        ({}, True, "text"),
        ({"ENVIRONMENT": "local"}, False, "text"),
        ({"ENVIRONMENT": "nonsense"}, False, "json"),
        ({"CDC_LOG_FORMAT": "json", "ENVIRONMENT": "LOCAL"}, True, "json"),
        ({"CDC_LOG_FORMAT": "nonsense"}, False, "json"),
    ],
)
def test_the_form_is_known_before_the_settings_are(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, environment: dict[str, str], terminal: bool, form: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("ENVIRONMENT", "CDC_LOG_FORMAT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert early_log_format(terminal=terminal) == form


def test_what_waits_for_somebody_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        _in_json("publish: bus waits for you: gone", logging.WARNING)
        _in_json("stopped")
    assert [record.getMessage() for record in caplog.records] == ["publish: bus waits for you: gone"]
