"""How far long work is, on a terminal and elsewhere."""

import contextlib
import sys

import pytest

from workers.cli.progress import ProgressBar


def test_on_a_terminal_a_bar_is_drawn_over_itself_and_ends_with_a_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with ProgressBar("cdc dlq") as bar:
        bar("letters redriven", 500, 1_000)
        bar("letters redriven", 1_000, 1_000)
    first, last = capsys.readouterr().err.split("\r")[1:]
    assert first.startswith(f"[{'#' * 15}{'-' * 15}] 500 of 1,000 letters redriven")
    assert last.startswith(f"[{'#' * 30}] 1,000 of 1,000 letters redriven, 0 s left")
    assert last.endswith("\n")


def test_elsewhere_quick_work_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressBar("cdc dlq") as bar:
        bar("letters redriven", 1_000, 1_000)
    assert capsys.readouterr().err == ""


def test_work_that_is_cut_off_says_how_far_it_came(capsys: pytest.CaptureFixture[str]) -> None:
    with contextlib.suppress(RuntimeError), ProgressBar("cdc dlq") as bar:
        bar("letters redriven", 1_200, 3_000)
        raise RuntimeError
    assert capsys.readouterr().err == "cdc dlq: letters redriven: at least 1,200 of 3,000\n"


def test_work_that_is_cut_off_before_its_first_step_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with contextlib.suppress(RuntimeError), ProgressBar("cdc dlq"):
        raise RuntimeError
    assert capsys.readouterr().err == ""
