"""The directory of a sandbox is emptied however long that takes, and whoever cannot empty it says so."""

import itertools
from pathlib import Path
from types import SimpleNamespace

import pytest

from sandbox import state
from workers.failures import ConfigurationError


@pytest.fixture(autouse=True)
def slow_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every look at the clock is an hour after the one before."""
    hours = itertools.count(0, 3_600)
    monkeypatch.setattr("sandbox.state.time", SimpleNamespace(monotonic=lambda: float(next(hours))))


def test_what_takes_an_hour_to_remove_is_removed(tmp_path: Path) -> None:
    (tmp_path / "kafka").mkdir()
    (tmp_path / "kafka" / "log").write_text("a partition")
    state.clear(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_does_not_go_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "kafka").mkdir()
    monkeypatch.setattr("sandbox.state.shutil", SimpleNamespace(rmtree=lambda *_args, **_options: None))
    with pytest.raises(ConfigurationError, match="cannot be emptied of kafka"):
        state.clear(tmp_path)
