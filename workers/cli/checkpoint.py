"""`cdc checkpoint`: where the shards stand, and moving them."""

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from workers.cli.checkpoint_aims import import_aim, offset_aim, reset_aim
from workers.cli.checkpoint_lines import plan_lines, status_lines, status_summary
from workers.cli.checkpoint_offsets import NAME, STAGES, set_offsets, show_offsets
from workers.cli.progress import Progress
from workers.cli.quiet import quiet
from workers.cli.sources import named_source, one_source
from workers.cli.writing_options import writing
from workers.failures import ConfigurationError, ExitCode, RefusedError

if TYPE_CHECKING:
    from workers.cli.checkpoint_aims import AimOf
    from workers.positions.look import Looks
    from workers.positions.plan import Plan

STATUS_EXAMPLES = """\b
Examples:
  cdc checkpoint status
  cdc checkpoint status --stage enrich
  cdc checkpoint status --output jsonl | jq 'select(.state == "BLOCKED")'
"""


_SOURCE = click.option("--source", metavar="NAME", help="Of this source alone (CDC_SOURCES).")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def checkpoint() -> None:
    """Positions of the shards, which stand in Kafka (cdc.checkpoints)."""


@checkpoint.command(epilog=STATUS_EXAMPLES)
@click.option("--stage", type=click.Choice(STAGES), default="bridge", show_default=True,
              help="enrich, publish and archive: their offsets, by partition.")  # fmt: skip
@_SOURCE
@click.option("--all", "everything", is_flag=True, help="Also shards that were read to their end and left the stream.")
@click.option("--output", type=click.Choice(["table", "json", "jsonl"]), default="table", show_default=True,
              help="json: one document; jsonl: one shard per line.")  # fmt: skip
@click.pass_context
def status(
    ctx: click.Context, stage: str, source: str | None, everything: bool, output: Literal["table", "json", "jsonl"]
) -> None:
    """Show where every shard of the streams stands, or every partition of another stage.

    \b
    READING    its slot is held by OWNER (a worker: CDC_WORKER_NAME)
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
    With --stage enrich or publish: 7 if a partition has no offset, or one outside of its log.
    """
    if stage != "bridge":
        if not show_offsets(stage, source, output):
            ctx.exit(int(ExitCode.PARTIAL))
        return
    with quiet():
        found = asyncio.run(_look(source, everything=everything))
    match output:
        case "json":
            click.echo(json.dumps(found.document(), indent=2))
        case "jsonl":
            for document in found.document()["sources"]:
                for shard in document["shards"]:
                    click.echo(json.dumps(shard))
        case "table":
            for line in status_lines(found):
                click.echo(line)
    for line in status_summary(found):
        click.echo(f"{NAME}: {line}", err=True)
    if not all(look.sound for look in found.sources):
        ctx.exit(int(ExitCode.PARTIAL))


async def _look(name: str | None, *, everything: bool) -> "Looks":
    from workers.kafka.access import kafka_access  # noqa: PLC0415  importing aiokafka takes half a second
    from workers.kafka.topics import Topics  # noqa: PLC0415
    from workers.positions.look import look  # noqa: PLC0415
    from workers.settings.worker import load_settings  # noqa: PLC0415

    settings = load_settings()
    async with kafka_access(settings) as kafka:
        await kafka.require({Topics.of(settings).checkpoints: settings.source_slots})
        wanted = settings.sources if name is None else (named_source(settings, name),)
        return await look(settings, kafka, wanted, Progress(NAME), everything=everything)


RESET_EXAMPLES = """\b
Examples:
  cdc checkpoint reset --trim-horizon --dry-run
  cdc checkpoint reset --at-time 2026-01-15T10:00:00Z --yes
  cdc checkpoint reset --at-seq shardId-000000000002=4965… --yes
  cdc checkpoint reset --stage publish --at-time 2026-01-15T10:00Z --dry-run
  cdc checkpoint reset --stage enrich --source orders --to-start --dry-run
"""
IMPORT_EXAMPLES = """\b
Examples:
  cdc checkpoint import --from monday.json --dry-run
  cdc checkpoint import --from monday.json --replace --yes
  cdc checkpoint import --from kcl:my-consumer --dry-run
  cdc checkpoint import --from dynamodb:cdc-checkpoints --gone-ended --yes
"""
OF_STREAM = ("--trim-horizon", "--latest", "--at-time", "--at-seq")
OF_PARTITIONS = ("--to-start", "--to-end", "--at-time", "--offset")
_writes = writing("Only say what would be done; workers may run.")


