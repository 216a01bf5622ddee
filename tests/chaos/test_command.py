"""`cdc chaos`: what it shows and how it ends."""

import json
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from sandbox.chaos.result import Result, keep
from workers.cli.chaos import chaos
from workers.failures import ConfigurationError, ExitCode, NotFoundError


def stored(directory: Path, verdict: str, seed: int = 1, **fields: Any) -> Result:
    result = Result(
        "table", seed, verdict, 60.0, 80.0, {"produced": 12_000, "lost": 0, "pause_max": 0.254}, (), (),
        "cdc chaos replay plan.json",
    )  # fmt: skip
    (directory / f"table-{seed}").mkdir(parents=True)
    keep(result, directory / f"table-{seed}")
    return result


def shown(*arguments: str) -> tuple[int, str]:
    found = CliRunner().invoke(chaos, list(arguments))
    if found.exception is not None and not isinstance(found.exception, SystemExit):
        raise found.exception
    return found.exit_code, found.stdout


@pytest.mark.parametrize(
    ("verdicts", "code"),
    [
        (["PASS", "PASS"], ExitCode.OK),
        (["PASS", "UNKNOWN"], ExitCode.PARTIAL),
        (["UNKNOWN", "FAIL"], ExitCode.ERROR),
    ],
)
def test_the_report_ends_like_its_worst_run(verdicts: list[str], code: ExitCode, tmp_path: Path) -> None:
    for seed, verdict in enumerate(verdicts, 1):
        stored(tmp_path, verdict, seed)
    assert shown("report", str(tmp_path))[0] == code


def test_a_report_names_scenario_seed_and_figures(tmp_path: Path) -> None:
    stored(tmp_path, "PASS", 3)
    lines = shown("report", str(tmp_path))[1].splitlines()
    assert lines[0].split()[:3] == ["scenario", "seed", "verdict"]
    assert lines[1].split()[:5] == ["table", "3", "PASS", "12,000", "0"]


def test_a_report_in_json_holds_everything(tmp_path: Path) -> None:
    stored(tmp_path, "PASS")
    [found] = json.loads(shown("report", str(tmp_path), "--output", "json")[1])
    assert found["figures"]["produced"] == 12_000
    assert found["repeat"] == "cdc chaos replay plan.json"


def test_a_report_of_nothing_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        shown("report", str(tmp_path))


def test_a_finished_run_is_not_run_again(tmp_path: Path) -> None:
    stored(tmp_path, "PASS")
    code, out = shown("run", "table", "--seeds", "1", "--seconds", "60", "--out", str(tmp_path), "--resume")
    assert (code, "12,000" in out) == (ExitCode.OK, True)


def test_a_directory_that_holds_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "table-1").mkdir()
    precious = tmp_path / "table-1" / "thesis.txt"
    precious.write_text("do not delete", encoding="utf-8")
    with pytest.raises(ConfigurationError):
        shown("run", "table", "--seeds", "1", "--out", str(tmp_path))
    assert precious.exists()


def test_an_unknown_scenario_names_those_there_are() -> None:
    found = CliRunner().invoke(chaos, ["run", "tabel"])
    assert found.exit_code == ExitCode.USAGE
    assert "global-table" in found.stderr


@pytest.mark.parametrize("text", ["", "a", "1-", "5-1"])
def test_what_names_no_seeds_is_refused(text: str) -> None:
    found = CliRunner().invoke(chaos, ["run", "table", "--seeds", text])
    assert found.exit_code == ExitCode.USAGE


def test_every_scenario_is_listed() -> None:
    assert "three-workers" in shown("list")[1]


@pytest.mark.parametrize("command", chaos.commands.values(), ids=lambda command: command.name)
def test_every_command_shows_an_example(command: click.Command) -> None:
    assert "Example" in (command.help or "")
