"""`cdc status`: where every stage stands, and whether its counts add up."""

import asyncio
import json
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from workers.cli.columns import columns
from workers.cli.progress import Progress
from workers.cli.quiet import quiet
from workers.failures import ConfigurationError, ExitCode

if TYPE_CHECKING:
    from workers.audit.counts import Baseline
    from workers.audit.report import Audit
    from workers.audit.verdicts import Line
    from workers.status import StageStatus

STAGES = ("bridge", "enrich", "publish")
EXAMPLES = """\b
Examples:
  cdc status
  cdc status --audit
  cdc status --audit --output json > monday.json
  cdc status --audit --since monday.json          # only what has happened since
"""


@click.command(epilog=EXAMPLES)
@click.option("--audit", "audited", is_flag=True, help="Count what stands in the topics, and compare.")
@click.option("--stage", "stages", type=click.Choice(STAGES), multiple=True, help="Only this stage; may be repeated.")
@click.option("--since", type=click.Path(path_type=Path, exists=True, dir_okay=False), metavar="FILE",
              help="With --audit: begin where the audit ended whose JSON is in FILE.")  # fmt: skip
@click.option("--output", type=click.Choice(["table", "json"]), default="table", show_default=True,
              help="json: one document on stdout.")  # fmt: skip
@click.pass_context
def status(
    ctx: click.Context, audited: bool, stages: tuple[str, ...], since: Path | None, output: Literal["table", "json"]
) -> None:
    """Show where every stage stands.

    With --audit every record of raw, events, receipts and dead letters is counted and compared with what the stages say
    they did: per partition, what was read ended in exactly one output, drop or dead letter, and each of these is there,
    once. It may run beside workers, and writes nothing. Verdicts:

    \b
      OK       the counts agree with everything in the topics
      UNKNOWN  nothing contradicts them, but a part cannot be seen (retention, gaps)
      BROKEN   they contradict each other

    Exit code: 0 if all is OK, 1 if anything is BROKEN, 7 if some is UNKNOWN.
    """
    if since is not None and not audited:
        raise click.UsageError("--since goes with --audit")
    chosen = tuple(stage for stage in STAGES if stage in stages) or STAGES
    if not audited:
        with quiet():
            found = asyncio.run(_look(chosen))
        document = {"stages": [stage.document() for stage in found]}
        _print(output, document, lambda: _status_lines(found))
        return
    baseline = _baseline(since)
    with quiet():
        report = asyncio.run(_audit(chosen, baseline))
    _print(output, report.document(), lambda: _audit_lines(report))
    click.echo(f"cdc status: {_summary(report)}", err=True)
    ctx.exit(int(_exit_code(report)))


def _print(output: str, document: dict[str, Any], lines: Callable[[], Iterator[str]]) -> None:
    if output == "json":
        click.echo(json.dumps(document, indent=2))
        return
    for line in lines():
        click.echo(line)


def _baseline(path: Path | None) -> "Baseline | None":
    from workers.audit.counts import Baseline  # noqa: PLC0415  importing aiokafka takes half a second

    if path is None:
        return None
    try:
        return Baseline.read(json.loads(path.read_bytes()))
    except ValueError:
        raise ConfigurationError(
            f"{path.name} is not the JSON of an earlier audit", hint="write it with `cdc status --audit --output json`"
        ) from None


async def _look(stages: Sequence[str]) -> "list[StageStatus]":
    from workers.kafka_access import kafka_access  # noqa: PLC0415
    from workers.settings import load_settings  # noqa: PLC0415
    from workers.status import look, needed_topics  # noqa: PLC0415

    settings = load_settings()
    async with kafka_access(settings) as kafka:
        await kafka.require(needed_topics(settings, stages, audit=False))
        return await look(settings, kafka, stages)


async def _audit(stages: Sequence[str], baseline: "Baseline | None") -> "Audit":
    from workers.audit.examination import audit  # noqa: PLC0415
    from workers.kafka_access import kafka_access  # noqa: PLC0415
    from workers.settings import load_settings  # noqa: PLC0415
    from workers.status import needed_topics  # noqa: PLC0415

    settings = load_settings()
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


TEXTS = ("STAGE", "PARTITION", "SHARD", "STATE", "VERDICT")
"""These stand to the left, numbers to the right."""


def _number(number: int | None) -> str:
    return "-" if number is None else f"{number:,}"


def _status_lines(found: "Sequence[StageStatus]") -> Iterator[str]:
    for stage in found:
        members = f", {', '.join(stage.group.members)}" if stage.group.members else ""
        yield f"{stage.stage}: group {stage.group.state}, {len(stage.group.members)} members{members}"
    rows: list[tuple[str, ...]] = [
        ("STAGE", "PARTITION", "OFFSET", "LAG", "SINCE", "IN", "OUT", "DEAD", "DROPPED", "SKIPPED")
    ]
    for stage in found:
        for row in stage.partitions:
            told = row.counted
            numbers = (told.inputs, told.out, told.dead, told.dropped, told.skipped) if told else (None,) * 5
            position = (told.offset, row.lag, told.since) if told else (None,) * 3
            rows.append((stage.stage, str(row.partition), *map(_number, (*position, *numbers))))
    if len(rows) > 1:
        yield ""
        yield from columns(rows, left=TEXTS)
    shards = [("SHARD", "STATE", "SLOT", "RECORDS", "LAST ARRIVAL")]
    shards += [
        (shard.shard, shard.state, str(shard.slot), _number(shard.records), _time(shard.arrival_ms))
        for stage in found
        for shard in stage.shards
    ]
    if len(shards) > 1:
        yield ""
        yield from columns(shards, left=TEXTS)


def _time(milliseconds: int) -> str:
    if not milliseconds:
        return "-"
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _audit_lines(report: "Audit") -> Iterator[str]:
    rows: list[tuple[str, ...]] = [("STAGE", "PARTITION", "IN", "OUT", "DEAD", "DROPPED", "SKIPPED", "VERDICT")]
    rows += [_audit_row(line) for line in report.lines]
    table = columns(rows, left=TEXTS)
    yield next(table)
    for line, text in zip(report.lines, table, strict=True):
        yield text
        for check in line.checks:
            if check.reason:
                yield f"    {check.verdict.value} {check.name}: {check.reason}"


def _audit_row(line: "Line") -> tuple[str, ...]:
    from workers.audit.counts import Counted, Forwarded  # noqa: PLC0415

    match line.counted:
        case Counted() as told:
            numbers = map(_number, (told.inputs, told.out, told.dead, told.dropped, told.skipped))
            return (line.stage, str(line.partition), *numbers, line.verdict.value)
        case Forwarded() as told:
            return (line.stage, told.shard, *map(_number, (told.records, told.records, 0, 0, 0)), line.verdict.value)
        case _:
            return (line.stage, str(line.partition), *("-",) * 5, line.verdict.value)