@checkpoint.command(epilog=RESET_EXAMPLES)
@click.option("--stage", type=click.Choice(STAGES), default="bridge", show_default=True,
              help="Stages but bridge take --to-start, --to-end, --at-time and --offset.")  # fmt: skip
@_SOURCE
@click.option("--trim-horizon", is_flag=True, help="Begin again at the oldest record the stream has.")
@click.option("--latest", is_flag=True, help="Skip what was not forwarded yet; go on with what comes from now on.")
@click.option("--at-time", metavar="ISO", help="Begin again with what has come since then (without a zone: UTC).")
@click.option("--to-start", is_flag=True, help="With --stage: the oldest record of every partition.")
@click.option("--to-end", is_flag=True, help="With --stage: behind the newest record of every partition.")
@click.option("--offset", "offsets", multiple=True, metavar="P=N",
              help="With --stage: partition P alone (of --source), to offset N; may be repeated.")  # fmt: skip
@click.option("--at-seq", multiple=True, metavar="SHARD=SEQ",
              help="Set this shard alone: the record SEQ is the next one; may be repeated.")  # fmt: skip
@_writes
def reset(
    *, stage: str, source: str | None, trim_horizon: bool, latest: bool, at_time: str | None, at_seq: tuple[str, ...],
    to_start: bool, to_end: bool, offsets: tuple[str, ...], dry_run: bool, yes: bool, output: Literal["table", "json"],
) -> None:  # fmt: skip
    """Set the positions of a stream by hand.

    Everything behind the new position is forwarded to raw again, under other offsets: enrich and publish see it as new
    records, and events come again with the eventId they had. `cdc status --audit` finds records that stand in raw
    twice and is BROKEN, but not one --since an audit that was made when everything was read again.

    --trim-horizon, --latest and --at-time set the whole stream: every checkpoint goes, and the shards that are listed
    now begin there, parents before children. --at-seq sets single shards; their descendants wait for them again and are
    read from their start, their ancestors count as read to their end.

    With --stage enrich or publish the offsets of that stage are set, of enrich for all sources unless --source names
    one, and its counts begin there. What it reads again comes out again, which an audit finds as above. The tables of
    enrich are not set back. They hold what came later, so lookups, owners and changed columns of the records it reads
    again may differ from the first time, and rows that were deleted since come back until their deletion is read, too.

    All workers of the stage must be stopped; nothing overrules that. A reset of the stream that was cut off leaves a
    mark with which no worker reads on; one of a stage leaves partitions as they were. Run it again.

    Exit code: 0, 4 or 5 if AWS or Kafka do not answer, 6 if a shard or record is not there, 8 if a worker runs, or
    if --yes is needed.
    """
    given = {
        "--trim-horizon": trim_horizon, "--latest": latest, "--at-time": at_time, "--at-seq": at_seq,
        "--to-start": to_start, "--to-end": to_end, "--offset": offsets,
    }  # fmt: skip
    fitting = OF_STREAM if stage == "bridge" else OF_PARTITIONS
    chosen = [name for name, value in given.items() if value]
    if len(chosen) != 1 or chosen[0] not in fitting:
        raise click.UsageError(f"--stage {stage}: give one of {', '.join(fitting)}")
    if stage != "bridge":
        aim = offset_aim(chosen[0], at_time, offsets)
        set_offsets(stage, source, aim, dry_run=dry_run, yes=yes, output=output)
        return
    _change(source, reset_aim(chosen[0], at_time, at_seq), dry_run=dry_run, yes=yes, output=output)


@checkpoint.command(name="import", epilog=IMPORT_EXAMPLES)
@click.option("--from", "source", required=True, metavar="FROM",
              help="FILE (of an export or a scan), kcl:TABLE or dynamodb:TABLE.")  # fmt: skip
@click.option("--source", "name", metavar="NAME", help="The source they are for, if there are several (CDC_SOURCES).")
@click.option("--stream", metavar="NAME", help="The stream's name or ARN in FROM, if it differs.")
@click.option("--replace", "replacing", is_flag=True, help="Also if the stream has checkpoints: they go.")
@click.option("--gone-ended", is_flag=True,
              help="Shards of FROM that left the stream before their end count as read.")  # fmt: skip
