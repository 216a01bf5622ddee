"""What the commands of `cdc dlq` have in common: how letters are chosen, and how they are named and masked."""

import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Collection, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from enrichers.letter_view import LetterView, printable
from models.buried import CATEGORIES, CODES, Kind
from models.handled import ACTIONS, LetterId
from models.letter_selection import Selection, moment
from workers.cli.columns import columns, talk
from workers.cli.option_group import option_group
from workers.cli.progress import Progress
from workers.cli.suggestions import unknown_tables
from workers.contract import masking, read_catalogue
from workers.failures import NotFoundError
from workers.kafka.topics import Topics

if TYPE_CHECKING:
    from models.buried import Buried
    from workers.dead_letters.reading import DeadLetters
    from workers.engine.slot_producer import SlotProducer
    from workers.kafka.access import KafkaAccess
    from workers.settings.worker import Settings

NAME = "cdc dlq"
STAGES = ("bridge", "enrich", "publish", "archive")
"""Those whose letters or gaps stand in `cdc.dead`."""


class _Name(click.Choice[str]):
    """One of some names, in any case; a mistake is told with the names as they are written."""

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(names, case_sensitive=False)

    def get_invalid_choice_message(self, value: Any, ctx: click.Context | None) -> str:
        return f"{value!r} is none of {', '.join(self.choices)}"


choosing = option_group(
    click.argument("ids", nargs=-1, metavar="[ID]..."),
    click.option("--stage", "stages", multiple=True, type=click.Choice(STAGES), help="Of this stage."),
    click.option("--code", "codes", multiple=True, type=_Name(CODES), metavar="CODE",
                 help=f"With this code: {', '.join(CODES)}."),
    click.option("--category", "categories", multiple=True, type=_Name(CATEGORIES),
                 metavar="CATEGORY", help=f"Of this category: {', '.join(CATEGORIES)}."),
    click.option("--table", "tables", multiple=True, metavar="NAME", help="Of this table."),
    click.option("--key", "keys", multiple=True, metavar="KEY", help="Of this row, as `list` shows it: users:7."),
    click.option("--since", metavar="WHEN", help="Written since then: 2026-01-15T10:00:00Z, or 90s, 30m, 2h, 7d ago."),
    click.option("--until", metavar="WHEN", help="Written before then."),
)  # fmt: skip
"""Ids and filters; `chosen` makes a Selection of them."""


def chosen(
    ids: Collection[str], *, stages: Collection[str], codes: Collection[str], categories: Collection[str],
    tables: Collection[str], keys: Collection[str], since: str | None, until: str | None,
) -> Selection:  # fmt: skip
    """Raises UsageError."""
    now = now_ms()

    def when(text: str | None, option: str) -> int | None:
        try:
            return None if text is None else moment(text, now)
        except ValueError as error:
            raise click.UsageError(f"{option} {text}: {error}") from None

    since_ms, until_ms = when(since, "--since"), when(until, "--until")
    if since_ms is not None and since_ms >= (now if until_ms is None else until_ms):
        raise click.UsageError("--since has to be before --until, and in the past: no letter was written in between")
    return Selection(
        ids=frozenset(letter_id(text) for text in ids), stages=frozenset(stages), codes=frozenset(codes),
        categories=frozenset(categories), tables=frozenset(tables), keys=frozenset(keys),
        since_ms=since_ms, until_ms=until_ms,
    )  # fmt: skip


def letter_id(text: str) -> LetterId:
    """Raises UsageError."""
    try:
        return LetterId.parse(text)
    except ValueError as error:
        raise click.UsageError(str(error)) from None


def letter_view(settings: "Settings", selection: Selection, command: str = NAME) -> LetterView:
    """With the redaction key, so that hashes and tokens are those of events; without it, if it cannot be had. Says on
    stderr if a table that is asked for is none that is configured: letters may be of one that was."""
    catalogue = read_catalogue(settings)
    known = {name for spec in catalogue.specs for name in (spec.name, spec.table)}
    for note in unknown_tables(selection.tables, known):
        talk(f"{command}: {note}")
    options, secret, other, why = masking(settings)
    if why:
        click.echo(f"{command}: hashes and tokens are shown as masks: {why}", err=True)
    readings = {topic: options.readings[name] for name, topic in Topics.of(settings).raw.items()}
    return LetterView(catalogue, secret=secret, other=other, zone=options.time_zone, readings=readings)


