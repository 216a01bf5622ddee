"""`cdc tail`: what the stages write, live and past, masked."""

import asyncio
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import click

from models.written import Writer
from models.yaml_nodes import suggestion
from workers.cli.progress import Progress
from workers.cli.quiet import quiet
from workers.cli.stopping import until_stopped
from workers.cli.tail_lines import TailLines
from workers.filters import Filter, InvalidFilter
from workers.tail.start import Mark

if TYPE_CHECKING:
    from enrichers.row_view import RowView
    from models.catalogue import Catalogue
    from workers.tail.selection import Rate
    from workers.tail.tail import TailOrder

NAME = "cdc tail"
STAGES = {
    "bridge": Writer.BRIDGE, "enrich": Writer.ENRICH, "publish": Writer.PUBLISH, "receipts": Writer.PUBLISH,
    "dead": Writer.DEAD,
}  # fmt: skip
BY_DEFAULT = ("enrich", "dead")
PAST = Mark(time_ms=0)
Output = Literal["table", "json", "jsonl"]
EXAMPLES = """\b
Examples:
  cdc tail                                  # events and dead letters, from now on
  cdc tail --last 20 --no-follow
  cdc tail --stage bridge --table users --from -15m
  cdc tail --key users:7 --from -1d --no-follow
  cdc tail --where "orgId == '3'" --from -1h
  cdc tail --from 2026-01-15T10:00:00Z --to 2026-01-15T11:00:00Z --output jsonl > hour.jsonl
  cdc tail --stage enrich --partition 3 --from 1841 --limit 1 --output json
  cdc tail --sample 5/s
"""


@click.command(context_settings={"help_option_names": ["-h", "--help"]}, epilog=EXAMPLES)
@click.option(
    "--stage", "stages", multiple=True, type=click.Choice(list(STAGES)),
    help="What this stage has written: bridge: raw records, enrich: events, publish (or receipts): what the bus said; "
    "dead: dead letters of all stages. May be repeated. Default: enrich and dead.",
)  # fmt: skip
@click.option("--table", "tables", multiple=True, metavar="NAME", help="Of this table.")
@click.option(
    "--key", metavar="KEY",
    help='Of this row, as in events (users:7) or in Kafka (["core","users",7]); or of this eventId.',
)  # fmt: skip
@click.option(
    "--where", metavar="JMESPATH",
    help="Of which this says yes. It is asked of what --output json shows; members of an event may be named directly.",
)  # fmt: skip
@click.option(
    "--from", "since", metavar="WHEN",
    help="Written since then: 2026-01-15T10:00:00Z, -15m, -2h; or from this offset of every partition. Default: from "
    "now on.",
)  # fmt: skip
@click.option("--to", "until", metavar="WHEN", help="Written before then, and no further.")
@click.option("--last", type=click.IntRange(1, 10_000), metavar="N", help="Begin with the last N records that fit.")
@click.option("--partition", "partitions", multiple=True, type=click.IntRange(0), metavar="N", help="Of this one.")
@click.option("--sample", metavar="RATE", help="At most so many: 5/s, 20/m, by the records' own time.")
@click.option("--limit", type=click.IntRange(1), metavar="N", help="End after N records.")
@click.option(
    "--follow/--no-follow", default=None,
    help="Go on with what is written from now on, until Ctrl-C. Default: yes, unless --to is given.",
)  # fmt: skip
@click.option(
    "--output", type=click.Choice(["table", "json", "jsonl"]), default="table", show_default=True,
    help="table: a line per record; json, jsonl: all that may be shown of each, one document after the other.",
)  # fmt: skip
def tail(
    *, stages: tuple[str, ...], tables: tuple[str, ...], key: str | None, where: str | None, since: str | None,
    until: str | None, last: int | None, partitions: tuple[int, ...], sample: str | None, limit: int | None,
    follow: bool | None, output: Output,
) -> None:  # fmt: skip
    """Watch what the stages write, or page through what they have written. It joins no consumer group and disturbs
    nobody.

    All partitions are read and merged by Kafka's time. Everything is masked: raw records and dead letters are shown as
    the rules of their table leave them, never as they are. What nobody can read is shown as that.

    A line holds: time, topic/partition:offset, table, operation, entity, eventId, bytes, and what else there is to say.
    The place and the eventId can be given to `cdc trace`.

    Exit code: 0, also after Ctrl-C; 2 if options do not go together; 6 if the topics do not exist.
    """
    if since is not None and last is not None:
        raise click.UsageError("--from and --last: where does it begin?")
    if follow and until is not None:
        raise click.UsageError("--to is an end: leave --follow out")
    follow = until is None if follow is None else follow
    writers = tuple(dict.fromkeys(STAGES[name] for name in stages or BY_DEFAULT))
    if Writer.PUBLISH in writers and tables:
        raise click.UsageError("receipts name no table: look for them by --key EVENT_ID, or use `cdc trace`")
    begin, end = _mark(since, "--from"), _mark(until, "--to")
    if begin is None and last is None and not follow:
        begin = PAST
    asked = _Asked(tables, key, _filter(where), _rate(sample), frozenset(partitions), begin, end, last, limit, follow)
    with quiet():
        asyncio.run(_run(asked, writers, TailLines(output)))


@dataclass(frozen=True, slots=True)
class _Asked:
    tables: tuple[str, ...]
    key: str | None
    where: Filter | None
    rate: "Rate | None"
    partitions: frozenset[int]
    since: Mark | None
    until: Mark | None
    last: int | None
    limit: int | None
    follow: bool


def _mark(text: str | None, option: str) -> Mark | None:
    from workers.cli.dlq_options import now_ms  # noqa: PLC0415

    try:
        return None if text is None else Mark.parse(text, now_ms())
    except ValueError as error:
        raise click.UsageError(f"{option} {text}: {error}") from None


def _filter(text: str | None) -> Filter | None:
    try:
        return None if text is None else Filter(text)
    except InvalidFilter as error:
        raise click.UsageError(f"--where: {error}") from None


def _rate(text: str | None) -> "Rate | None":
    from workers.tail.selection import Rate  # noqa: PLC0415

    try:
        return None if text is None else Rate.parse(text)
    except ValueError as error:
        raise click.UsageError(f"--sample {text}: {error}") from None


async def _run(asked: _Asked, writers: tuple[Writer, ...], lines: TailLines) -> None:
    await until_stopped(_tail(asked, writers, lines))
    lines.end()


async def _tail(asked: _Asked, writers: tuple[Writer, ...], lines: TailLines) -> None:
    from workers.kafka.access import kafka_access  # noqa: PLC0415  importing aiokafka takes half a second
    from workers.kafka.log_reader import log_reader  # noqa: PLC0415
    from workers.settings.worker import load_settings  # noqa: PLC0415
    from workers.tail.row_key import needs_pin, read_pins  # noqa: PLC0415
    from workers.tail.tail import CLIENT, Tail, topics_of  # noqa: PLC0415
    from workers.tail.view import open_sight  # noqa: PLC0415

    settings, progress = load_settings(), Progress(NAME)
    too_high = [number for number in asked.partitions if number >= settings.partitions]
    if too_high:
        raise click.UsageError(f"--partition {too_high[0]}: there are 0 to {settings.partitions - 1}")
    sight = open_sight(settings, say=_say)
    homes = {topic: writer for writer in writers for topic in topics_of(settings, writer)}
    async with kafka_access(settings) as kafka:
        await kafka.require(dict.fromkeys(homes, settings.partitions))
        pins = {}
        if asked.key is not None and needs_pin(asked.key, sight.catalogue):
            pins = await read_pins(settings, kafka, sight.catalogue, progress)
        order = _order(asked, sight.catalogue, sight.view.letters.rows, pins)
        lines.wanted = order.wanted
        async with log_reader(kafka.connection, CLIENT) as reader:
            look = Tail(reader, sight.view, order, homes, settings.partitions)
            if order.follow and order.since is None and order.last is None:
                _say(f"{', '.join(homes)} from now on; --last 20 or --from -15m begins earlier, Ctrl-C ends it")
            async with aclosing(look.written(progress)) as lists:
                async for written in lists:
                    lines.show(written)
            lines.lost = reader.lost


def _order(asked: _Asked, catalogue: "Catalogue", rows: "RowView", pins: dict[str, str]) -> "TailOrder":
    from workers.tail.row_key import row_key, table_of  # noqa: PLC0415
    from workers.tail.selection import Sample, Wanted  # noqa: PLC0415
    from workers.tail.tail import TailOrder  # noqa: PLC0415

    specs = {name: table_of(catalogue, name) for name in asked.tables}
    known = sorted({name for spec in catalogue.specs for name in (spec.name, spec.table)})
    for name, spec in specs.items():
        if spec is None:
            _say(f"note: there is no table {name}{suggestion(name, known)}")
    tables = frozenset(spec.name if spec is not None else name for name, spec in specs.items())
    until = asked.until.time_ms if asked.until is not None else None
    wanted = Wanted(
        tables, None if asked.key is None else row_key(asked.key, catalogue, rows, pins), asked.where,
        None if asked.rate is None else Sample(asked.rate), until,
    )  # fmt: skip
    return TailOrder(
        wanted=wanted, since=asked.since, last=asked.last, until=asked.until, follow=asked.follow,
        partitions=asked.partitions, limit=asked.limit,
    )  # fmt: skip


def _say(text: str) -> None:
    click.echo(f"{NAME}: {text}", err=True)
