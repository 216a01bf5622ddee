"""`cdc status`: what is wrong on one screen, where every stage stands, and whether its counts add up."""

import asyncio
import functools
import json
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from workers.cli.columns import columns
from workers.cli.dlq_options import now_ms
from workers.cli.progress import Progress
from workers.cli.quiet import quiet
from workers.cli.status_screen import screen
from workers.failures import ConfigurationError, ExitCode

if TYPE_CHECKING:
    from workers.audit.counts import Baseline
    from workers.audit.report import Audit
    from workers.audit.verdicts import Line
    from workers.overview.judgement import Overview
    from workers.settings.worker import Settings
    from workers.status import StageStatus

STAGES = ("bridge", "enrich", "publish")
ARCHIVE = "archive"
EXAMPLES = """\b
Examples:
  cdc status                                      # what is wrong, since when, and what mends it
  cdc status --watch                              # the same, again and again
  cdc status --details                            # every partition and shard
  cdc status --audit
  cdc status --audit --output json > monday.json
  cdc status --audit --since monday.json          # only what has happened since
"""


@click.command(epilog=EXAMPLES)
@click.option("--audit", "audited", is_flag=True, help="Count what stands in the topics, and compare.")
@click.option("--stage", "stages", type=click.Choice([*STAGES, ARCHIVE]), multiple=True,
              help="Only this stage; may be repeated. archive: if a setting switches it on.")  # fmt: skip
@click.option("--since", type=click.Path(path_type=Path, exists=True, dir_okay=False), metavar="FILE",
              help="With --audit: begin where the audit ended whose JSON is in FILE.")  # fmt: skip
@click.option("--details", is_flag=True, help="Every partition and shard, with offsets and counts.")
@click.option(
    "--watch",
    type=click.FloatRange(min=1),
    is_flag=False,
    flag_value=5.0,
    default=None,
    metavar="[SECONDS]",
    help="Draw the screen again every 5 or SECONDS seconds, until Ctrl-C.",
)
@click.option(
    "--sample",
    type=click.FloatRange(0, 60),
    default=1.0,
    show_default=True,
    metavar="SECONDS",
    help="How long rates are measured; 0: not at all.",
)
@click.option("--output", type=click.Choice(["table", "json"]), default="table", show_default=True,
              help="json: one document on stdout.")  # fmt: skip
@click.pass_context
def status(
    ctx: click.Context, audited: bool, stages: tuple[str, ...], since: Path | None, details: bool,
    watch: float | None, sample: float, output: Literal["table", "json"],
) -> None:  # fmt: skip
    """Show on one screen what is wrong: state of every stage, rate, lag, dead letters, pauses, and what mends it.

    \b
      BLOCKED      it goes on only when somebody has done something; the line with ! says what
      STOPPED      no worker is in its group
      paused       `cdc pause` holds it back; WHY says the reason. part paused: a table or a partition of it
      running      it works, or has something to do
      idle         there is nothing to do

    LAG counts offsets, markers of transactions among them. BEHIND is the age of the oldest record that waits; RETENTION
    how much of the time that Kafka or the stream keeps it is over (! from 50 %, !! from 80 %).
    --details shows every partition, by source if there are several.

    With --audit every record of raw, events, receipts and dead letters is counted and compared with what the stages say
    they did: per source and partition, what was read ended in exactly one output, drop or dead letter, and each of
    these is there, once. It may run beside workers, and writes nothing. Verdicts:

    \b
      OK       the counts agree with everything in the topics
      UNKNOWN  nothing contradicts them, but a part cannot be seen (retention, gaps, streams that no source reads)
      BROKEN   they contradict each other

    Exit code: 0 if all is OK, 1 if anything is BROKEN, 7 if some is UNKNOWN.
    """
    if since is not None and not audited:
        raise click.UsageError("--since goes with --audit")
    if audited and ARCHIVE in stages:
        raise click.UsageError("--audit compares topics; what archive writes stands elsewhere")
    if watch is not None and (audited or details or output == "json" or not sys.stdout.isatty()):
        raise click.UsageError("--watch draws the screen on a terminal; leave --audit, --details and --output out")
    chosen = tuple(stage for stage in (*STAGES, ARCHIVE) if stage in stages)
    if not audited:
        _show(chosen, output, details=details, watch=watch, sample=sample)
        return
    with quiet():
        report = asyncio.run(_audit(chosen or STAGES, since))
    _print(output, report.document(), lambda: _audit_lines(report))
    click.echo(f"cdc status: {_summary(report)}", err=True)
    ctx.exit(int(_exit_code(report)))


