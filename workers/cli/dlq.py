"""`cdc dlq`: the dead letters, which stand in Kafka (cdc.dead): looked at, redriven, dropped, exported."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal

import click

from enrichers.letter_view import printable
from workers.cli.checkpoint_lines import utc
from workers.cli.columns import columns
from workers.cli.dlq_export import export
from workers.cli.dlq_import import import_
from workers.cli.dlq_options import NAME, choosing, chosen, counted, opened, require_ids, tell_missing
from workers.cli.dlq_redrive import drop, redrive
from workers.cli.dlq_show import show
from workers.cli.quiet import quiet
from workers.dead_letters.documents import BY, LetterCount, in_order_of, list_document, part_of
from workers.failures import ExitCode

if TYPE_CHECKING:
    from enrichers.letter_view import LetterView
    from models.buried import Buried
    from models.letter_selection import Selection

LIST_EXAMPLES = """\b
Examples:
  cdc dlq list --since 2h
  cdc dlq list --table users --code VALIDATION_ERROR --limit 0
  cdc dlq list --key users:7 --all
  cdc dlq list --output jsonl | jq -r .id
"""
STATS_EXAMPLES = """\b
Examples:
  cdc dlq stats
  cdc dlq stats --by message --table users
  cdc dlq stats --by hour --since 1d