@_writes
def import_(
    source: str, name: str | None, stream: str | None, replacing: bool, gone_ended: bool, dry_run: bool, yes: bool,
    output: Literal["table", "json"],
) -> None:  # fmt: skip
    """Take positions over from elsewhere.

    \b
    FILE            the JSON of `cdc checkpoint export`
    kcl:TABLE       a lease table of the Kinesis Client Library, version 1 to 3,
                    in DynamoDB
    dynamodb:TABLE  the checkpoint table of the Lambda pipeline; without TABLE
                    that of CHECKPOINT_TABLE_NAME

    Stop the other reader first. Reading goes on behind the positions of FROM, for a KCL inside of an aggregate too.
    Shards of the stream without one there count as read if a descendant has one, else they begin at their start, behind
    their parents. A shard of FROM that is not in the stream any more and has not ended is refused. A table does not
    say what its positions cover: if the record of one has left the stream, its shard stops with a gap when the bridge
    comes to it (CDC_ON_GAP).

    FILE may also be what `aws dynamodb scan` printed of one of these tables.

    All workers of the bridge must be stopped. An import that was cut off leaves a mark with which no worker reads on:
    run it again.

    Exit code: as of `cdc checkpoint reset`; 3 if FROM cannot be read.
    """
    aim = import_aim(source, stream, replacing=replacing, gone_ended=gone_ended)
    _change(name, aim, dry_run=dry_run, yes=yes, output=output)


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
    from workers.kafka.access import kafka_access  # noqa: PLC0415
    from workers.kafka.topics import Topics  # noqa: PLC0415
    from workers.positions.document import document_of  # noqa: PLC0415
    from workers.positions.look import moment, service_now  # noqa: PLC0415
    from workers.positions.topic import read_positions  # noqa: PLC0415
    from workers.settings.worker import load_settings  # noqa: PLC0415

    settings = load_settings()
    topic = Topics.of(settings).checkpoints
    async with kafka_access(settings) as kafka:
        await kafka.require({topic: settings.source_slots})
        found = await read_positions(kafka.connection, topic, range(settings.source_slots), Progress(NAME))
    return document_of(found, settings.app, moment(service_now(None)))


def _change(source: str | None, aim_of: "AimOf", *, dry_run: bool, yes: bool, output: str) -> None:
    with quiet():
        plan, written = asyncio.run(_plan_and_write(source, aim_of, dry_run=dry_run, write=yes and not dry_run))
    if output == "json":
        click.echo(json.dumps(plan.document(written=written), indent=2))
    else:
        for line in plan_lines(plan):
            click.echo(line)
    changed = sum(move.changed for move in plan.moves)
    if plan.idle:
        click.echo(f"{NAME}: nothing to set: every shard stands there already", err=True)
        return
    if not (written or dry_run):
        raise RefusedError(f"{changed} shards would be set", hint="look at them, then run it again with --yes")
    click.echo(f"{NAME}: {changed} shards {'are' if written else 'would be'} set", err=True)


async def _plan_and_write(source: str | None, aim_of: "AimOf", *, dry_run: bool, write: bool) -> "tuple[Plan, bool]":
    from workers.kafka.access import kafka_access  # noqa: PLC0415
    from workers.kafka.topics import Topics  # noqa: PLC0415
    from workers.positions.plan import plan_change  # noqa: PLC0415
    from workers.positions.write import write_change  # noqa: PLC0415
    from workers.settings.worker import load_settings  # noqa: PLC0415

    settings = load_settings()
    spec = one_source(settings, source)
    progress = Progress(NAME)
    async with kafka_access(settings) as kafka:
        await kafka.require({Topics.of(settings).checkpoints: settings.source_slots})
        waits = _waits if write else None
        plan = await plan_change(settings, kafka, spec, aim_of(settings, spec), progress, waits, dry_run=dry_run)
        if write and not plan.idle:
            await write_change(settings, kafka, plan.change, progress)
    return plan, write and not plan.idle


def _waits(parents: int) -> None:
    click.echo(f"{NAME}: {parents} parents are not listed, a second listing in 30 s decides", err=True)
