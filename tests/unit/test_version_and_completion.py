"""`cdc version`, `cdc completion`, and what a mistyped word may have meant."""

import json
import os
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import click
import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner

from workers.cli.completion import SHELLS, VARIABLE
from workers.cli.main import cdc
from workers.cli.suggestions import with_suggestion
from workers.version import version

ROOT = Path(__file__).parents[2]


def offered(*words: str) -> set[str]:
    """What is offered for the last word."""
    *before, last = words
    return {item.value for item in ShellComplete(cdc, {}, "cdc", VARIABLE).get_completions(before, last)}


def test_the_version_names_what_a_report_of_a_bug_needs() -> None:
    ended = CliRunner().invoke(cdc, ["version", "--json"])
    found = json.loads(ended.stdout)
    assert found["version"] == metadata.version("cdc-worker")
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
    assert {"faust-streaming", "aiokafka", "boto3"} <= found["dependencies"].keys()
    assert {"msk", "postgres", "sandbox"} <= found["extras"].keys()
    assert CliRunner().invoke(cdc, ["version", "--output", "json"]).stdout == ended.stdout
    assert f"cdc-worker      {version().version}" in CliRunner().invoke(cdc, ["version"]).stdout


def test_a_shell_is_offered_commands_options_and_names() -> None:
    assert offered("top") == {"topics"}
    assert offered("topics", "p") == {"plan"}
    assert offered("check", "--only", "ka") == {"kafka"}
    assert offered("config", "show", "cdc_ling") == {"CDC_LINGER"}
    assert offered("check", "--explain", "clock.r") == {"clock.refused"}


def test_the_command_answers_the_script() -> None:
    asked = {VARIABLE: "bash_complete", "COMP_WORDS": "cdc topics p", "COMP_CWORD": "2", "PYTHONPATH": str(ROOT)}
    ended = subprocess.run(
        [sys.executable, "-m", "workers"], env=os.environ | asked, capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout) == (0, "plain,plan\n")


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_is_one_that_the_shell_takes(shell: str) -> None:
    script = CliRunner().invoke(cdc, ["completion", shell]).stdout
    assert "_CDC_COMPLETE" in script
    if shutil.which(shell):
        check = subprocess.run([shell, "-n"], input=script, capture_output=True, text=True, check=False)
        assert (check.returncode, check.stderr) == (0, "")


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["topics", "aply"], "Did you mean 'apply'?"),
        (["chek"], "Did you mean 'check'?"),
        (["check", "--only", "kafak"], "Did you mean 'kafka'?"),
        (["check", "--onyl", "kafka"], "Did you mean --only?"),
        (["status", "--stage", "enrichh"], "Did you mean 'enrich'?"),
        (["worker", "--stages", "enirch"], "Did you mean 'enrich'?"),
    ],
)
def test_a_mistyped_word_is_told_what_it_may_have_meant(words: list[str], meant: str) -> None:
    with pytest.raises(click.ClickException) as raised:
        cdc.main(words, standalone_mode=False)
    assert meant in with_suggestion(raised.value).format_message()


def test_a_finding_is_explained_and_a_mistyped_one_corrected() -> None:
    found = json.loads(CliRunner().invoke(cdc, ["check", "--explain", "clock.refused", "--output", "json"]).stdout)
    assert (found["section"], found["severity"], found["exit_code"]) == ("clock", "error", 3)
    ended = CliRunner().invoke(cdc, ["check", "--explain", "clock.refuse"])
    assert getattr(ended.exception, "hint", "") == "did you mean clock.refused?"
