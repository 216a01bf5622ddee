"""Pages that are written from the code are current, and all commands speak with one voice."""

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from workers.checks.kafka_kinds import KINDS
from workers.cli.demo import _coloured
from workers.cli.main import cdc
from workers.failures import ExitCode
from workers.reference import commands, errors, findings, settings
from workers.reference.commands import examples, first_sentence, leaves
from workers.reference.exit_codes import MEANINGS
from workers.settings.worker import environment_names

ROOT = Path(__file__).parents[2]
COMMANDS = dict(leaves())
PRINTS_NO_DATA = {
    "cdc completion", "cdc sandbox up", "cdc sandbox down", "cdc sandbox env", "cdc worker",
}  # fmt: skip
"""Scripts, exports, and what only talks."""
WRITES_ONE_FORM = {
    "cdc checkpoint export", "cdc config schema", "cdc dlq export", "cdc schema docs", "cdc schema export",
    "cdc table export", "cdc tables init", "cdc tables schema",
}  # fmt: skip
"""Documents whose form is what the command is for."""


@pytest.mark.parametrize(
    ("page", "made"),
    [
        (commands.PAGE, commands.command_page), (settings.PAGE, settings.setting_page),
        (findings.PAGE, findings.finding_page), (errors.PAGE, errors.error_page),
    ],
)  # fmt: skip
def test_the_page_is_the_generated_one(page: Path, made: Callable[[], str]) -> None:
    module = made.__module__
    assert (ROOT / page).read_text(encoding="utf-8") == made(), f"run `python -m {module}`"


def test_the_pages_name_every_setting_finding_and_exit_code() -> None:
    setting_page, finding_page = settings.setting_page(), findings.finding_page()
    assert [name for name in environment_names() if f"`{name}`" not in setting_page] == []
    assert [name for name in KINDS if f"| `{name}` |" not in finding_page] == []
    assert MEANINGS.keys() == set(ExitCode)


@pytest.mark.parametrize("path", COMMANDS)
def test_a_command_says_in_a_sentence_what_it_does_and_shows_an_example(path: str) -> None:
    command = COMMANDS[path]
    sentence = first_sentence(command)
    assert re.match(r"[A-Z][a-z]+ .*\.$", sentence), sentence
    assert any(f"{path}" in line for line in examples(command)), "no example of the command itself"


@pytest.mark.parametrize("path", COMMANDS)
def test_every_option_is_explained_in_a_sentence_with_its_value_in_capitals(path: str) -> None:
    context = click.Context(COMMANDS[path])
    for option in COMMANDS[path].params:
        if not isinstance(option, click.Option) or option.hidden:
            continue
        text = option.help or ""
        assert text, f"{option.opts} has no help"
        assert text.rstrip().endswith((".", ".)")), f"{option.opts}: {text!r} is no sentence"
        assert re.match(r"[A-Z`]|[a-z]+:|.*\b[a-z]+:", text), f"{option.opts}: {text!r}"
        metavar = option.make_metavar(context)
        plain = option.is_flag or isinstance(option.type, click.Choice)
        assert plain or metavar == metavar.upper() or "[" in metavar, f"{option.opts}: {metavar}"


@pytest.mark.parametrize("path", [path for path in COMMANDS if path not in PRINTS_NO_DATA | WRITES_ONE_FORM])
def test_a_command_that_prints_data_lets_one_choose_its_form(path: str) -> None:
    (output,) = [option for option in COMMANDS[path].params if option.name == "output"]
    assert isinstance(output.type, click.Choice)
    assert "json" in output.type.choices


@pytest.mark.parametrize("path", COMMANDS)
def test_every_example_names_commands_and_options_that_exist(path: str) -> None:
    for line in examples(COMMANDS[path]):
        for part in re.findall(r"\bcdc ([a-z](?:'[^']*'|[^|;&#)>'])*)", line):
            text = part.split('"$')[0]
            quoted = text.count("'") % 2 == text.count('"') % 2 == 0
            words = shlex.split(text if quoted else text.rstrip("'\""), comments=True)
            command: click.Command = cdc
            while isinstance(command, click.Group) and words and not words[0].startswith("-"):
                inner = command.get_command(click.Context(command), words.pop(0))
                assert inner is not None, line
                command = inner
            known = {name for one in command.params for name in (*one.opts, *one.secondary_opts)}
            asked = {word.split("=")[0] for word in words if word.startswith("--")}
            assert asked <= known | {"--help"}, line


def test_no_option_takes_a_secret() -> None:
    names = {name for command in COMMANDS.values() for option in command.params for name in option.opts}
    assert not {name for name in names if re.search(r"password|secret|token$|-key$", name)} - {"--key"}


def test_only_the_demo_uses_colour_and_honours_no_color() -> None:
    rooms = (ROOT / "workers/cli").glob("*.py")
    styled = {path.name for path in rooms if re.search(r"click\.(style|secho)|\\x1b\[[0-9;]*m", path.read_text())}
    assert styled <= {"demo.py"}


@pytest.mark.parametrize(
    ("terminal", "no_color", "coloured"), [(True, "", True), (True, "1", False), (False, "", False)]
)
def test_colour_needs_a_terminal_that_does_not_refuse_it(
    terminal: bool, no_color: str, coloured: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: terminal)
    monkeypatch.setenv("NO_COLOR", no_color)
    assert _coloured() is coloured
