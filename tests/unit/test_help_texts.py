"""Help of every command on a terminal of 80 columns."""

from collections.abc import Iterator

import click
import pytest

from workers.cli.main import cdc

WIDTH = 80


def commands(command: click.Command, parent: click.Context | None = None) -> Iterator[tuple[str, list[str]]]:
    name = command.name or "cdc"
    context = click.Context(command, info_name=name, parent=parent, terminal_width=WIDTH, max_content_width=WIDTH)
    yield context.command_path, command.get_help(context).splitlines()
    if isinstance(command, click.Group):
        for each in command.list_commands(context):
            below = command.get_command(context, each)
            assert below is not None
            yield from commands(below, context)


HELPS = dict(commands(cdc))


def test_every_group_is_looked_into() -> None:
    assert {"cdc", "cdc status", "cdc dlq redrive", "cdc checkpoint import", "cdc rules test"} <= HELPS.keys()


@pytest.mark.parametrize("command", HELPS)
def test_no_line_of_a_help_is_wider_than_a_terminal(command: str) -> None:
    assert [line for line in HELPS[command] if len(line) > WIDTH] == []
