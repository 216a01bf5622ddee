"""What `cdc tail` prints."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from models.written import Written, stamp
from workers.cli.columns import ALL, cut, short_time, shortened, talk, terminal_width
from workers.cli.stopping import put

if TYPE_CHECKING:
    from workers.tail.selection import Wanted

HEAD = ("TIME", "PLACE", "TABLE", "OPERATION", "ENTITY", "EVENT", "BYTES", "")
NARROW = 150
"""Columns of a terminal that hold them all."""
LEAST = ("TABLE", "EVENT", "BYTES")
"""Left out where they do not: ENTITY names the table, and `--output json` has everything."""
LONGEST_ENTITY = 24


@dataclass(slots=True)
class TailLines:
    """Data on stdout as it comes, what there is to say at the end on stderr. Columns grow with what stands in them."""

    output: Literal["table", "json", "jsonl"]
    wanted: "Wanted | None" = None
    lost: set[str] = field(default_factory=set)
    shown: int = 0
    widths: list[int] = field(default_factory=lambda: [len(name) for name in HEAD])
    screen: int | None = field(default_factory=terminal_width)
    """Columns of the terminal; None: there is none, and lines are as long as they are."""

    def show(self, records: Sequence[Written]) -> None:
        """Print them."""
        if records and self.output == "table":
            if not self.shown:
                self._grow(records)
                put(self._line(HEAD))
            self._grow(records)
            put("\n".join(self._line(cells(record)) for record in records))
        elif records:
            indent = 2 if self.output == "json" else None
            separators = None if indent else (",", ":")
            put("\n".join(
                json.dumps(record.document(), ensure_ascii=False, indent=indent, separators=separators)
                for record in records
            ))  # fmt: skip
        self.shown += len(records)

    def end(self) -> None:
        """Say what is not seen in the lines."""
        for text in self._told():
            talk(f"cdc tail: {text}")

    def _told(self) -> Iterator[str]:
        wanted = self.wanted
        if wanted is None:
            return
        looked = wanted.seen[0]
        yield f"{self.shown:,} record{'' if self.shown == 1 else 's'}" + (
            f" of {looked:,} looked at" if looked != self.shown else ""
        )
        if wanted.sample is not None and wanted.sample.left_out:
            yield f"{wanted.sample.left_out:,} more fit and are not shown: --sample"
        if wanted.where is not None:
            yield from wanted.where.told()
        if self._narrow and self.shown and self.output == "table":
            yield f"left out to fit {self.screen} columns: {', '.join(LEAST)}; {ALL}"
        for place in sorted(self.lost):
            yield f"{place}: records were deleted before they were read"

    def _grow(self, records: Sequence[Written]) -> None:
        for record in records:
            texts = self._fitted(cells(record))
            self.widths = [max(width, len(cell)) for width, cell in zip(self.widths, texts, strict=True)]

    def _line(self, texts: Sequence[str]) -> str:
        padded = [
            text.rjust(width) if name == "BYTES" else text.ljust(width)
            for name, text, width in zip(HEAD[:-1], self._fitted(texts), self.widths, strict=False)
            if not (self._narrow and name in LEAST)
        ]
        line = "  ".join((*padded, texts[-1])).rstrip()
        return line if self.screen is None else cut(line, self.screen)

    @property
    def _narrow(self) -> bool:
        return self.screen is not None and self.screen < NARROW

    def _fitted(self, texts: Sequence[str]) -> Sequence[str]:
        if not self._narrow:
            return texts
        found = dict(zip(HEAD, texts, strict=True))
        found["TIME"], found["ENTITY"] = short_time(found["TIME"]), shortened(found["ENTITY"], LONGEST_ENTITY)
        return tuple(found.values())


def cells(record: Written) -> tuple[str, ...]:
    """One line, by columns."""
    said = f"BROKEN: {record.broken}" if record.broken else record.said
    return (
        stamp(record.time_ms) or "-", str(record.place), record.table or "-",
        record.operation or "-", record.entity or "-", record.event_id or "-", f"{record.size:,}", said,
    )  # fmt: skip
