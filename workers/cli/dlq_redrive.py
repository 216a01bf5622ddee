"""`cdc dlq redrive` and `drop`: what becomes of dead letters."""

import asyncio
import json
from collections import Counter
from typing import TYPE_CHECKING, Any, Literal

import click

from models.redrive import MAX_REPLAYS
from workers.cli.dlq_options import (
    NAME,
    choosing,
    chosen,
    counted,
    kind_documents,
    kind_lines,
    letter_view,
    now_ms,
    require_ids,
    tell_missing,
    writing_access,
)
from workers.cli.progress import Progress, ProgressBar
from workers.cli.quiet import quiet
from workers.cli.stopping import to_the_end
from workers.cli.writing_options import writing
from workers.failures import ExitCode, RefusedError

if TYPE_CHECKING:
    from models.handled import Handled
    from models.letter_selection import Selection
    from workers.dead_letters.reading import DeadLetters
    from workers.dead_letters.redrive import Tally

REDRIVE_EXAMPLES = """\b
Examples:
  cdc dlq redrive --table users --dry-run
  cdc dlq redrive --table users --yes
  cdc dlq redrive 3:1841 3:1850 --yes
  cdc dlq redrive --code ENRICHMENT_ERROR --since 2h --rate 100 --yes
"""
DROP_EXAMPLES = """\b
Examples:
  cdc dlq drop 3:1841 --yes
  cdc dlq drop --code PARSE_ERROR --until 7d --dry-run
  cdc dlq drop 3:1841 --undo --yes
"""
REFUSED_SHOWN = 20
GO_ON = "run it again: it goes on with the letters that are left, and those that failed again meanwhile"
_writes = writing("Only say what would be done.")


@click.command(epilog=REDRIVE_EXAMPLES)
@choosing
@click.option("--rate", type=click.FloatRange(0, min_open=True), metavar="N", help="At most N letters per second.")
@click.option("--max", "limit", type=click.IntRange(1), metavar="N", help="At most N letters, the oldest ones.")
@click.option("--max-replays", type=click.IntRange(1), default=MAX_REPLAYS, show_default=True, metavar="N",
              help="Leave letters that were redriven N times already.")  # fmt: skip
@_writes
@click.pass_context
def redrive(
    ctx: click.Context, /, *, rate: float | None, limit: int | None, max_replays: int, dry_run: bool, yes: bool,
    output: Literal["table", "json"], **filters: Any,
) -> None:  # fmt: skip
    """Send dead letters to the stage that could not work them: once each, in the order of their rows.

    Correct first what made them fail, and restart the workers with it. Without IDs and filters: all letters that were
    neither redriven nor dropped. Those of one row keep their order; what happened to the row since stays ahead of them
    (docs/dead-letters.md). Events have the eventId they would have had.

    What was redriven is written down in the same transaction as the letters. If the command is killed, run it again: it
    goes on with those that are left. A letter that fails again is a new letter.

    Exit code: 0, 6 if no ID exists, 7 if some do not exist, if letters stay that cannot be redriven or that an open
    transaction hides, or if it was stopped before the end, 8 without --yes, or if another `cdc dlq` or `cdc replay` has
    taken over.
    """
    selection = chosen(**filters)
    write = yes and not dry_run
    with quiet():
        work = _redrive(selection, rate, limit, max_replays, write=write)
        tally, hidden = asyncio.run(to_the_end(work, GO_ON if write else None))
    _print_redrive(tally, output, written=write)
    if tally.letters and not (write or dry_run):
        raise RefusedError(f"{counted(tally.letters)} would be redriven", hint="look at them, then run it with --yes")
    told = f"{counted(tally.letters)} {'' if write else 'would be '}redriven"
    click.echo(f"{NAME}: {told if tally.letters else 'nothing to redrive: no letter fits'}", err=True)
    if tally.refused:
        click.echo(f"{NAME}: {counted(len(tally.refused))} not redriven", err=True)
    if tally.gaps:
        click.echo(f"{NAME}: {tally.gaps:,} gap records are left alone; `cdc dlq list --code GAP` shows them", err=True)
    if tally.refused or hidden:
        ctx.exit(int(ExitCode.PARTIAL))


async def _redrive(
    selection: "Selection", rate: float | None, limit: int | None, max_replays: int, *, write: bool
) -> "tuple[Tally, bool]":
    from workers.dead_letters.pace import Pace  # noqa: PLC0415  importing aiokafka takes half a second
    from workers.dead_letters.reading import look  # noqa: PLC0415
    from workers.dead_letters.redrive import Redrive  # noqa: PLC0415
    from workers.kafka.topics import Topics  # noqa: PLC0415

    async with writing_access(write=write) as (settings, kafka, producer):
        topics, tell = Topics.of(settings), Progress(NAME)
        await kafka.require(dict.fromkeys(topics.redrive.values(), settings.partitions))
        found = await look(settings, kafka, selection, tell, fenced=write)
        work = Redrive(found, selection, letter_view(settings, selection).keys, max_replays, limit)
        tally = await work.plan(kafka, tell)
        if producer is not None and tally.letters:
            with ProgressBar(NAME) as bar:
                tally = await work.write(
                    kafka, producer, topics, pace=Pace(rate), now_ms=now_ms, tell=bar, total=tally.letters
                )
    _require(selection, found, tally)
    return tally, tell_missing(selection, found, whole=tally.letters != limit)


