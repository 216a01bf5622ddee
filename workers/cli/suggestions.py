"""What a mistyped word may have meant: commands of groups and values of choices. Options are click's own matter."""

import difflib
import re
from collections.abc import Collection, Iterator

import click

from workers.failures import unknown_name

_COMMAND = re.compile(r"No such command '(.+)'\.$")
_CHOICE = re.compile(r"'(.+)' is not one of ")


def meant(word: str, known: list[str]) -> str:
    """` Did you mean 'x'?`, or nothing if no name is close."""
    close = difflib.get_close_matches(word.lower(), known, n=1)
    return f" Did you mean '{close[0]}'?" if close else ""


def with_suggestion(error: click.ClickException) -> click.ClickException:
    """The same error; it names what may have been meant, if that is not said yet."""
    if "Did you mean" in error.message:
        return error
    context = error.ctx if isinstance(error, click.UsageError) else None
    found = _COMMAND.search(error.message)
    if found is not None and context is not None and isinstance(context.command, click.Group):
        known = context.command.list_commands(context)
        error.message += meant(found[1], known) or f" There are: {', '.join(known)}."
    found = _CHOICE.match(error.message)
    if found is not None and isinstance(error, click.BadParameter) and error.param is not None:
        choices = error.param.type
        if isinstance(choices, click.Choice):
            error.message += meant(found[1], [str(choice) for choice in choices.choices])
    return error


def unknown_tables(names: Collection[str], known: Collection[str]) -> Iterator[str]:
    """Notes about tables of a filter that nobody has described. No error: records may be of tables of earlier times."""
    for name in sorted(set(names) - set(known)):
        error = unknown_name("table", name, sorted(known))
        yield f"note: {error}; {error.hint}"
