"""`cdc trace`: the way of one change through all stages."""

import asyncio
from collections.abc import Callable
from typing import Literal

import click

from models.letter_selection import moment
from workers.cli.dlq_options import now_ms
from workers.cli.progress import Progress
from workers.cli.quiet import quiet
from workers.cli.stopping import until_stopped
from workers.cli.trace_lines import TraceScreen
from workers.settings.worker import Settings, load_settings
from workers.trace.question import Question, question

NAME = "cdc trace"
FOLLOW_SECONDS = 1.0
"""Between two looks at what has not ended."""
EXAMPLES = """\b
Examples:
  cdc trace evt_1768473060000_36fe4ed5d04a2c6b5675
  cdc trace --table users 7                      # the last change of a row; --limit 5: the last five
  cdc trace users:7
  cdc trace cdc.raw.core/3:1841                  # a place, as tail shows it
  cdc trace 3:12                                 # a dead letter
  cdc trace 49680450823256373369877236093701268900950267197822861362    # a record of the stream
  cdc trace 0001-00000000000000001841 --partition 3                    # metadata.sequence of an event
  cdc trace 74b5971d-e265-4f27-b91b-a95f741761ea # the id of the bus, `id` of what a target gets
  cdc trace --follow --table users 7
"""


@click.command(context_settings={"help_option_names": ["-h", "--help"]}, epilog=EXAMPLES)
@click.argument("id", metavar="ID")
@click.option("--table", metavar="NAME", help="ID is the primary key of a row of this table; of several columns: 7:3.")
@click.option(
    "--from", "since", metavar="WHEN",
    help="Look at records written since then: 2026-01-15T10:00:00Z, -2h. Default: of an eventId its commit time, of a "
    "row the last day, else the last hour.",
)  # fmt: skip
@click.option("--to", "until", metavar="WHEN", help="And before then. Default: now.")
@click.option(
    "--partition", type=click.IntRange(0), metavar="N", help="Of a metadata.sequence: the partition it is of."
)
@click.option(
    "--limit", type=click.IntRange(1, 100), default=1, show_default=True, metavar="N",
    help="The last N changes that fit.",
)  # fmt: skip
@click.option(
    "--steps", is_flag=True, help="Also what each step of the pipeline says of the record now. Never a value."
)
@click.option(
    "--follow", is_flag=True, help="Wait until it is delivered, left out, or a dead letter; also for one not there yet."
)  # fmt: skip
@click.option(
    "--output", type=click.Choice(["table", "json", "jsonl"]), default="table", show_default=True,
    help="json: one document; jsonl: one line per trail.",
)  # fmt: skip
def trace(
    *, id: str, table: str | None, since: str | None, until: str | None, partition: int | None,  # noqa: A002
    limit: int, steps: bool, follow: bool, output: Literal["table", "json", "jsonl"],
) -> None:  # fmt: skip
    """Show every hop of one change: commit, stream, raw topic, event or dead letter, receipt; when each happened, where
    it stands, what was decided, and where the trail ends and why.

    ID may be anything that names a change: an eventId (or an event that holds one), a row, a place in a topic, a dead
    letter, a sequence number of the stream, metadata.sequence, or the id the bus gave the event.

    What was left out leaves no record: the reason is found by running the pipeline on the raw record again, with the
    tables of now and without lookups. Everything is masked as in events.

    Exit code: 0, also after Ctrl-C; 6 if nothing was found.
    """
    try:
        asked = question(id, table, partition)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    times = _moment(since, "--from"), _moment(until, "--to")
    settings = load_settings()
    if partition is not None and partition >= settings.partitions:
        raise click.UsageError(f"--partition {partition}: there are 0 to {settings.partitions - 1}")
    with quiet():
        asyncio.run(
            until_stopped(_trace(settings, (asked, times, limit), TraceScreen(output, steps=steps), follow=follow))
        )


def _moment(text: str | None, option: str) -> int | None:
    try:
        return None if text is None else max(0, moment(text.strip().removeprefix("-"), now_ms()))
    except ValueError as error:
        raise click.UsageError(f"{option} {text}: {error}") from None


Asked = tuple[Question, tuple[int | None, int | None], int]
"""What, from when to when (milliseconds since the epoch), and how many."""


async def _trace(settings: Settings, order: Asked, screen: TraceScreen, *, follow: bool) -> None:
    from workers.trace.search import Window  # noqa: PLC0415  importing aiokafka takes half a second
    from workers.trace.tracing import nothing_found, tracing  # noqa: PLC0415

    asked, times, limit = order
    async with tracing(settings, now_ms=now_ms, tell=_unfinished(Progress(NAME)), say=_say) as work:
        while True:
            found = await work.trails(asked, Window(*times), limit)
            if not found.trails and not follow:
                raise nothing_found(found)
            ended = bool(found.trails) and all(trail.ending.final for trail in found.trails)
            screen.show(found, last=ended or not follow)
            if ended or not follow:
                return
            if not found.trails:
                screen.say_once(f"nothing of this {found.asked} yet; Ctrl-C ends the wait")
            await asyncio.sleep(FOLLOW_SECONDS)


def _unfinished(progress: Progress) -> Callable[[str, int, int], None]:
    """A trace is many short searches: only one that goes on is worth a line."""

    def tell(what: str, done: int, total: int) -> None:
        if done < total:
            progress(what, done, total)

    return tell


def _say(text: str) -> None:
    click.echo(f"{NAME}: {text}", err=True)
