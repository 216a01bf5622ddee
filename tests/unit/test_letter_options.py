"""What `cdc dlq` understands of ids, filters and files before it asks Kafka."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from workers.cli.dlq import dlq


@pytest.mark.parametrize("command", [["list"], ["stats"], ["redrive", "--dry-run"], ["drop", "--yes"]])
@pytest.mark.parametrize("times", [["--since", "1h", "--until", "2h"], ["--since", "2999-01-01T00:00:00Z"]])
def test_a_time_in_which_no_letter_can_be_is_a_mistake_of_usage(command: list[str], times: list[str]) -> None:
    result = CliRunner().invoke(dlq, [*command, *times])
    assert (result.exit_code, "--since has to be before --until" in result.output) == (2, True)


def test_letters_are_written_to_a_file_and_not_to_a_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(dlq, ["export", "-"])
    assert (result.exit_code, "give the name of a file" in result.output) == (2, True)
    assert not list(tmp_path.iterdir())
