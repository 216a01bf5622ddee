"""`cdc health`: whether what the pipeline depends on is there."""

import asyncio
import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING, Literal

import click

from workers.cli.quiet import quiet
from workers.failures import ConfigurationError

if TYPE_CHECKING:
    from workers.health.examination import Examination
    from workers.health.verdicts import HealthReport, Verdict

CHECKS = ("kafka", "kinesis", "bus", "alarms", "rds", "postgres", "ssm", "archive")
"""In the order of the screen; that of a canary is told by workers."""
SET_BY = {
    "kinesis": "KINESIS_STREAM_NAME", "alarms": "CDC_HEALTH_ALARMS", "rds": "CDC_HEALTH_RDS",
    "postgres": "DATABASE_URL", "ssm": "a CDC_SSM_* setting", "archive": "DLQ_ARCHIVE_BUCKET",
}  # fmt: skip
CLEAR = "\x1b[2J\x1b[H"
EXAMPLES = """\b
Examples:
  cdc health
  cdc health --only kafka,bus
  cdc health --output json | jq -r .eventBridge      # OK, IN_ALARM or UNKNOWN
  cdc health --watch --every 5
"""


def _chosen(_ctx: click.Context, _param: click.Parameter, value: str | None) -> tuple[str, ...]:
    chosen = tuple(dict.fromkeys(part.strip() for part in (value or "").split(",") if part.strip()))
    unknown = [name for name in chosen if name not in CHECKS]
    if unknown or (value is not None and not chosen):
        raise click.BadParameter(f"no such check: {', '.join(unknown) or '(none)'}; there are: {', '.join(CHECKS)}")
    return chosen


@click.command(epilog=EXAMPLES)
@click.option("--only", callback=_chosen, metavar="A,B", help=f"Only these checks: {', '.join(CHECKS)}.")
@click.option("--watch", is_flag=True, help="Look again and again, until Ctrl-C.")
@click.option("--every", type=click.FloatRange(1, 3600), default=10.0, show_default=True, metavar="SECONDS",
              help="With --watch: from one look to the next.")  # fmt: skip
@click.option("--timeout", type=click.FloatRange(1, 60), metavar="SECONDS",
              help="How long each check may take (CDC_HEALTH_TIMEOUT).")  # fmt: skip
@click.option("--output", type=click.Choice(["table", "json", "jsonl"]), default="table", show_default=True,
              help="json: the report; jsonl: one verdict per line, with --watch one report per line.")  # fmt: skip
@click.pass_context
def health(
    ctx: click.Context, only: tuple[str, ...], watch: bool, every: float, timeout: float | None,
    output: Literal["table", "json", "jsonl"],
) -> None:  # fmt: skip
    """Ask everything the pipeline depends on whether it is there: all at the same time, from this machine.

    \b
      kafka     servers, and whether every topic has leaders and all replicas
      kinesis   status of every stream
      bus       whether every bus is there
      alarms    state of the CloudWatch alarms in CDC_HEALTH_ALARMS
      rds       status of the databases in CDC_HEALTH_RDS
      postgres  the database behind the lookups, if there is one
      ssm       the parameters that hold secrets, if there are any
      archive   bucket, queue and topic of dead letters, if there are any
      canary    what the worker that sends canaries last saw of them, if one does; not with --only

    It reads, and writes nothing. Workers do the same every CDC_HEALTH_INTERVAL seconds; what they found stands at
    /api/health. Exit code: 0 if all is ok; 4 if somebody denies us a look or refuses our credentials, 5 if something
    does not serve, 7 if something is degraded or cannot be told; the lowest of these that applies. See docs/health.md.
    """
    if watch and output == "json":
        raise click.UsageError("--watch goes with --output table or jsonl: each look is a document of its own")
    examination = _examination(timeout)
    unset = [name for name in only if name not in examination.checks]
    if unset:
        raise ConfigurationError(
            f"no setting names anything to look at for {', '.join(unset)}",
            hint=f"set {', '.join(SET_BY[name] for name in unset)}, or leave it out of --only",
        )
    if watch:
        _watch(examination, only, every, output)
        return
    with quiet():
        report = asyncio.run(_round(examination, only))
    match output:
        case "json":
            click.echo(json.dumps(report.document(), indent=2))
        case "jsonl":
            for verdict in report.document()["verdicts"]:
                click.echo(json.dumps(verdict))
        case "table":
            for line in table(report):
                click.echo(line)
    click.echo(f"cdc health: {_summary(report)}", err=True)
    ctx.exit(int(report.exit_code))


def _examination(timeout: float | None) -> "Examination":
    from workers.app import now_ms  # noqa: PLC0415  importing aiokafka takes half a second; --help should not
    from workers.contract import read_catalogue  # noqa: PLC0415
    from workers.engine.clock import monotonic  # noqa: PLC0415
    from workers.health.examination import Examination  # noqa: PLC0415
    from workers.settings.worker import load_settings  # noqa: PLC0415

    settings = load_settings({"health_timeout": timeout} if timeout is not None else {})
    return Examination(settings, read_catalogue(settings), now_ms=now_ms, monotonic=monotonic)


async def _round(examination: "Examination", only: tuple[str, ...]) -> "HealthReport":
    """Our own look, and what the workers say of their canaries, which nobody else can tell."""
    if only:
        return await examination.round(only)
    report, told = await asyncio.gather(examination.round(), _canaries())
    return replace(report, verdicts=(*report.verdicts, *told))


async def _canaries() -> "tuple[Verdict, ...]":
    from workers.health.asked import canaries  # noqa: PLC0415
    from workers.settings.worker import load_settings  # noqa: PLC0415

    return await canaries(load_settings())


def _watch(examination: "Examination", only: tuple[str, ...], every: float, output: str) -> None:
    async def looks() -> None:
        while True:
            report = await _round(examination, only)
            if output == "jsonl":
                click.echo(json.dumps(report.document()))
            else:
                click.echo(CLEAR if sys.stdout.isatty() else "", nl=False)
                for line in table(report):
                    click.echo(line)
                click.echo(f"{report.document()['at']}  {_summary(report)}\n")
            await asyncio.sleep(every)

    with quiet():
        asyncio.run(looks())


def table(report: "HealthReport") -> Iterator[str]:
    """One line for each verdict, in the order of the checks; what to do stands below."""
    width = max((len(verdict.subject) for verdict in report.verdicts), default=0)
    for check, verdicts in groupby(report.verdicts, key=lambda verdict: verdict.check):
        for verdict in verdicts:
            yield f"{verdict.state:<9}{check:<9} {verdict.subject:<{width}}  {verdict.reason}"
            if verdict.action:
                yield f"{'':<9}{'':<9} -> {verdict.action}"


def _summary(report: "HealthReport") -> str:
    told = f"{report.state} in {report.seconds:.1f} s"
    if report.by_check.keys() & {"bus", "alarms"}:
        told += f"; EventBridge {report.event_bridge}"
    return told + (f"; database {report.database}" if report.database is not None else "")
