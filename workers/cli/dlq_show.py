"""`cdc dlq show`: one letter, its way, and what to do about it."""

import asyncio
import base64
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

import click

from enrichers.letter_view import printable
from models.buried import Buried
from models.letter_selection import Selection
from workers.cli.checkpoint_lines import utc
from workers.cli.columns import hanging, terminal_width
from workers.cli.dlq_options import NAME, letter_id, opened, require_ids
from workers.cli.quiet import quiet
from workers.dead_letters.documents import show_document
from workers.failures import CommandError, RefusedError

if TYPE_CHECKING:
    from enrichers.letter_view import LetterView

INDENT = 10
"""Where the values of the fields stand."""
EXAMPLES = """\b
Examples:
  cdc dlq show 3:1841
  cdc dlq show 3:1841 --output json | jq .payload
  cdc dlq show 3:1841 --unmasked --yes      # personal data
"""


@click.command(epilog=EXAMPLES)
@click.argument("id", metavar="ID")
@click.option("--unmasked", is_flag=True, help="Show the original too, with all personal data in it. Needs --yes.")
@click.option("--yes", is_flag=True, help="Of --unmasked: you may see it, and so may your terminal's log.")
@click.option("--output", type=click.Choice(["table", "json"]), default="table", show_default=True,
              help="json: one document on stdout.")  # fmt: skip
def show(*, id: str, unmasked: bool, yes: bool, output: Literal["table", "json"]) -> None:  # noqa: A002
    """Show one dead letter: what went wrong, where the record came from, and what to do.

    The payload is shown as the rules of its table leave it, as in events. Of a value that is not of its column's type,
    and of what cannot be decoded, nothing is shown; size and digest tell two payloads apart.

    Exit code: 0, 6 if there is no such letter, 8 if --unmasked is without --yes.
    """
    wanted = letter_id(id)
    if unmasked and not yes:
        raise RefusedError(
            "the original holds what redaction takes away", hint="if you may see it, run it again with --yes"
        )
    with quiet():
        letter, view = asyncio.run(_find(Selection(ids=frozenset((wanted,)))))
    document = show_document(letter, view)
    if unmasked:
        click.echo(f"{NAME}: this shows the original of {wanted}, unmasked", err=True)
        document["original"] = _original(letter)
    if output == "json":
        click.echo(json.dumps(document, indent=2, ensure_ascii=False))
        return
    for line in show_lines(letter, document):
        for part in hanging(line, INDENT, terminal_width()) if not line.startswith(" ") else [line]:
            click.echo(part)


async def _find(selection: Selection) -> "tuple[Buried, LetterView]":
    async with opened(selection, everything=True) as now:
        async for letter in now.letters:
            return letter, now.view
    require_ids(selection, now.found)
    (wanted,) = selection.ids
    raise CommandError(f"Kafka has deleted {wanted}, which was {now.found.marks[wanted].action}")


def _original(letter: Buried) -> dict[str, Any]:
    """Key and value as they are: text where they are text that a terminal can show, base64 in any case."""
    found: dict[str, Any] = {}
    for name, content in (("key", letter.record.key), ("value", letter.record.value)):
        found[f"{name}B64"] = base64.b64encode(content).decode() if content is not None else None
        try:
            text = content.decode() if content is not None else None
        except UnicodeDecodeError:
            text = None
        plain = (text or "").replace("\n", " ").replace("\t", " ")
        found[name] = text if printable(plain) == plain else None
    return found


def show_lines(letter: Buried, document: dict[str, Any]) -> Iterator[str]:
    """The same for people. Names of columns and tables are the source's, and may be anything."""
    yield from map(printable, _lines(letter, document))


def _lines(letter: Buried, document: dict[str, Any]) -> Iterator[str]:
    fields = [("id", str(letter.id)), ("code", f"{letter.code} {letter.category and f'({letter.category})'}".rstrip())]
    fields += [("message", letter.message), ("stage", letter.stage or "-"), ("table", letter.table or "-")]
    fields += [("key", document["key"] or "-"), *_hops(letter)]
    if letter.letter is not None:
        fields += [
            ("attempts", f"{letter.letter.attempts}, redriven or replayed {letter.replay} times"),
            ("tables", f"fingerprint {letter.letter.fingerprint}"),
        ]
    fields += [("headers", ", ".join(f"{name}={value}" for name, value in document["headers"].items()) or "-")]
    yield from (f"{name:<9} {text}" for name, text in fields)
    yield from _payload(document["payload"])
    if "original" in document:
        original = document["original"]
        for name, label in (("key", "original"), ("value", "")):
            text = original[name] if original[name] is not None else f"in base64 {original[f'{name}B64']}"
            yield f"{label:<9} {name} {text if original[f'{name}B64'] is not None else 'none'}"
    if "notRedrivable" in document:
        yield f"{'redrive':<9} not possible: {document['notRedrivable']}"
    else:
        yield f"{'redrive':<9} cdc dlq redrive {letter.id} --dry-run"
    yield f"{'to do':<9} {document['whatToDo']}"


def _hops(letter: Buried) -> Iterator[tuple[str, str]]:
    told = letter.letter
    if told is not None:
        if told.stream or told.shard:
            yield "source", f"{told.stream or '-'} {told.shard} {told.sequence}/{told.sub_sequence}"
        when = f" of {utc(told.timestamp_ms)}" if told.timestamp_ms else ""
        yield "read", f"{told.topic}/{told.partition} offset {told.offset}{when}"
        if told.redriven is not None:
            yield "again", f"redrive topic of {told.stage}/{told.partition} offset {told.redriven}"
        yield "failed", f"{utc(told.last_failed_ms)}, first {utc(told.first_failed_ms)}"
    yield "letter", f"{utc(letter.time_ms)}, partition {letter.id.partition} offset {letter.id.offset}"
    if letter.handled is not None:
        yield letter.handled.action, utc(letter.handled.at_ms)


def _payload(payload: dict[str, Any] | None) -> Iterator[str]:
    if payload is None:
        yield f"{'payload':<9} none"
        return
    why = f", not shown: {payload['notShown']}" if "notShown" in payload else ", masked:"
    yield f"{'payload':<9} {payload['bytes']:,} bytes, SHA-256 {payload['sha256']}{why}"
    if "content" in payload:
        text = json.dumps(payload["content"], indent=2, ensure_ascii=False)
        yield from (f"{'':<10}{line}" for line in text.splitlines())
    for column, kind in payload.get("wrongTypes", {}).items():
        yield f"{'':<10}{column} is not of type or form {kind}: not shown"
    if "shownByRulesOfNow" in payload:
        yield (
            f"{'':<10}not as they stand in the record, but as the rules of now leave them: "
            f"{', '.join(payload['shownByRulesOfNow'])}"
        )
