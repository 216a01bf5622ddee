"""`docs/commands.md`, from the commands themselves: `python -m workers.reference.commands` writes it."""

import inspect
from collections.abc import Iterator
from pathlib import Path

import click

from workers.cli.main import cdc
from workers.reference.exit_codes import MEANINGS

PAGE = Path("docs/commands.md")
HEAD = """# Commands

Written by `python -m workers.reference.commands`; do not edit.

`cdc` and `python -m workers` are the same. Data goes to stdout, talk to stderr. `--output json` prints one document,
`jsonl` one line each. Nothing asks without a terminal; what needs `--yes` ends with exit code 8 then. `NO_COLOR` is
respected. `cdc completion` prints completion for bash, zsh and fish. Settings come from the environment and `.env`:
[settings.md](settings.md). Errors of records: [errors.md](errors.md); findings of `cdc check`:
[findings.md](findings.md).
"""
PLAIN = "\b\n"


def command_page() -> str:
    """The whole page."""
    return "\n".join(_page()) + "\n"


def leaves(group: click.Group = cdc, path: tuple[str, ...] = ("cdc",)) -> Iterator[tuple[str, click.Command]]:
    """(`cdc topics plan`, command) of everything that can be run, in alphabetical order."""
    context = click.Context(group, info_name=path[-1])
    for name in sorted(group.list_commands(context)):
        command = group.get_command(context, name)
        if command is None or command.hidden:
            continue
        if isinstance(command, click.Group):
            yield from leaves(command, (*path, name))
        else:
            yield " ".join((*path, name)), command


def examples(command: click.Command) -> list[str]:
    """Lines of the examples in the help of a command."""
    found = [part for part in _paragraphs(command) if _is_example(part)]
    return [line.strip() for part in found for line in _lines(part)[1:] if line.strip()]


def _page() -> Iterator[str]:
    yield HEAD
    every = list(leaves())
    yield from ("| command | what it does |", "|---|---|")
    for path, command in every:
        yield f"| [`{path}`](#{path.replace(' ', '-')}) | {_cell(first_sentence(command))} |"
    yield from ("", "## Exit codes", "", "| code | meaning |", "|---|---|")
    yield from (f"| {int(code)} | {meaning} |" for code, meaning in MEANINGS.items())
    for path, command in every:
        yield from ("", f"## {path}", "")
        yield from _one(path, command)


def _one(path: str, command: click.Command) -> Iterator[str]:
    context = click.Context(command, info_name=path)
    usage = " ".join(command.collect_usage_pieces(context))
    yield from ("```text", f"{path} {usage}".rstrip(), "```", "")
    for part in _paragraphs(command):
        if _is_example(part):
            yield from ("```sh", *inspect.cleandoc("\n".join(_lines(part)[1:])).splitlines(), "```", "")
        elif part.startswith(PLAIN):
            yield from ("```text", *_lines(part), "```", "")
        else:
            yield from (" ".join(line.strip() for line in part.splitlines()), "")
    options = [one for one in command.params if isinstance(one, click.Option) and not one.hidden]
    if options:
        yield from ("| option | meaning |", "|---|---|")
        for option in options:
            record = option.get_help_record(context)
            if record is not None:
                yield f"| `{_cell(record[0])}` | {_cell(record[1])} |"


def _paragraphs(command: click.Command) -> list[str]:
    """Of help and epilog. What begins with a backspace keeps its lines."""
    found = []
    for text in (command.help, command.epilog):
        parts = inspect.cleandoc(text or "").split("\n\n")
        found += [part.strip("\n") for part in parts if part.strip()]
    return found


def _lines(part: str) -> list[str]:
    return part.removeprefix(PLAIN).splitlines()


def _is_example(part: str) -> bool:
    return part.removeprefix(PLAIN).startswith(("Example:", "Examples:"))


def first_sentence(command: click.Command) -> str:
    """The first paragraph of the help."""
    return " ".join((_paragraphs(command) or [""])[0].split())


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def main() -> None:
    """Write the page."""
    PAGE.write_text(command_page(), encoding="utf-8")


if __name__ == "__main__":
    main()
