"""`cdc checkpoint`: where the shards stand, and moving them."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from workers.cli.checkpoint_lines import plan_lines, status_lines, status_summary
from workers.cli.progress import Progress
from workers.cli.quiet import quiet
from workers.failures import ConfigurationError, ExitCode, NotFoundError, RefusedError

if TYPE_CHECKING:
    from workers.positions.look import Look
    from workers.positions.plan import Aim, Plan
    from workers.positions.stream import StreamNow
    from workers.positions.target import Target
    from workers.positions.topic import Positions
    from workers.settings import Settings

NAME = "cdc checkpoint"
STATUS_EXAMPLES = """\b
Examples:
  cdc checkpoint status
  cdc checkpoint status --output jsonl | jq -r 'select(.state == "BLOCKED") | .shard'
"""


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def checkpoint() -> None:
    """Positions of the shards, which stand in Kafka (cdc.checkpoints)."""


@checkpoint.command(epilog=STATUS_EXAMPLES)
@click.option("--all", "everything", is_flag=True, help="Also shards that were read to their end and left the stream.")
@click.option("--output", type=click.Choice(["table", "json", "jsonl"]), default="table", show_default=True,
              help="json: one document; jsonl: one shard per line.")  # fmt: skip
@click.pass_context
def status(ctx: click.Context, everything: bool, output: Literal["table", "json", "jsonl"]) -> None:
    """Show where every shard of the stream stands.

    \b
    READING    its slot is held by OWNER (a client id: CDC_WORKER_NAME)
    IDLE       it could go on, but nobody holds its slot
    NOT_BEGUN  nothing of it stands in raw yet, and nothing is in its way
    BLOCKED    its parents are not read to their end
    ENDED      closed, and read to its end
    LOST       it, or a parent of it, left the stream before it was read

    BEHIND is how long ago everything that had arrived was forwarded, RETENTION its share of the time the stream keeps
    records: at 100 % they are deleted unread. Whether a worker has stopped a shard is on its web view only. POSITION is
    the last record that was forwarded.

    AWS is asked for the listing and the retention. If it does not answer, what Kafka knows is shown.

    Exit code: 0, or 7 if AWS did not answer, if a shard is LOST or at 100 % of the retention, if the stream was made
    anew, or a reset or import was cut off. Gaps that are on record (GAPS) do not change it: they cannot be mended.
    """
    with quiet():
        found = asyncio.run(_look(everything=everything))
    match output:
        case "json":
            click.echo(json.dumps(found.document(), indent=2))
        case "jsonl":
            for shard in found.shards:
                click.echo(json.dumps(shard.document()))
        case "table":
            for line in status_lines(found):
                click.echo(line)
    click.echo(f"{NAME}: {status_summary(found)}", err=True)
    if not found.sound:
        ctx.exit(int(ExitCode.PARTIAL))


async def _look(*, everything: bool) -> "Look":
    from workers.kafka_access import kafka_access  # noqa: PLC0415  importing aiokafka takes half a second
    from workers.positions.look import look  # noqa: PLC0415
    from workers.settings import load_settings  # noqa: PLC0415
    from workers.topics import Topics  # noqa: PLC0415

    settings = load_settings()
    async with kafka_access(settings) as kafka:
        await kafka.require({Topics.of(settings).checkpoints: settings.source_slots})
        return await look(settings, kafka, Progress(NAME), everything=everything)


RESET_EXAMPLES = """\b
Examples:
  cdc checkpoint reset --trim-horizon --dry-run
  cdc checkpoint reset --at-time 2026-01-15T10:00:00Z --yes
  cdc checkpoint reset --at-seq shardId-000000000002=4965… --yes
"""
IMPORT_EXAMPLES = """\b
Examples:
  cdc checkpoint import --from monday.json --dry-run
  cdc checkpoint import --from monday.json --replace --yes
  cdc checkpoint import --from kcl:my-consumer --dry-run
  cdc checkpoint import --from dynamodb:cdc-pipeline-checkpoints --gone-ended --yes
