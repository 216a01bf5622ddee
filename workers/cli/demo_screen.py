"""What a person sees of `cdc demo` while it runs: a live view in a terminal, plain lines anywhere else."""

import time
from collections import deque
from typing import Any, Protocol

import click
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from models.dead_letter import DeadLetter
from sandbox.demonstration import Progress, StageFigures

FRAMES_PER_SECOND = 8
LINE_SECONDS = 2.0
RATE_SECONDS = 2.0
"""Rates are those of the last so many seconds."""
FIXED_LINES = 13
LETTERS_SHOWN = 3
FEWEST_EVENTS, MOST_EVENTS = 3, 14
COLOURS = {"created": "green", "updated": "cyan", "deleted": "red"}


class View(Protocol):
    """Shows a run as it goes on."""

    def show(self, progress: Progress, events: list[dict[str, Any]], letters: list[DeadLetter]) -> None: ...
    def __enter__(self) -> "View": ...
    def __exit__(self, *_: object) -> None: ...


class Lines:
    """Plain lines on stderr, for pipes, logs and dumb terminals."""

    def __init__(self) -> None:
        self._last = 0.0

    def __enter__(self) -> "Lines":
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def show(self, progress: Progress, events: list[dict[str, Any]], letters: list[DeadLetter]) -> None:
        """A line every LINE_SECONDS."""
        now = time.monotonic()
        if now - self._last < LINE_SECONDS:
            return
        self._last = now
        lags = ", ".join(f"{stage.name} {stage.lag}" for stage in progress.stages)
        click.echo(
            f"demo: {progress.elapsed:5.1f} s, sent {progress.sent} of {progress.wanted}, ended {progress.ended}, "
            f"dead letters {len(letters)}; lag: {lags}",
            err=True,
        )


class Screen:
    """A live view; it never grows beyond the terminal."""

    def __init__(self, console: Console, *, web: str, adapter: str) -> None:
        self._console = console
        self._title = f"{adapter} on Kinesis → Kafka → EventBridge"
        self._web = web
        self._live = Live(console=console, refresh_per_second=FRAMES_PER_SECOND, vertical_overflow="crop")
        self._rates = {name: Rate() for name in ("bridge", "enrich", "publish")}

    def __enter__(self) -> "Screen":
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def show(self, progress: Progress, events: list[dict[str, Any]], letters: list[DeadLetter]) -> None:
        """Draw the next frame."""
        for stage in progress.stages:
            self._rates[stage.name].note(progress.elapsed, stage.taken)
        width, height = self._console.size
        room = min(MOST_EVENTS, max(FEWEST_EVENTS, height - FIXED_LINES - LETTERS_SHOWN))
        parts: list[RenderableType] = [
            self._heading(progress),
            _bar(progress, width - 1),
            self._stages(progress.stages),
            Text("events on the bus, as a consumer gets them", style="bold"),
            *_padded([event_line(event) for event in events[-room:]], room),
            Text(f"dead letters: {len(letters)}", style="bold"),
            *_padded([letter_line(letter) for letter in letters[-LETTERS_SHOWN:]], LETTERS_SHOWN),
            Text(f"web views {self._web}   Ctrl-C ends it", style="dim", no_wrap=True, overflow="ellipsis"),
        ]
        self._live.update(Group(*parts))

    def _heading(self, progress: Progress) -> Text:
        return Text.assemble(
            (self._title, "bold"),
            f"   {progress.ended:,} of {progress.wanted:,} changes ended   {progress.elapsed:.0f} s",
            no_wrap=True, overflow="ellipsis",
        )  # fmt: skip

    def _stages(self, stages: tuple[StageFigures, ...]) -> Table:
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
        table.add_column("stage", min_width=9)
        for name in ("in", "out", "filtered", "dead", "rate", "lag"):
            table.add_column(name, justify="right", min_width=8)
        for stage in stages:
            rate = f"{self._rates[stage.name].per_second:,.0f}/s"
            counts = (stage.taken, stage.out, stage.filtered, stage.dead)
            title = Text(stage.name, style="" if stage.ready else "yellow")
            table.add_row(title, *(f"{count:,}" for count in counts), rate, f"{stage.lag:,}")
        return table


class Rate:
    """Of a count that grows."""

    def __init__(self) -> None:
        self._points: deque[tuple[float, int]] = deque()

    def note(self, at: float, count: int) -> None:
        """The count at a time in seconds."""
        self._points.append((at, count))
        while len(self._points) > 2 and at - self._points[1][0] >= RATE_SECONDS:
            self._points.popleft()

    @property
    def per_second(self) -> float:
        """Growth over the last RATE_SECONDS."""
        if len(self._points) < 2 or self._points[-1][0] <= self._points[0][0]:
            return 0.0
        (first, low), (last, high) = self._points[0], self._points[-1]
        return max(0.0, (high - low) / (last - first))


def event_line(event: dict[str, Any]) -> Text:
    """One event in one line: what, which row, whose, and what changed (the values as published)."""
    kind = str(event.get("eventType"))
    org = event.get("orgId") or "-"
    line = Text(no_wrap=True, overflow="ellipsis")
    line.append(f"{kind:<21}", style=COLOURS.get(kind.rpartition(".")[2], ""))
    line.append(f"{event.get('entityType')}:{event.get('entityId')}".ljust(25))
    line.append(f"org {org:<5}", style="dim")
    line.append(changes_text(event))
    return line


def changes_text(event: dict[str, Any]) -> str:
    """The changed columns of an event with their published values, redacted ones first."""
    changes = event.get("changes") or {}
    redacted = set((event.get("metadata") or {}).get("redactedFields") or ())
    previous = event.get("previousKeys")
    parts = [f"key was {':'.join(str(value) for value in previous.values())}"] if previous else []
    # Times and references say the least to somebody who looks on.
    for name in sorted(changes, key=lambda name: (name not in redacted, name.endswith(("At", "ID", "Sec")), name)):
        sides = [changes[name][side] for side in ("old", "new") if side in changes[name]]
        if event.get("operation") == "DELETE":
            sides = sides[:1]
        elif len(sides) == 1 and sides[0] is None:
            continue
        parts.append(f"{name} {' → '.join('null' if value is None else str(value) for value in sides)}")
    return ", ".join(parts)


def letter_line(letter: DeadLetter) -> Text:
    """Why a record is dead; never its values."""
    line = Text(no_wrap=True, overflow="ellipsis")
    line.append(f"{letter.code.value:<21}", style="red")
    line.append(f"{letter.table or '-':<8}{letter.message}")
    return line


def _bar(progress: Progress, width: int) -> Table:
    grid = Table.grid()  # a bar by itself does not end its line
    grid.add_row(ProgressBar(total=max(1, progress.wanted), completed=progress.ended, width=width))
    return grid


def _padded(lines: list[Text], count: int) -> list[Text]:
    """As many lines whatever there is to show: a view that jumps cannot be read."""
    return lines + [Text()] * (count - len(lines))
