"""Golden files: what becomes of the changes of each built-in table, one pair of files per table and operation.

`<table>.<operation>.in.json` holds DMS records, first those that teach what the last one needs; `.out.json` says what
becomes of each: the event, `{"dropped": reason}` or `{"deadLetter": {"code", "reason"}}`. Whoever changes an event on
purpose renews the second with `python -m tests.golden`, and reads the difference before it is committed.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from models.outcome import Dead, Drop, Ok
from tests.unit.changes import Worker

HERE = Path(__file__).parent
OPERATIONS = ("load", "insert", "update", "delete")


def inputs() -> Iterator[Path]:
    """Every file of records, in the order of its name."""
    yield from sorted(HERE.glob("*.in.json"))


def golden_of(path: Path) -> Path:
    """The file that says what becomes of them."""
    return path.with_name(path.name.replace(".in.json", ".out.json"))


def results(path: Path) -> list[dict[str, Any]]:
    """What becomes of each record of a file, by a worker that has seen nothing before."""
    worker = Worker()
    return [_told(worker.feed(json.dumps(record).encode()).outcome) for record in json.loads(path.read_text("utf-8"))]


def text_of(results: Any) -> str:
    """As it stands in a file."""
    return json.dumps(results, indent=2, ensure_ascii=False, sort_keys=True) + "\n"


def _told(outcome: Any) -> dict[str, Any]:
    match outcome:
        case Ok(event):
            detail: dict[str, Any] = json.loads(event.value)
            return detail
        case Drop(reason):
            return {"dropped": reason}
        case Dead(failure, reason):
            return {"deadLetter": {"code": failure.value, "reason": reason}}
        case _:
            raise AssertionError(f"an impatient pipeline waits: {outcome}")
