"""`cdc check`: is everything as the worker needs it?"""

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from itertools import groupby
from typing import Literal

import click

from workers.checks.findings import Finding, Report, count
from workers.checks.kafka_kinds import KINDS
from workers.checks.kinds import CHECKS, SECTIONS, Section
from workers.cli.columns import hanging, talk, terminal_width
from workers.cli.quiet import quiet
from workers.failures import unknown_name

EXAMPLES = """\b
Examples:
  cdc check
  cdc check --only kafka --only topics
  cdc check --explain topic.min-isr
  cdc check --skip aws --output json | jq -r '.findings[].id'
  cdc check && cdc worker
"""
NAMES = click.Choice(list(SECTIONS))
INDENT = 10


def _known_ids(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    return [kind for kind in KINDS if kind.startswith(incomplete)]


@click.command(epilog=EXAMPLES)
@click.option("--only", "only", type=NAMES, multiple=True, metavar="SECTION",
              help=f"Only this section; may be repeated. There are: {', '.join(SECTIONS)}.")  # fmt: skip
@click.option("--skip", "skip", type=NAMES, multiple=True, metavar="SECTION",
              help="All but this section; may be repeated.")  # fmt: skip
@click.option("--explain", metavar="ID", shell_complete=_known_ids,
              help="Look at nothing; say what findings with this id mean, and what to do.")  # fmt: skip
@click.option("--output", type=click.Choice(["table", "json", "jsonl"]), default="table", show_default=True,
              help="json: the whole report; jsonl: one finding per line.")  # fmt: skip
@click.option("--timeout", type=click.FloatRange(1, 120), default=10.0, show_default=True, metavar="SECONDS",
              help="How long to wait for each answer of Kafka, AWS and the database.")  # fmt: skip
@click.pass_context
def check(
    ctx: click.Context, only: tuple[Section, ...], skip: tuple[Section, ...], explain: str | None,
    output: Literal["table", "json", "jsonl"], timeout: float,
) -> None:  # fmt: skip
    """Check everything the worker needs, and say what to do about each finding.

    \b
    Looked at are, in this order:
      config    settings, tables.yaml with its examples, SSM parameters, redaction
      database  whether it can answer the query of each lookup, if there is one
      kafka     DNS, connections, certificates and login of every server; what
                brokers can do, and how they are set up
      topics    partitions, clean-up, retention, sizes, replicas; one
                transaction, which is aborted
      aws       who the worker is; reading the streams (at most one record, of
                which nothing is kept); bus and rules; buckets, queue, topic
      clock     beside AWS, and beside whoever writes to Kafka
      disk      CDC_DATA_DIR can be written, and has room
      keys      strength and age, and who may read their files

    No topic is made or changed, and no record or event is written. Findings have stable ids, such as
    topic.partitions; docs/findings.md explains each.

    Exit code: 0 without errors (warnings are fine), 3 for configuration, 4 if Kafka or AWS denies something, 5 if
    something cannot be reached; the lowest of these that applies.
    """
    if explain is not None:
        _explain(explain, output)
        return
    from workers.checks.examination import examine  # noqa: PLC0415  importing aiokafka takes half a second

    sections = tuple(section for section in SECTIONS if (not only or section in only) and section not in skip)
    if not sections:
        raise click.UsageError("--skip leaves nothing of what --only names")
    with quiet(), _Screen() as screen:
        report = examine(seconds=timeout, sections=sections, tell=screen)
    match output:
        case "json":
            click.echo(json.dumps(report.document(), indent=2))
        case "jsonl":
            for finding in report.document()["findings"]:
                click.echo(json.dumps(finding))
        case "table":
            for line in _table(report, terminal_width()):
                click.echo(line)
    talk(f"cdc check: {_summary(report)}")
    ctx.exit(int(report.exit_code))


def _explain(wanted: str, output: str) -> None:
    if wanted not in KINDS:
        raise unknown_name("finding", wanted, KINDS, see="see docs/findings.md")
    kind = KINDS[wanted]
    code = int(kind.code) if kind.severity == "error" else None
    document = {
        "id": wanted, "section": kind.section, "severity": kind.severity, "exit_code": code, "meaning": kind.meaning,
        "action": kind.action,
    }  # fmt: skip
    if output != "table":
        click.echo(json.dumps(document, indent=2 if output == "json" else None))
        return
    ends = f", exit code {code}" if code is not None else ""
    click.echo(f"{wanted} ({kind.severity} of {kind.section}{ends})\n{kind.meaning}\n-> {kind.action}")


class _Screen:
    """On a terminal, one line on stderr that says what is being looked at; elsewhere nothing."""

    def __init__(self) -> None:
        self._drawn = sys.stderr.isatty()

    def __enter__(self) -> Callable[[Section], None]:
        return self._tell

    def __exit__(self, *_: object) -> None:
        self._draw("")

    def _tell(self, section: Section) -> None:
        self._draw(f"cdc check: {section}: {SECTIONS[section]}")

    def _draw(self, text: str) -> None:
        if self._drawn:
            click.echo(f"\r\x1b[K{text[: shutil.get_terminal_size().columns - 1]}", err=True, nl=False)
            sys.stderr.flush()


def _table(report: Report, screen: int | None) -> Iterator[str]:
    """By section, errors first; findings of one kind stand together, with what to do below the last of them."""
    told = {finding.section for finding in report.findings}
    for section in (section for section in SECTIONS if section in report.sections or section in told):
        found = [finding for finding in report.findings if finding.section == section]
        yield f"{section:<{INDENT}}{_verdict(report, section, found)}"
        yield from _findings(found, screen)


def _verdict(report: Report, section: Section, found: list[Finding]) -> str:
    if found:
        return _counted(found)
    return "ok" if any(CHECKS[name] == section for name in report.checked) else "not checked"


def _findings(found: list[Finding], screen: int | None) -> Iterator[str]:
    width = max((len(finding.id) for finding in found), default=0)
    worst_first = sorted(found, key=lambda finding: (finding.severity != "error", finding.id))
    for (severity, kind), alike in groupby(worst_first, key=lambda finding: (finding.severity, finding.id)):
        action = ""
        for finding in alike:
            told = f"  {severity:<8}{kind:<{width}}  {finding.subject}: {finding.message}"
            yield from hanging(told, width + INDENT + 2, screen)
            action = finding.action
        yield from hanging(f"  {'':<8}{'':<{width}}  -> {action}", width + INDENT + 5, screen)


def _counted(found: list[Finding]) -> str:
    errors, warnings = count(found, "error"), count(found, "warning")
    told = [_plural(errors, "error")] if errors else []
    return ", ".join([*told, *([_plural(warnings, "warning")] if warnings else [])])


def _summary(report: Report) -> str:
    errors, warnings = count(report.findings, "error"), count(report.findings, "warning")
    told = (
        f"{_plural(errors, 'error')}, {_plural(warnings, 'warning')}; checked {', '.join(report.checked) or 'nothing'}"
    )
    return told + (f"; not checked: {', '.join(report.skipped)}" if report.skipped else "")


def _plural(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