def _require(selection: "Selection", found: "DeadLetters", tally: "Tally") -> None:
    for letter in sorted(selection.ids & found.marks.keys()):
        click.echo(f"{NAME}: {letter} is {found.marks[letter].action} already", err=True)
    if selection.ids and not (tally.letters or tally.refused or tally.gaps):
        require_ids(selection, found)


def _print_redrive(tally: "Tally", output: str, *, written: bool) -> None:
    kinds = tally.kinds.most_common()
    if output == "json":
        document = {
            "written": written, "letters": tally.letters, "kinds": kind_documents(kinds),
            "refused": [{"id": str(letter), "reason": reason} for letter, reason in tally.refused],
            "gaps": tally.gaps,
        }  # fmt: skip
        click.echo(json.dumps(document, indent=2, ensure_ascii=False))
        return
    for line in kind_lines(kinds):
        click.echo(line)
    for reason, count in Counter(reason for _, reason in tally.refused).most_common():
        click.echo(f"not redriven, {count:,}: {reason}")
        ids = [str(letter) for letter, why in tally.refused if why == reason]
        more = f" and {len(ids) - REFUSED_SHOWN:,} more" if len(ids) > REFUSED_SHOWN else ""
        click.echo(f"    {' '.join(ids[:REFUSED_SHOWN])}{more}")


@click.command(epilog=DROP_EXAMPLES)
@choosing
@click.option("--undo", is_flag=True, help="Show letters again that were dropped.")
@_writes
@click.pass_context
def drop(
    ctx: click.Context, /, *, undo: bool, dry_run: bool, yes: bool, output: Literal["table", "json"], **filters: Any
) -> None:
    """Put dead letters aside: nothing shows or redrives them any more, but with --all.

    Kafka keeps them until their time is over (30 days), and --undo brings them back until then. IDs or filters are
    needed.

    Exit code: 0, 6 if no ID exists, or with --undo none is dropped, 7 if some do not exist, or an open transaction
    hides letters, 8 without --yes, or if another `cdc dlq` or `cdc replay` has taken over.
    """
    selection = chosen(**filters)
    if not selection.narrows:
        raise click.UsageError("say which: IDs, or at least one filter (--until 0s chooses all)")
    write = yes and not dry_run
    with quiet():
        work = _drop(selection, undo=undo, write=write)
        marks, kinds, hidden = asyncio.run(to_the_end(work, GO_ON if write else None))
    rows = kinds.most_common()
    if output == "json":
        click.echo(json.dumps({"written": write, "letters": len(marks), "kinds": kind_documents(rows)}, indent=2))
    else:
        for line in kind_lines(rows):
            click.echo(line)
    what = "shown again" if undo else "dropped"
    if marks and not (write or dry_run):
        raise RefusedError(f"{counted(len(marks))} would be {what}", hint="look at them, then run it with --yes")
    nothing = "nothing to show again: no letter that was dropped fits" if undo else "nothing to drop: no letter fits"
    told = f"{counted(len(marks))} {'' if write else 'would be '}{what}"
    click.echo(f"{NAME}: {told if marks else nothing}", err=True)
    if hidden:
        ctx.exit(int(ExitCode.PARTIAL))


async def _drop(
    selection: "Selection", *, undo: bool, write: bool
) -> "tuple[list[Handled], Counter[tuple[str, str, str, str]], bool]":
    from workers.dead_letters.drop import plan_drop, write_drop  # noqa: PLC0415  importing aiokafka takes half a second
    from workers.dead_letters.reading import look  # noqa: PLC0415
    from workers.kafka.topics import Topics  # noqa: PLC0415

    async with writing_access(write=write) as (settings, kafka, producer):
        tell = Progress(NAME)
        found = await look(settings, kafka, selection, tell, fenced=write)
        keys_of = letter_view(settings, selection).keys
        marks, kinds = await plan_drop(kafka, found, selection, keys_of, tell, undo=undo)
        if producer is not None:
            await write_drop(producer, Topics.of(settings), marks, undo=undo, now_ms=now_ms, tell=tell)
    if not marks:
        require_ids(selection, found, undo=undo)
    for letter in sorted(found.seen - {mark.letter for mark in marks}):
        action = found.marks[letter].action if letter in found.marks else None
        if undo and action != "dropped":
            click.echo(f"{NAME}: {letter} is not dropped", err=True)
        elif action is not None and not undo:
            click.echo(f"{NAME}: {letter} is {action} already", err=True)
    return marks, kinds, tell_missing(selection, found)
