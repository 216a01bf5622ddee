"""How far long work is, told on stderr."""

import sys
import time
from types import TracebackType
from typing import Self

import click

TELL_SECONDS = 2.0
DRAW_SECONDS = 0.1
BAR_WIDTH = 30


class Progress:
    """Says every two seconds how far the command is; quick work says nothing."""

    def __init__(self, command: str) -> None:
        self.command = command
        self._told_at = time.monotonic()

    def __call__(self, what: str, done: int, total: int) -> None:
        """`done` of `total` steps of `what`."""
        if time.monotonic() - self._told_at >= TELL_SECONDS:
            self._told_at = time.monotonic()
            click.echo(f"{self.command}: {what}: {done:,} of {total:,}", err=True)
            sys.stderr.flush()


class ProgressBar:
    """A bar with the time that is left, on a terminal; elsewhere what Progress says. Of work that is cut off it says
    how far it came."""

    def __init__(self, command: str) -> None:
        self._command = command
        self._told = Progress(command)
        self._last: tuple[str, int, int] | None = None
        self._drawn = sys.stderr.isatty()
        self._began = time.monotonic()
        self._drawn_at = 0.0
        self._open = False
        self._width = 0
        """Of what was drawn last: a shorter text must cover it."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._open:
            click.echo(err=True)
        if kind is not None and self._last is not None:
            what, done, total = self._last
            click.echo(f"{self._command}: {what}: at least {done:,} of {total:,}", err=True)

    def __call__(self, what: str, done: int, total: int) -> None:
        """`done` of `total` steps of `what`."""
        self._last = what, done, total
        now = time.monotonic()
        if not self._drawn:
            self._told(what, done, total)
        elif done >= total or now - self._drawn_at >= DRAW_SECONDS:
            self._drawn_at, self._open = now, True
            full = BAR_WIDTH * done // max(1, total)
            left = (now - self._began) * (total - done) / max(1, done)
            bar = "#" * full + "-" * (BAR_WIDTH - full)
            text = f"[{bar}] {done:,} of {total:,} {what}, {left:,.0f} s left"
            click.echo(f"\r{text:<{self._width}}", err=True, nl=False)
            self._width = len(text)
            sys.stderr.flush()