def _show(chosen: Sequence[str], output: str, *, details: bool, watch: float | None, sample: float) -> None:
    while True:
        with quiet():
            found, seen = asyncio.run(_look(chosen, 0 if details and output == "table" else sample))
        document = {"stages": [stage.document() for stage in found], **seen.document()}
        lines = list(_status_lines(found) if details else screen(seen, _size()))
        if watch is not None:
            click.clear()
        _print(output, document, functools.partial(iter, lines))
        if watch is None:
            return
        time.sleep(watch)


def _size() -> tuple[int, int] | None:
    size = shutil.get_terminal_size()
    return (size.columns, size.lines) if sys.stdout.isatty() else None


def _print(output: str, document: dict[str, Any], lines: Callable[[], Iterator[str]]) -> None:
    if output == "json":
        click.echo(json.dumps(document, indent=2))
        return
    for line in lines():
        click.echo(line)


def _baseline(path: Path | None, settings: "Settings") -> "Baseline | None":
    from workers.audit.counts import Baseline, SourceNotTold  # noqa: PLC0415  importing aiokafka takes half a second
    from workers.kafka.topics import Topics  # noqa: PLC0415

    if path is None:
        return None
    try:
        return Baseline.read(json.loads(path.read_bytes()), Topics.of(settings))
    except SourceNotTold:
        raise ConfigurationError(
            f"{path.name} is of a time with one source, and does not say which",
            hint="begin anew: `cdc status --audit --output json`",
        ) from None
    except ValueError:
        raise ConfigurationError(
            f"{path.name} is not the JSON of an earlier audit", hint="write it with `cdc status --audit --output json`"
        ) from None


async def _look(stages: Sequence[str], sample: float) -> "tuple[list[StageStatus], Overview]":
    from workers.kafka.access import kafka_access  # noqa: PLC0415
    from workers.overview.look import overview  # noqa: PLC0415
    from workers.settings.worker import load_settings  # noqa: PLC0415
    from workers.status import look, needed_topics  # noqa: PLC0415

    settings = load_settings()
    stages = stages or ((*STAGES, ARCHIVE) if settings.has_archive else STAGES)
    async with kafka_access(settings) as kafka:
        await kafka.require(needed_topics(settings, stages, audit=False))
        found = await look(settings, kafka, stages)
        return found, await overview(settings, kafka, found, now_ms(), sample)


async def _audit(stages: Sequence[str], since: Path | None) -> "Audit":
    from workers.audit.examination import audit  # noqa: PLC0415
    from workers.kafka.access import kafka_access  # noqa: PLC0415
    from workers.settings.worker import load_settings  # noqa: PLC0415
    from workers.status import needed_topics  # noqa: PLC0415

    settings = load_settings()
    baseline = _baseline(since, settings)
    async with kafka_access(settings) as kafka:
        await kafka.require(needed_topics(settings, stages, audit=True))
        return await audit(settings, kafka.connection, stages, baseline, Progress("cdc status"))


def _exit_code(report: "Audit") -> ExitCode:
    match report.verdict.value:
        case "OK":
            return ExitCode.OK
        case "UNKNOWN":
            return ExitCode.PARTIAL
        case _:
            return ExitCode.ERROR


def _summary(report: "Audit") -> str:
    from workers.audit.verdicts import Verdict  # noqa: PLC0415

    told = ", ".join(f"{report.count(verdict)} {verdict.value}" for verdict in Verdict)
    foreign = "".join(f"; {n:,} records of {topic} are not ours" for topic, n in report.foreign.items())
    return f"{report.verdict.value}: {told}{foreign}"


