"""The history of a run: one JSON line per thing that happened, in the order it became known to the harness."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, Self

Type = Literal["invoke", "ok", "fail", "info"]
"""invoke: begun; ok: it happened; fail: it did not; info: nobody knows, or it is an observation."""
Event = dict[str, Any]


class History:
    """Writes `history.jsonl`. `t` is seconds since the history was opened."""

    def __init__(self, file: Path) -> None:
        self._file = file.open("w", encoding="utf-8")
        self._start = time.monotonic()
        self.counts: dict[tuple[str, str], int] = {}

    def now(self) -> float:
        """Seconds since the history began."""
        return round(time.monotonic() - self._start, 4)

    def add(self, process: str, op: str, type: Type, **fields: Any) -> None:  # noqa: A002  the format's word
        """Write one line: who, what, how it ended, and what belongs to it."""
        self.counts[op, type] = self.counts.get((op, type), 0) + 1
        line = {"t": self.now(), "process": process, "op": op, "type": type} | fields
        self._file.write(json.dumps(line, separators=(",", ":")) + "\n")

    def close(self) -> None:
        """Write everything out."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def read(file: Path) -> Iterator[Event]:
    """The lines of a history; a torn last line (the harness was killed) is left out."""
    with file.open(encoding="utf-8") as lines:
        for line in lines:
            if line.endswith("\n"):
                yield json.loads(line)
