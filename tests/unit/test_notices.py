"""The commands that an alert says to begin with: they find its letters, and do nothing else."""

import shlex

import pytest

from models.alerts import OTHER, Due, Matter
from workers.archive.notices import letters_notice
from workers.cli.dlq import dlq

LATEST = {"id": "0-3-ab", "letterId": "0:3"}


def commands(matter: Matter) -> list[list[str]]:
    """The words of each command, as a shell reads them."""
    run = letters_notice(Due(matter, 1, 0, 0, LATEST)).document["run"]
    return [words(line) for line in run]


def words(line: str) -> list[str]:
    found = shlex.shlex(line, posix=True, punctuation_chars=True)
    found.whitespace_split = True
    return list(found)


@pytest.mark.parametrize(
    ("matter", "told"),
    [
        (Matter("enrich", "PARSE_ERROR", "users"), "list --stage enrich --code PARSE_ERROR --table users"),
        (Matter("bridge", "GAP", ""), "list --stage bridge --code GAP"),
        (Matter("enrich", "GAP", "cdc.raw.core"), "list --stage enrich --code GAP"),  # the topic is no table
        (Matter("archive", "GAP", "cdc.dead"), "list --stage archive --code GAP"),
        (Matter("", "UNREADABLE", ""), "list --code UNREADABLE"),
        (Matter(OTHER, OTHER, OTHER), "stats"),
    ],
)
def test_an_alert_names_commands_that_show_its_letters(matter: Matter, told: str) -> None:
    show, look = commands(matter)
    assert show == ["cdc", "dlq", "show", "0:3"]
    assert look == ["cdc", "dlq", *told.split()]
    name, *arguments = look[2:]
    dlq.commands[name].make_context(name, arguments)  # raises UsageError for what it does not know


def test_the_name_of_a_table_is_no_command_of_a_shell() -> None:
    assert commands(Matter("enrich", "PARSE_ERROR", "x;$(reboot)"))[1][-2:] == ["--table", "x;$(reboot)"]