"""
MORE = ", there are more: --limit 0 shows all, `cdc dlq stats` counts them"
MESSAGE = 100
"""Characters of a message in a table."""


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def dlq() -> None:
    """Dead letters: records that could not become events (cdc.dead). See docs/dead-letters.md."""


@dlq.command(name="list", epilog=LIST_EXAMPLES)
@choosing
@click.option("--limit", type=click.IntRange(0), default=50, show_default=True, help="At most so many; 0: all.")
@click.option("--oldest", is_flag=True, help="The oldest ones, oldest first; default: the newest, newest first.")
@click.option("--all", "everything", is_flag=True, help="Also letters that were redriven or dropped.")
@click.option("--output", type=click.Choice(["table", "json", "jsonl"]), default="table", show_default=True,
              help="json: one document; jsonl: one letter per line.")  # fmt: skip
@click.pass_context
def list_(
    ctx: click.Context, /, *, limit: int, oldest: bool, everything: bool, output: Literal["table", "json", "jsonl"],
    **filters: Any,
) -> None:  # fmt: skip
    """Show dead letters, without their payloads.

    IDs are PARTITION:OFFSET in cdc.dead. Without IDs and filters: all that were neither redriven nor dropped. KEY is
    the row, redacted as in events; *** where nothing of it can be shown. REPLAY is how often a letter had been redriven
    when it failed again. TIME is Kafka's, of the letter.

    Exit code: 0, 6 if no ID exists, 7 if some do not exist, or an open transaction hides letters.
    """
    selection = chosen(**filters)
    with quiet():
        found, more, view, hidden = asyncio.run(_list(selection, limit, oldest=oldest, everything=everything))
    if output == "table":
        for line in list_lines(found, view, everything=everything):
            click.echo(line)
    else:
        documents = (list_document(letter, view) for letter in found)
        if output == "json":
            click.echo(json.dumps(list(documents), indent=2, ensure_ascii=False))
        else:
            for document in documents:
                click.echo(json.dumps(document, ensure_ascii=False))
    click.echo(f"{NAME}: {counted(len(found))}{MORE if more else ''}", err=True)
    if hidden:
        ctx.exit(int(ExitCode.PARTIAL))


async def _list(
    selection: "Selection", limit: int, *, oldest: bool, everything: bool
) -> "tuple[list[Buried], bool, LetterView, bool]":
    kept: list[Buried] = []
    more = False
    async with opened(selection, everything=everything) as now:
        if oldest or not limit:
            async for letter in now.letters:
                if more := limit > 0 and len(kept) == limit:
                    break
                kept.append(letter.without_value())
            if not oldest:
                kept.reverse()
        else:
            kept, more = await now.newest(limit)
    if not kept:
        require_ids(selection, now.found)
    return kept, more, now.view, tell_missing(selection, now.found, whole=not more)


def list_lines(found: "Sequence[Buried]", view: "LetterView", *, everything: bool) -> Iterator[str]:
    """A table of letters."""
    if not found:
        return
    head = ["ID", "TIME", "STAGE", "CODE", "TABLE", "KEY", "REPLAY", "BYTES", "MESSAGE"]
    rows = [head if not everything else [*head[:-1], "HANDLED", head[-1]]]
    for letter in found:
        message = letter.message if len(letter.message) <= MESSAGE else f"{letter.message[:MESSAGE]}…"
        row = [
            str(letter.id), utc(letter.time_ms), letter.stage or "-", letter.code, letter.table or "-",
            view.key(letter) or "-", str(letter.replay), f"{letter.size:,}" if letter.size is not None else "-",
        ]  # fmt: skip
        rows.append([*row, *([letter.handled.action if letter.handled else "-"] if everything else []), message])
    left = [name for name in rows[0] if name not in ("REPLAY", "BYTES")]
    yield from map(printable, columns(rows, left=left, least=("BYTES", "REPLAY", "STAGE", "TABLE")))


@dlq.command(epilog=STATS_EXAMPLES)
@choosing
@click.option("--by", "by", multiple=True, type=click.Choice(BY),
              help="Count by this; may be repeated. Default: stage, code and table.")  # fmt: skip
@click.option("--all", "everything", is_flag=True, help="Also letters that were redriven or dropped.")
@click.option("--output", type=click.Choice(["table", "json", "jsonl"]), default="table", show_default=True,
              help="json: one document; jsonl: one line per row.")  # fmt: skip
@click.pass_context
def stats(
    ctx: click.Context, /, *, by: tuple[str, ...], everything: bool, output: Literal["table", "json", "jsonl"],
    **filters: Any,
) -> None:  # fmt: skip
    """Count dead letters.

    Hours are UTC, of Kafka's time of the letters; with them rows follow in their order, else the largest count comes
    first. BYTES are those of the originals.

    Exit code: 0, 6 if no ID exists, 7 if some do not exist, or an open transaction hides letters.
    """
    selection = chosen(**filters)
    names = tuple(name for name in BY if name in by) or ("stage", "code", "table")
    with quiet():
        rows, hidden = asyncio.run(_stats(selection, names, everything=everything))
    documents = [
        {**{name: value or None for name, value in zip(names, key, strict=True)}, **row.document()}
        for key, row in in_order_of(rows, names)
    ]
    if output == "json":
        click.echo(json.dumps(documents, indent=2, ensure_ascii=False))
    elif output == "jsonl":
        for document in documents:
            click.echo(json.dumps(document, ensure_ascii=False))
    elif rows:
        lines = [("LETTERS", "BYTES", "OLDEST", "NEWEST", *(name.upper() for name in names))]
        lines += [
            (
                f"{row.letters:,}",
                f"{row.bytes:,}",
                utc(row.oldest_ms),
                utc(row.newest_ms),
                *(part or "-" for part in key),
            )
            for key, row in in_order_of(rows, names)
        ]
        for line in columns(lines, left=lines[0][2:], least=("BYTES", "OLDEST")):
            click.echo(printable(line))
    total = sum(row.letters for row in rows.values())
    click.echo(f"{NAME}: {counted(total)}", err=True)
    if hidden:
        ctx.exit(int(ExitCode.PARTIAL))


async def _stats(
    selection: "Selection", names: tuple[str, ...], *, everything: bool
) -> tuple[dict[tuple[str, ...], LetterCount], bool]:
    rows: dict[tuple[str, ...], LetterCount] = {}
    async with opened(selection, everything=everything) as now:
        async for letter in now.letters:
            rows.setdefault(tuple(part_of(letter, name) for name in names), LetterCount()).add(letter)
    if not rows:
        require_ids(selection, now.found)
    return rows, tell_missing(selection, now.found)


for _command in (show, redrive, drop, export, import_):
    dlq.add_command(_command)
