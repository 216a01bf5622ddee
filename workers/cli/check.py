"""`cdc check`: is everything as the worker needs it?"""

import json
from collections.abc import Iterator
from itertools import groupby
from typing import Literal

import click

from workers.checks.findings import Report, count
from workers.cli.quiet import quiet

EXAMPLES = """\b
Examples:
  cdc check
  cdc check --output json | jq -r '.findings[].id'
  cdc check && cdc worker
"""


@click.command(epilog=EXAMPLES)
@click.option("--output", type=click.Choice(["table", "json", "jsonl"]), default="table", show_default=True,
              help="json: the whole report; jsonl: one finding per line.")  # fmt: skip
@click.option("--timeout", type=click.FloatRange(1, 120), default=10.0, show_default=True, metavar="SECONDS",
              help="How long to wait for each answer of Kafka, AWS and the database.")  # fmt: skip
@click.pass_context
def check(ctx: click.Context, output: Literal["table", "json", "jsonl"], timeout: float) -> None:
    """Check settings, tables, the database, the bus and Kafka, and say what to do about each finding.

    Looked at are: settings and tables.yaml, parameters in SSM, the redaction key, whether the database behind the
    lookups can answer the query of each, if there is one, whether the bus is there and rules with targets take its
    events, whether Kafka can be reached with these credentials, what its brokers can do and how they are set up, every
    topic (partitions, clean-up, retention, sizes, replicas), and one transaction, which is aborted. No topic is made or
    changed, and no record or event is written.

    Findings have stable ids, such as topic.partitions. Exit code: 0 without errors (warnings are fine), 3 for
    configuration, 4 if Kafka denies something, 5 if it cannot be reached; the lowest of these that applies.
    """
    from workers.checks.examination import examine  # noqa: PLC0415  importing aiokafka takes half a second

    with quiet():
        report = examine(seconds=timeout)
    match output:
        case "json":
            click.echo(json.dumps(report.document(), indent=2))
        case "jsonl":
            for finding in report.document()["findings"]:
                click.echo(json.dumps(finding))
        case "table":
            for line in _table(report):
                click.echo(line)
    click.echo(f"cdc check: {_summary(report)}", err=True)
    ctx.exit(int(report.exit_code))


def _table(report: Report) -> Iterator[str]:
    """Errors first; findings of one kind stand together, with what to do below the last of them."""
    width = max((len(finding.id) for finding in report.findings), default=0)
    worst_first = sorted(report.findings, key=lambda finding: (finding.severity != "error", finding.id))
    for (severity, kind), alike in groupby(worst_first, key=lambda finding: (finding.severity, finding.id)):
        action = ""
        for finding in alike:
            yield f"{severity:<8}{kind:<{width}}  {finding.subject}: {finding.message}"
            action = finding.action
        yield f"{'':<8}{'':<{width}}  -> {action}"


def _summary(report: Report) -> str:
    errors, warnings = count(report.findings, "error"), count(report.findings, "warning")
    told = f"{_plural(errors, 'error')}, {_plural(warnings, 'warning')}; checked {', '.join(report.checked)}"
    return told + (f"; not checked: {', '.join(report.skipped)}" if report.skipped else "")


def _plural(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