"""
WRITES = (
    click.option("--dry-run", is_flag=True, help="Only say what would be done; workers may run."),
    click.option("--yes", is_flag=True, help="Write; without it the command ends with exit code 8."),
    click.option("--output", type=click.Choice(["table", "json"]), default="table", show_default=True,
                 help="json: one document on stdout."),
)  # fmt: skip


def _writes(command: Any) -> Any:
    for option in reversed(WRITES):
        command = option(command)
    return command


@checkpoint.command(epilog=RESET_EXAMPLES)
@click.option("--trim-horizon", is_flag=True, help="Begin again at the oldest record the stream has.")
@click.option("--latest", is_flag=True, help="Skip what was not forwarded yet; go on with what comes from now on.")
@click.option("--at-time", metavar="ISO", help="Begin again with what has come since then (without a zone: UTC).")
@click.option("--at-seq", multiple=True, metavar="SHARD=SEQ",
              help="Set this shard alone: the record SEQ is the next one; may be repeated.")  # fmt: skip
@_writes
def reset(
    trim_horizon: bool, latest: bool, at_time: str | None, at_seq: tuple[str, ...], dry_run: bool, yes: bool,
    output: Literal["table", "json"],
) -> None:  # fmt: skip
    """Set the positions of the stream by hand.

    Everything behind the new position is forwarded to raw again, under other offsets: enrich and publish see it as new
    records, and events come again with the eventId they had. `cdc status --audit` counts it as what it is, records that
    stand in raw twice, until raw has forgotten them.

    --trim-horizon, --latest and --at-time set the whole stream: every checkpoint goes, and the shards that are listed
    now begin there, parents before children. --at-seq sets single shards; their descendants wait for them again and are
    read from their start, their ancestors count as read to their end.

    All workers of the bridge must be stopped; nothing overrules that. A reset that was cut off leaves a mark with which
    no worker reads on: run it again.

    Exit code: 0, 4 or 5 if AWS or Kafka do not answer, 6 if a shard or record is not there, 8 if a worker runs, or
    if --yes is needed.
    """
    chosen = [name for name, given in (("--trim-horizon", trim_horizon), ("--latest", latest), ("--at-time", at_time),
                                       ("--at-seq", at_seq)) if given]  # fmt: skip
    if len(chosen) != 1:
        raise click.UsageError("give one of --trim-horizon, --latest, --at-time and --at-seq")
    _change(_reset_aim(chosen[0], at_time, at_seq), dry_run=dry_run, yes=yes, output=output)


@checkpoint.command(name="import", epilog=IMPORT_EXAMPLES)
@click.option("--from", "source", required=True, metavar="SOURCE",
              help="FILE (the JSON of an export), kcl:TABLE or dynamodb:TABLE.")  # fmt: skip
@click.option("--stream", metavar="NAME", help="The stream's name or ARN in SOURCE, if it differs.")
@click.option("--replace", "replacing", is_flag=True, help="Also if the stream has checkpoints: they go.")
@click.option("--gone-ended", is_flag=True,
              help="Shards of SOURCE that left the stream before their end count as read.")  # fmt: skip
@_writes
def import_(
    source: str, stream: str | None, replacing: bool, gone_ended: bool, dry_run: bool, yes: bool,
    output: Literal["table", "json"],
) -> None:  # fmt: skip
    """Take positions over from elsewhere.

    \b
    FILE            the JSON of `cdc checkpoint export`
    kcl:TABLE       a lease table of the Kinesis Client Library, version 1 to 3, in DynamoDB
    dynamodb:TABLE  the checkpoint table of the Lambda pipeline; without TABLE that of CHECKPOINT_TABLE_NAME

    Stop the other reader first. Reading goes on behind the positions of SOURCE, for a KCL inside of an aggregate too.
    Shards of the stream without one there count as read if a descendant has one, else they begin at their start, behind
    their parents. A shard of SOURCE that is not in the stream any more and has not ended is refused. A table does not
    say what its positions cover: if the record of one has left the stream, its shard stops with a gap when the bridge
    comes to it (CDC_ON_GAP).

    All workers of the bridge must be stopped. An import that was cut off leaves a mark with which no worker reads on:
    run it again.

    Exit code: as of `cdc checkpoint reset`; 3 if SOURCE cannot be read.
    """
    aim = _import_aim(source, stream, replacing=replacing, gone_ended=gone_ended)
    _change(aim, dry_run=dry_run, yes=yes, output=output)


@checkpoint.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path), required=False)
def export(file: Path | None) -> None:
    """Write the checkpoints and boot records of all streams to FILE, or to stdout, as JSON.

    It may run beside workers: each position was true at a moment. AWS is not asked.

    \b
    Example:
      cdc checkpoint export monday.json
    """
    with quiet():
        document = asyncio.run(_export())
    text = json.dumps(document, indent=2)
    count = sum(len(stream["checkpoints"]) for stream in document["streams"])
    if file is None:
        click.echo(text)
    else:
        try:
            file.write_text(text + "\n", encoding="utf-8")
        except OSError as error:
            raise ConfigurationError(f"{file} cannot be written: {error.strerror}") from None
    click.echo(f"{NAME}: {count} checkpoints of {len(document['streams'])} streams", err=True)


async def _export() -> dict[str, Any]:
    from workers.kafka_access import kafka_access  # noqa: PLC0415
    from workers.positions.document import document_of  # noqa: PLC0415
    from workers.positions.look import moment, service_now  # noqa: PLC0415
    from workers.positions.topic import read_positions  # noqa: PLC0415
    from workers.settings import load_settings  # noqa: PLC0415
    from workers.topics import Topics  # noqa: PLC0415

    settings = load_settings()
    topic = Topics.of(settings).checkpoints
    async with kafka_access(settings) as kafka:
        await kafka.require({topic: settings.source_slots})
        found = await read_positions(kafka.connection, topic, range(settings.source_slots), Progress(NAME))
    return document_of(found, settings.app, moment(service_now(None)))


def _reset_aim(kind: str, at_time: str | None, at_seq: tuple[str, ...]) -> "Callable[[Settings], Aim]":
    from models.start_position import StartAt  # noqa: PLC0415
    from workers.positions.look import service_now  # noqa: PLC0415
    from workers.positions.plan import parse_pairs  # noqa: PLC0415
    from workers.positions.stream import arrival_of  # noqa: PLC0415
    from workers.positions.target import Mark, begin_again, go_on_at  # noqa: PLC0415

    try:
        start = StartAt.parse(at_time) if at_time else StartAt("LATEST" if kind == "--latest" else "TRIM_HORIZON")
    except ValueError:
        start = StartAt()
    if at_time and start.kind != "AT_TIMESTAMP":
        raise click.UsageError("--at-time wants a time like 2026-01-15T10:00:00Z")
    pairs = parse_pairs(at_seq)
    named = [f"--at-seq {shard}={sequence}" for shard, sequence in sorted(pairs.items())]
    what = " ".join(["reset", *(named or [kind]), *([at_time] if at_time else [])])

    def of(settings: "Settings") -> "Aim":
        async def aim(stream: "StreamNow", positions: "Positions") -> "Target":
            if not pairs:
                return begin_again(what, start, stream, positions, service_now(stream))
            unknown = [shard for shard in pairs if shard not in stream.shards]
            if unknown:
                raise NotFoundError(
                    f"not listed: {', '.join(unknown)}", hint="`cdc checkpoint status` lists the shards"
                )
            marks = [
                Mark(shard, sequence, await arrival_of(settings, stream.facts.arn, shard, sequence))
                for shard, sequence in sorted(pairs.items())
            ]
            return go_on_at(what, marks, stream, positions)

        return aim

    return of


def _import_aim(source: str, name: str | None, *, replacing: bool, gone_ended: bool) -> "Callable[[Settings], Aim]":
    from workers.positions.brought import take_over  # noqa: PLC0415
    from workers.positions.look import service_now  # noqa: PLC0415
    from workers.positions.sources import bring  # noqa: PLC0415

    def of(settings: "Settings") -> "Aim":
        async def aim(stream: "StreamNow", positions: "Positions") -> "Target":
            brought = await bring(settings, source, name or settings.kinesis_stream_name)
            return take_over(
                f"import --from {source}", brought, stream, positions, service_now(stream), replacing=replacing,
                gone_ended=gone_ended,
            )  # fmt: skip

        return aim

    return of


def _change(aim_of: "Callable[[Settings], Aim]", *, dry_run: bool, yes: bool, output: str) -> None:
    with quiet():
        plan, written = asyncio.run(_plan_and_write(aim_of, dry_run=dry_run, write=yes and not dry_run))
    if output == "json":
        click.echo(json.dumps(plan.document(written=written), indent=2))
    else:
        for line in plan_lines(plan):
            click.echo(line)
    changed = sum(move.changed for move in plan.moves)
    if not (written or dry_run):
        raise RefusedError(f"{changed} shards would be set", hint="look at them, then run it again with --yes")
    click.echo(f"{NAME}: {changed} shards {'are' if written else 'would be'} set", err=True)


async def _plan_and_write(aim_of: "Callable[[Settings], Aim]", *, dry_run: bool, write: bool) -> "tuple[Plan, bool]":
    from workers.kafka_access import kafka_access  # noqa: PLC0415
    from workers.positions.plan import plan_change  # noqa: PLC0415
    from workers.positions.write import write_change  # noqa: PLC0415
    from workers.settings import load_settings  # noqa: PLC0415
    from workers.topics import Topics  # noqa: PLC0415

    settings = load_settings()
    progress = Progress(NAME)
    async with kafka_access(settings) as kafka:
        await kafka.require({Topics.of(settings).checkpoints: settings.source_slots})
        waits = _waits if write else None
        plan = await plan_change(settings, kafka, aim_of(settings), progress, waits, dry_run=dry_run)
        if write:
            await write_change(settings, kafka, plan.change, progress)
    return plan, write


def _waits(parents: int) -> None:
    click.echo(f"{NAME}: {parents} parents are not listed, a second listing in 30 s decides", err=True)
