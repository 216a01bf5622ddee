"""How letters are named on the command line."""

import click
import pytest
from click.testing import CliRunner

from workers.cli.dlq_options import choosing


@click.command()
@choosing
def shown(codes: tuple[str, ...], **_: object) -> None:
    click.echo(",".join(codes))


@pytest.mark.parametrize("written", ["PARSE_ERROR", "parse_error", "Parse_Error"])
def test_a_code_is_taken_in_any_case(written: str) -> None:
    assert CliRunner().invoke(shown, ["--code", written]).output == "PARSE_ERROR\n"


def test_a_code_that_is_none_is_told_with_the_codes_as_they_are_written() -> None:
    told = CliRunner().invoke(shown, ["--code", "nosuch"])
    assert told.exit_code == 2
    assert "'nosuch' is none of PARSE_ERROR, VALIDATION_ERROR, " in told.output
