"""What `cdc trace` prints."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

import click

from enrichers.row_view import MASK
from models.trail import Ending, Hop, Trail, Trails
from models.written import stamp
from workers.cli.columns import hanging, terminal_width
from workers.cli.stopping import put
from workers.trace.durations import duration
from workers.trace.question import Kind

TIME_WIDTH = 24
HOP_WIDTH = 11
INDENT = 8
"""Of what does not fit the line of a hop, on a terminal."""


def trail_lines(trail: Trail, *, steps: bool) -> Iterator[str]:
    """One trail: whose it is, its hops, and where it ends."""
    yield title(trail)
    before = None
    for hop in trail.hops:
        yield hop_line(hop, before)
        before = hop.at_ms if hop.at_ms is not None else before
    yield ending_line(trail)
    if steps:
        yield from (f"    {step['step']:<9} {step['text']}" for step in trail.steps)
        yield from (f"    {note}" for note in trail.notes)


def title(trail: Trail) -> str:
    """Whose it is; of what nobody can read, where it stands."""
    whose = trail.entity if trail.entity not in ("", MASK) else trail.table
    named = [text for text in (trail.event_id, trail.operation, whose) if text]
    places = [str(hop.place) for hop in trail.hops if hop.place is not None]
    return "  ".join(named if trail.event_id else [*named, *places[:1]]) or "?"


def ending_line(trail: Trail) -> str:
    """Where it ends."""
    return f"  => {trail.ending.value}: {trail.told}"


def hop_line(hop: Hop, before_ms: int | None) -> str:
    """One hop, and how long after the one before it."""
    took = "" if hop.at_ms is None or before_ms is None else since(hop.at_ms - before_ms)
    where = f"{hop.place}  " if hop.place is not None else ""
    return f"  {stamp(hop.at_ms) or '':<{TIME_WIDTH}}  {took:>9}  {hop.name:<{HOP_WIDTH}}  {where}{hop.text}".rstrip()


def since(milliseconds: int) -> str:
    """With its sign: clocks differ."""
    return f"{'-' if milliseconds < 0 else '+'}{duration(milliseconds)}"


@dataclass(slots=True)
class TraceScreen:
    """Shows trails as they grow: a line once, as soon as it is known."""

    output: Literal["table", "json", "jsonl"]
    steps: bool
    _told: set[str] = field(default_factory=set)
    _shown: list[list[str]] = field(default_factory=list)

    def show(self, found: Trails, *, last: bool) -> None:
        """`last`: it will not be asked again."""
        if self.output == "table":
            self._lines(found)
        elif last and self.output == "json":
            put(json.dumps(found.document(), indent=2, ensure_ascii=False))
        elif last:
            for trail in found.trails:
                put(json.dumps(trail.document(), separators=(",", ":"), ensure_ascii=False))
        if last:
            self._say_about(found)

    def say_once(self, text: str) -> None:
        """On stderr."""
        if text not in self._told:
            self._told.add(text)
            click.echo(f"cdc trace: {text}", err=True)

    def _lines(self, found: Trails) -> None:
        for number, trail in enumerate(found.trails):
            lines = list(trail_lines(trail, steps=self.steps))
            if number == len(self._shown):
                self._shown.append([])
                if number:
                    put("")
            known = self._shown[number]
            for line in lines:
                if line not in known and not (trail.ending is Ending.WAITING and self._waits(known, line)):
                    put("\n".join(hanging(line, INDENT, terminal_width())))
                    known.append(line)

    @staticmethod
    def _waits(known: list[str], line: str) -> bool:
        """How long it has waited changes with every look: it is said once."""
        mark = f"  => {Ending.WAITING.value}"
        return line.startswith(mark) and any(other.startswith(mark) for other in known)

    def _say_about(self, found: Trails) -> None:
        if found.more:
            self.say_once("there may be earlier ones: --limit, --from")
        if len(found.trails) > 1 and found.asked == Kind.SEQUENCE.value:
            self.say_once("a sequence is an offset of a partition, and several hold it: --partition says which")
