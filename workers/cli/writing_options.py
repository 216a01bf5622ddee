"""Options of every command that writes: a dry run, the word for it, and the form of what was done."""

from collections.abc import Callable
from typing import Any

import click

from workers.cli.option_group import option_group


def writing(dry_run: str) -> Callable[[Any], Any]:
    """`--dry-run` with this help, `--yes` and `--output`."""
    return option_group(
        click.option("--dry-run", is_flag=True, help=dry_run),
        click.option("--yes", is_flag=True, help="Write; without it the command ends with exit code 8."),
        click.option("--output", type=click.Choice(["table", "json"]), default="table", show_default=True,
                     help="json: one document on stdout."),
    )  # fmt: skip