REDRIVEN = "redriven"
"""In place of the source, of what comes again by a redrive topic."""
TEXTS = ("STAGE", "SOURCE", "PARTITION", "SHARD", "STATE", "VERDICT")
"""These stand to the left, numbers to the right."""


def _table(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    """Without the column SOURCE if all rows are of one source, or of none."""
    at = rows[0].index("SOURCE")
    if len({row[at] for row in rows[1:]} - {"-"}) < 2:
        rows = [row[:at] + row[at + 1 :] for row in rows]
    return columns(rows, left=TEXTS)


def _number(number: int | None) -> str:
    return "-" if number is None else f"{number:,}"


def _status_lines(found: "Sequence[StageStatus]") -> Iterator[str]:
    for stage in found:
        members = f", {', '.join(stage.group.members)}" if stage.group.members else ""
        bus = f"; bus {stage.bus.name}: {stage.bus.told}" if stage.bus is not None else ""
        yield f"{stage.stage}: group {stage.group.state}, {len(stage.group.members)} members{members}{bus}"
        for stop in stage.standstills:
            yield f"    stands still since {_time(stop.since_ms)} at {stop.topic}/{stop.partition}: {stop.why}"
    rows: list[tuple[str, ...]] = [
        ("STAGE", "SOURCE", "PARTITION", "OFFSET", "LAG", "SINCE", "IN", "OUT", "DEAD", "DROPPED", "SKIPPED")
    ]
    for stage in found:
        for row in stage.partitions:
            if row.redriven and not row.end:
                continue  # nothing was ever redriven there
            told = row.counted
            numbers = (told.inputs, told.out, told.dead, told.dropped, told.skipped) if told else (None,) * 5
            position = (told.offset, row.lag, told.since) if told else (None,) * 3
            where = (stage.stage, REDRIVEN if row.redriven else row.source or "-", str(row.partition))
            rows.append((*where, *map(_number, (*position, *numbers))))
    if len(rows) > 1:
        yield ""
        yield from _table(rows)
    shards = [("SOURCE", "SHARD", "STATE", "SLOT", "RECORDS", "LAST ARRIVAL")]
    shards += [
        (row.source or row.told.stream, row.told.shard, row.told.state, str(row.told.slot), _number(row.told.records),
         _time(row.told.arrival_ms))
        for stage in found
        for row in stage.shards
    ]  # fmt: skip
    if len(shards) > 1:
        yield ""
        yield from _table(shards)


def _time(milliseconds: int) -> str:
    if not milliseconds:
        return "-"
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _audit_lines(report: "Audit") -> Iterator[str]:
    rows: list[tuple[str, ...]] = [
        ("STAGE", "SOURCE", "PARTITION", "IN", "OUT", "DEAD", "DROPPED", "SKIPPED", "VERDICT")
    ]
    rows += [
        _audit_row(line, REDRIVEN if line.topic in report.redriven else report.source(line) or "-")
        for line in report.lines
    ]
    table = _table(rows)
    yield next(table)
    for line, text in zip(report.lines, table, strict=True):
        yield text
        for check in line.checks:
            if check.reason:
                yield f"    {check.verdict.value} {check.name}: {check.reason}"


def _audit_row(line: "Line", source: str) -> tuple[str, ...]:
    from workers.audit.counts import Counted, Forwarded  # noqa: PLC0415

    match line.counted:
        case Counted() as told:
            numbers = map(_number, (told.inputs, told.out, told.dead, told.dropped, told.skipped))
            return (line.stage, source, str(line.partition), *numbers, line.verdict.value)
        case Forwarded() as told:
            counts = map(_number, (told.records, told.records, 0, 0, 0))
            return (line.stage, source, told.shard, *counts, line.verdict.value)
        case _:
            return (line.stage, source, str(line.partition), *("-",) * 5, line.verdict.value)
