"""How far long work is, told on stderr."""

import sys
import time

import click

TELL_SECONDS = 2.0


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