@dataclass(frozen=True, slots=True)
class Opened:
    """The letters of a selection, at one moment."""

    letters: "AsyncIterator[Buried]"
    """Oldest first, with their originals."""
    newest: "Callable[[int], Awaitable[tuple[list[Buried], bool]]]"
    """See workers.dead_letters.reading.newest."""
    found: "DeadLetters"
    view: LetterView


@asynccontextmanager
async def opened(selection: Selection, *, everything: bool) -> "AsyncIterator[Opened]":
    """Read the topic. `everything`, or ids: also letters that were handled."""
    from workers.dead_letters.reading import letters, look, newest  # noqa: PLC0415  importing aiokafka takes half a second
    from workers.kafka.access import kafka_access  # noqa: PLC0415
    from workers.settings.worker import load_settings  # noqa: PLC0415

    settings = load_settings()
    view, tell = letter_view(settings, selection), Progress(NAME)
    handled = (None, *ACTIONS) if everything or selection.ids else (None,)
    async with kafka_access(settings) as kafka:
        found = await look(settings, kafka, selection, tell)

        def read(part: "DeadLetters") -> "AsyncGenerator[Buried]":
            return letters(kafka, part, selection, view.keys, tell, handled=handled)

        async with aclosing(read(found)) as selected:
            yield Opened(selected, lambda limit: newest(found, limit, read), found, view)


@asynccontextmanager
async def writing_access(*, write: bool) -> "AsyncIterator[tuple[Settings, KafkaAccess, SlotProducer | None]]":
    """Kafka, and behind a fence if something is written."""
    from workers.dead_letters.marks import sole_writer  # noqa: PLC0415  importing aiokafka takes half a second
    from workers.kafka.access import kafka_access  # noqa: PLC0415
    from workers.settings.worker import load_settings  # noqa: PLC0415

    settings = load_settings()
    async with kafka_access(settings) as kafka:
        if not write:
            yield settings, kafka, None
            return
        async with sole_writer(settings, kafka) as producer:
            yield settings, kafka, producer


def require_ids(selection: Selection, found: "DeadLetters", *, undo: bool = False) -> None:
    """Of a selection without letters. Raises NotFoundError for ids that Kafka has never given out, or whose letters are
    gone and were not handled. `undo`: only letters that were dropped were looked for."""
    missing = sorted(
        selection.ids - {letter for letter, mark in found.marks.items() if not undo or mark.action == "dropped"}
    )
    if not missing:
        return
    named = ", ".join(map(str, missing))
    if tell_held_back(found):
        what = f"{named} may be hidden by an open transaction, or there is no such letter"
    elif undo:
        what = f"{named} {'is' if len(missing) == 1 else 'are'} not dropped"
    elif found.seen.issuperset(missing):
        what = f"the other filters do not fit {named}"
    else:
        what = f"there is no letter {', '.join(str(letter) for letter in missing if letter not in found.seen)}"
    raise NotFoundError(what, hint="`cdc dlq list --all` shows the letters, and what was done with them")


def tell_held_back(found: "DeadLetters") -> bool:
    """Say which letters could not be read; whether there are any."""
    for place in found.held_back:
        click.echo(f"{NAME}: not read: {place}, an open transaction stands before it; see docs/runbook.md", err=True)
    return bool(found.held_back)


def tell_missing(selection: Selection, found: "DeadLetters", *, whole: bool = True) -> bool:
    """Say which letters could not be read, and which ids are none; whether there are any. `whole`: all that fits was
    read."""
    hidden = tell_held_back(found)
    missing = found.missing(selection.ids, whole=whole)
    if missing:
        click.echo(f"{NAME}: no letter, or Kafka has deleted it: {', '.join(map(str, missing))}", err=True)
    return hidden or bool(missing)


def kind_lines(kinds: Collection[tuple[Kind, int]]) -> Iterator[str]:
    """A table of how many letters there are of each kind."""
    rows: list[tuple[str, ...]] = [("LETTERS", "STAGE", "CODE", "TABLE", "MESSAGE")]
    rows += [
        (f"{count:,}", stage or "-", code, table or "-", message) for (stage, code, table, message), count in kinds
    ]
    if kinds:
        yield from map(printable, columns(rows, left=rows[0][1:]))


def kind_documents(kinds: Collection[tuple[Kind, int]]) -> list[dict[str, Any]]:
    """The same for programs."""
    return [
        {"stage": stage, "code": code, "table": table or None, "message": message, "letters": count}
        for (stage, code, table, message), count in kinds
    ]


def counted(number: int, noun: str = "letter") -> str:
    """How many, in words."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def now_ms() -> int:
    """Milliseconds since the epoch."""
    return time.time_ns() // 1_000_000
