"""The list of commands is what a newcomer reads first."""

from click.testing import CliRunner

from workers.cli.main import cdc


def test_the_list_of_commands_cuts_no_sentence_off() -> None:
    shown = CliRunner().invoke(cdc, ["--help"], terminal_width=80).output
    assert "  worker " in shown
    assert "..." not in shown.split("Commands:", 1)[1]


def test_the_list_of_commands_fits_a_terminal_of_80_columns() -> None:
    shown = CliRunner().invoke(cdc, ["--help"], terminal_width=80).output
    assert max(len(line) for line in shown.splitlines()) <= 80
