"""Records in the shapes in which others captured them, and what `cdc invoke` makes of each file. See README.md."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from workers.cli.invoke import invoke

HERE = Path(__file__).parent
TABLES = HERE / "tables.yaml"
ENVIRONMENT = {"CDC_CATALOGUE": "none", "CDC_TABLES": str(TABLES), "ENVIRONMENT": "DEV", "CDC_SOURCES": ""}


def captures() -> Iterator[Path]:
    """Every file of records."""
    yield from sorted(path for path in HERE.glob("*/*.json") if not path.name.endswith(".out.json"))


def golden_of(path: Path) -> Path:
    """The file that says what becomes of them."""
    return path.with_suffix(".out.json")


def results(path: Path) -> dict[str, Any]:
    """`events`, as `cdc invoke` prints them, and `dropped`: the reasons it gives on stderr, in order."""
    runner = CliRunner(env=ENVIRONMENT)
    with runner.isolated_filesystem():
        done = runner.invoke(invoke, [str(path)])
    assert done.exit_code == 0, done.output
    dropped = [line.rpartition("dropped (")[2].rstrip(")") for line in done.stderr.splitlines() if "dropped (" in line]
    return {"dropped": dropped, "events": [json.loads(line) for line in done.stdout.splitlines()]}
