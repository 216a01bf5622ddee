"""Which of several sources a command is about."""

import difflib
from typing import TYPE_CHECKING

import click

from workers.failures import NotFoundError

if TYPE_CHECKING:
    from models.source_spec import SourceSpec
    from workers.settings.worker import Settings


def named_source(settings: "Settings", name: str) -> "SourceSpec":
    """The source of that name. Raises NotFoundError."""
    known = {source.name: source for source in settings.sources}
    if name not in known:
        close = difflib.get_close_matches(name, known, n=1)
        meant = f"did you mean {close[0]}?" if close else f"there are: {', '.join(known)}"
        raise NotFoundError(f"there is no source {name}", hint=meant)
    return known[name]


def one_source(settings: "Settings", name: str | None) -> "SourceSpec":
    """The source of that name; without one the only source there is. Raises NotFoundError, UsageError."""
    if name is not None:
        return named_source(settings, name)
    if len(settings.sources) > 1:
        names = ", ".join(source.name for source in settings.sources)
        raise click.UsageError(f"there are several sources, choose one with --source: {names}")
    return settings.sources[0]
