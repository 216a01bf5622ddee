"""Options of every command that writes: a dry run, the word for it, and the form of what was done."""

from collections.abc import Callable
from typing import Any

import click

Command = Callable[..., Any]


def writing(dry_run: str) -> Callable[[Command], Command]:
    """`--dry-run` with this help, `--yes` and `--output`."""
    options = (
        click.option("--dry-run", is_flag=True, help=dry_run),
        click.option("--yes", is_flag=True, help="Write; without it the command ends with exit code 8."),
        click.option("--output", type=click.Choice(["table", "json"]), default="table", show_default=True,
                     help="json: one document on stdout."),
    )  # fmt: skip

    def decorate(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate
