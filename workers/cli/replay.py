"""`cdc replay`: events of a range once more, as they stand in Kafka or made again from their changes."""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import click

from enrichers.replay_view import ChangeReplayView, EventReplayView, ReplayView
from models.letter_selection import Selection, moment
from models.replay import Replay, ReplayOrder, next_number
from workers.cli.checkpoint_lines import utc
from workers.cli.columns import columns, talk
from workers.cli.dlq_options import counted, letter_view, now_ms, writing_access
from workers.cli.progress import Progress, ProgressBar
from workers.cli.quiet import quiet
from workers.cli.sources import one_source
from workers.cli.stopping import to_the_end
from workers.cli.suggestions import unknown_tables
from workers.contract import pipeline_options, read_catalogue
from workers.failures import ExitCode, RefusedError

if TYPE_CHECKING:
    from workers.replay import ReplayTally
    from workers.settings.worker import Settings

NAME = "cdc replay"
GO_ON = "run the same again: it goes on with what is left"
EXAMPLES = """\b
Examples:
  cdc replay --from 2h --dry-run
  cdc replay --from 2026-01-15T10:00Z --to 2026-01-15T11:00Z --rate 200 --yes
  cdc replay --from 1d --key users:7 --yes
  cdc replay --raw --from 1d --to 6h --table orders --yes
"""


@dataclass(frozen=True, slots=True)
class Done:
    """What a run of the command did, or would do."""

    replay: Replay
    tally: "ReplayTally"
    lost: list[str]
    held_back: tuple[str, ...]
    resumed: bool


@click.command(epilog=EXAMPLES)
@click.option(
    "--from",
    "since",
    required=True,
    metavar="WHEN",
    help="Records written since then: 2026-01-15T10:00:00Z, or 90s, 30m, 2h, 7d ago.",
)
@click.option(
    "--to", "until", default="", metavar="WHEN", help="Records written before then; not in the future. Default: now."
)
@click.option("--raw", is_flag=True, help="Changes instead of events: events are made of them again.")
@click.option("--source", metavar="NAME", help="Of --raw: whose changes, if there are several sources.")
@click.option("--table", "tables", multiple=True, metavar="NAME", help="Of this table.")
@click.option("--key", "keys", multiple=True, metavar="KEY", help="Of this row, as in events: users:7.")
@click.option("--max", "limit", type=click.IntRange(1), metavar="N", help="At most N records, the oldest ones.")
@click.option("--rate", type=click.FloatRange(0, min_open=True), metavar="N", help="At most N records per second.")
@click.option("--again", is_flag=True, help="Also if the same replay has been done already.")
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@click.option("--yes", is_flag=True, help="Write; without it the command ends with exit code 8.")
@click.option(
    "--output",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="json: one document on stdout.",
)
@click.pass_context
def replay(
    ctx: click.Context, /, *, since: str, until: str, raw: bool, source: str | None, tables: tuple[str, ...],
    keys: tuple[str, ...], limit: int | None, rate: float | None, again: bool, dry_run: bool, yes: bool,
    output: Literal["table", "json"],
) -> None:  # fmt: skip
    """Send events of a range to the bus again: with the same eventIds, as the same bytes, in the order of their rows.

    The range is of Kafka's time of the records in cdc.events, or with --raw in the raw topic. With --raw the events are
    made again by the tables of now: same eventIds and metadata.sequence, and metadata.replay counts. Consumers see what
    they have seen by eventId, and what is older by metadata.sequence (docs/replay.md).

    How far it is, is written down in the same transaction as the records. If the command is killed, run the same
    command line again: it goes on where it was, in the range it began with. What has been replayed is not replayed
    again without --again.

    Exit code: 0, 6 if there is no such source, 7 if records of the range are gone from Kafka, an open transaction hides
    some, or it was stopped before the end, 8 without --yes, if it has been done, or if another `cdc dlq` or
    `cdc replay` has taken over.
    """
    if source is not None and not raw:
        raise click.UsageError("--source goes with --raw: cdc.events holds the events of all sources")
    now = now_ms()
    from_ms, to_ms = _moment(since, "--from", now), _moment(until, "--to", now) if until else now
    if to_ms > now:
        raise click.UsageError("--to lies in the future")
    if from_ms >= to_ms:
        raise click.UsageError("--from is not before --to: the range is empty")
    asked = ReplayOrder("", since.strip(), until.strip(), frozenset(tables), frozenset(keys), limit)
    write = yes and not dry_run
    with quiet():
        work = _replay(asked, source, (from_ms, to_ms, now), rate, raw=raw, again=again, write=write)
        done = asyncio.run(to_the_end(work, GO_ON if write else None))
    if output == "json":
        click.echo(json.dumps(_document(done, written=write), indent=2, ensure_ascii=False))
    else:
        for line in _lines(done.tally):
            click.echo(line)
    count, one = done.tally.records, done.replay
    _tell(done)
    told = f"{counted(count, 'record')} of {one.topic} from {utc(one.from_ms)} to {utc(one.to_ms)}"
    if count and not (write or dry_run):
        raise RefusedError(f"{told} would be replayed", hint="look at them, then run it with --yes")
    done_so = f"{told} {'were' if write else 'would be'} replayed, replay {one.number}"
    none = f"nothing to replay: no record of {one.topic} from {utc(one.from_ms)} to {utc(one.to_ms)} fits"
    talk(f"{NAME}: {done_so if count else none}")
    if done.lost or done.held_back:
        ctx.exit(int(ExitCode.PARTIAL))


def _moment(text: str, option: str, now: int) -> int:
    try:
        return moment(text, now)
    except ValueError as error:
        raise click.UsageError(f"{option} {text}: {error}") from None


async def _replay(
    asked: ReplayOrder, source: str | None, times: tuple[int, int, int], rate: float | None, *, raw: bool, again: bool,
    write: bool,
) -> Done:  # fmt: skip
    from workers.dead_letters.marks import read_replays  # noqa: PLC0415  importing aiokafka takes half a second
    from workers.dead_letters.pace import Pace  # noqa: PLC0415
    from workers.kafka.topics import Topics  # noqa: PLC0415
    from workers.replay import Replaying, obsolete_replays, stretch  # noqa: PLC0415

    async with writing_access(write=write) as (settings, kafka, producer):
        topics, tell = Topics.of(settings), Progress(NAME)
        name = one_source(settings, source).name if raw else None
        topic, stage = (topics.raw[name], "enrich") if name is not None else (topics.events, "publish")
        order = replace(asked, topic=topic)
        needed = (topic, topics.handled, topics.redrive[stage])
        await kafka.require(dict.fromkeys(needed, settings.partitions))
        known = await read_replays(settings, kafka, tell, fenced=write)
        old = obsolete_replays(known.values(), times[2])
        recent = {name: one for name, one in known.items() if one not in old}
        one, resumed = _begun(order, recent, times, again=again, write=write)
        found = await stretch(settings, kafka, one)
        view: ReplayView = EventReplayView(read_catalogue(settings))
        if name is not None:
            view = _change_view(settings, name, order.tables)
        if name is None and order.tables:
            for note in unknown_tables(order.tables, [spec.name for spec in read_catalogue(settings).specs]):
                talk(f"{NAME}: {note}")
        work = Replaying(order, one, stage, view, found)
        tally = await work.plan(kafka, tell)
        if producer is not None and (tally.records or resumed):
            forget = [gone for gone in old if gone.id != one.id]
            with ProgressBar(NAME) as bar:
                tally = await work.write(
                    kafka, producer, topics, pace=Pace(rate), now_ms=now_ms, tell=bar, total=tally.records,
                    forget=forget,
                )  # fmt: skip
        return Done(one, tally, found.lost(), found.held_back, resumed)


def _begun(
    order: ReplayOrder, known: dict[str, Replay], times: tuple[int, int, int], *, again: bool, write: bool
) -> tuple[Replay, bool]:
    """The replay that goes on, or the one that begins; and whether it goes on. Raises RefusedError if it was done."""
    earlier, (from_ms, to_ms, now) = known.get(order.id), times
    if earlier is not None and not earlier.finished_ms:
        return earlier, True
    if earlier is not None and not again:
        written = counted(earlier.written, "record")
        told = f"this was replayed at {utc(earlier.finished_ms)}: {written}, replay {earlier.number}"
        if write:
            raise RefusedError(told, hint="--again replays it once more; another --from or --to is another replay")
        click.echo(f"{NAME}: note: {told}; --again replays it once more", err=True)
    number = next_number(known.values(), order.topic, from_ms, to_ms)
    return Replay(order.id, order.topic, from_ms, to_ms, now, number), False


def _change_view(settings: "Settings", source: str, tables: frozenset[str]) -> ChangeReplayView:
    reading = pipeline_options(settings, None).readings[source]
    return ChangeReplayView(read_catalogue(settings), letter_view(settings, Selection(tables=tables), NAME), reading)


def _tell(done: Done) -> None:
    """What the tables do not show."""
    one = done.replay
    if done.resumed:
        written = counted(one.written, "record")
        click.echo(f"{NAME}: it goes on: begun at {utc(one.began_ms)}, {written} so far", err=True)
    if done.tally.left_out:
        click.echo(f"{NAME}: {counted(done.tally.left_out, 'record')} left alone: no event is made of it", err=True)
    for place in done.lost:
        click.echo(f"{NAME}: not replayed: {place}", err=True)
    for place in done.held_back:
        click.echo(f"{NAME}: not read: {place}, an open transaction stands before it; run it again later", err=True)


def _lines(tally: "ReplayTally") -> Iterator[str]:
    """What is replayed, and where it stands."""
    if not tally.records:
        return
    kinds: list[tuple[str, ...]] = [("RECORDS", "TABLE", "EVENT")]
    kinds += [(f"{count:,}", table or "-", event or "-") for (table, event), count in tally.kinds.most_common()]
    yield from columns(kinds, left=("TABLE", "EVENT"))
    yield ""
    places: list[tuple[str, ...]] = [("PARTITION", "FIRST", "LAST")]
    places += [(str(partition), str(first), str(last)) for partition, (first, last) in sorted(tally.places.items())]
    yield from columns(places, left=())
    yield ""
    yield f"oldest {utc(tally.oldest_ms)}, newest {utc(tally.newest_ms)}"


def _document(done: Done, *, written: bool) -> dict[str, object]:
    one, tally = done.replay, done.tally
    return {
        "written": written, "replay": one.number, "topic": one.topic, "fromMs": one.from_ms, "toMs": one.to_ms,
        "records": tally.records,
        "kinds": [
            {"table": table or None, "event": event or None, "records": count}
            for (table, event), count in tally.kinds.most_common()
        ],
        "partitions": {str(partition): {"first": first, "last": last}
                       for partition, (first, last) in sorted(tally.places.items())},
        "oldestMs": tally.oldest_ms or None, "newestMs": tally.newest_ms or None, "leftOut": tally.left_out,
        "gone": done.lost, "heldBack": list(done.held_back), "resumed": done.resumed,
    }  # fmt: skip
