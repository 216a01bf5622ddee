"""`cdc logs`: the last log lines of every worker, as one list."""

import asyncio
import contextlib
import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import click
import msgspec

from models.letter_selection import moment
from workers.cli.quiet import quiet
from workers.cluster.logs import LEVELS, Asked, ClusterLogs, LogQuery, logs_of
from workers.cluster.peers import OTHERS
from workers.failures import ExitCode, NotFoundError, UnreachableError
from workers.logs.lines import LogLine, iso
from workers.logs.ring import MOST_ANSWERED

if TYPE_CHECKING:
    from workers.settings.worker import Settings

Output = Literal["table", "json", "jsonl"]
FOLLOW_SECONDS = 1.0
EXAMPLES = """\b
Examples:
  cdc logs
  cdc logs --level warning --since 15m
  cdc logs --stage enrich --grep schema
  cdc logs --follow
  cdc logs --worker cdc-worker-0 --output jsonl | jq -r .message
"""


@click.command(epilog=EXAMPLES)
@click.option("--worker", metavar="NAME", help="Only of this worker.")
@click.option("--stage", type=click.Choice(["bridge", "enrich", "publish", "archive"]), help="Only of this stage.")
@click.option("--level", type=click.Choice(LEVELS, case_sensitive=False), default="debug", show_default=True,
              help="Only of this level and above.")  # fmt: skip
@click.option("--since", metavar="WHEN", help="Only later than 2026-01-15T10:00:00Z, or 90s, 30m, 2h, 7d ago.")
@click.option("--grep", metavar="TEXT", default="", help="Only lines that hold this text, whatever its case.")
@click.option("--limit", type=click.IntRange(1, MOST_ANSWERED), default=200, show_default=True,
              help="At most so many lines, the newest.")  # fmt: skip
@click.option("--follow", is_flag=True, help="Go on with what is logged from now on, until Ctrl-C.")
@click.option("--output", type=click.Choice(["table", "json", "jsonl"]), default="table", show_default=True,
              help="json: one document; jsonl: one line of the log per line.")  # fmt: skip
@click.pass_context
def logs(
    ctx: click.Context, /, *, worker: str | None, stage: str | None, level: str, since: str | None, grep: str,
    limit: int, follow: bool, output: Output,
) -> None:  # fmt: skip
    """Show the last log lines of all workers, by time.

    Every worker keeps its last 5,000 lines in memory, masked; older ones are where its stderr goes. Workers are found
    through their consumer groups and asked with the key they share; who does not answer is named on stderr.

    Exit code: 0, 5 if Kafka does not say who the workers are, 6 if no worker answered (or none has the name), 7 if
    some did not.
    """
    if follow and output == "json":
        raise click.UsageError("--follow has no end: take --output jsonl")
    try:
        later = "" if since is None else iso(moment(since, time.time_ns() // 1_000_000) / 1000)
    except ValueError as error:
        raise click.UsageError(f"--since {since}: {error}") from None
    query = LogQuery(level.lower(), stage, worker, later, grep, limit)
    with quiet():
        found = asyncio.run(_ask(query, output, follow=follow))
    if found.unreachable:
        ctx.exit(int(ExitCode.PARTIAL))


async def _ask(query: LogQuery, output: Output, *, follow: bool) -> ClusterLogs:
    from workers.cluster.outside import cluster_of  # noqa: PLC0415  importing aiokafka takes half a second

    async with cluster_of(_settings()) as cluster:
        found = await logs_of(cluster, query)
        for text in complaints(found, {}, following=False):
            click.echo(text, err=True)
        refuse_silence(found, query)
        show(found, output)
        if follow:
            with contextlib.suppress(asyncio.CancelledError):
                await _follow(cluster, query, output, found)
        return found


def _settings() -> "Settings":
    from workers.settings.worker import load_settings  # noqa: PLC0415

    return load_settings()


async def _follow(cluster: Asked, query: LogQuery, output: Output, found: ClusterLogs) -> None:
    while True:
        await asyncio.sleep(FOLLOW_SECONDS)
        before = found.unreachable
        found = await logs_of(cluster, replace(query, cursors=found.cursors, limit=MOST_ANSWERED))
        for text in complaints(found, before, following=True):
            click.echo(text, err=True)
        show(found, output)


def refuse_silence(found: ClusterLogs, query: LogQuery) -> None:
    """Raises NotFoundError if the worker that is wanted is none, or nobody answered; UnreachableError if Kafka does
    not say who there is."""
    if not found.workers and OTHERS in found.unreachable:
        raise UnreachableError("nobody can be asked: Kafka does not say who the workers are", hint="try `cdc check`")
    if query.worker is not None and not found.workers and not found.unreachable:
        raise NotFoundError(
            f"no worker is called {query.worker}", hint=f"there are: {', '.join(sorted(found.others)) or 'none'}"
        )
    if not found.workers:
        raise NotFoundError(
            "no worker answers", hint="is one running, with the CDC_APP and the Kafka of these settings? `cdc status`"
        )


def complaints(found: ClusterLogs, before: Mapping[str, str], *, following: bool) -> Iterable[str]:
    """What has to be said beside the lines. `before`: who was unreachable already."""
    for worker, why in sorted(found.unreachable.items()):
        if before.get(worker) != why:
            yield f"cdc logs: {worker}: {why}"
    for worker in sorted(before.keys() - found.unreachable.keys()):
        yield f"cdc logs: {worker} answers again"
    missed = sum(found.missed.values())
    if missed and following:
        yield f"cdc logs: {missed} lines came faster than they could be read"


def show(found: ClusterLogs, output: Output) -> None:
    """Lines on stdout."""
    match output:
        case "json":
            click.echo(json.dumps(found.document(), indent=2, ensure_ascii=False))
        case "jsonl":
            for line in found.lines:
                click.echo(msgspec.json.encode(line).decode())
        case _:
            several = len({line.worker for line in found.lines}) > 1 or len(found.workers) > 1
            for line in found.lines:
                click.echo(text_of(line, several=several))


def text_of(line: LogLine, *, several: bool) -> str:
    """A line for a reader; names its worker if there are several."""
    worker = f"{line.worker} " if several else ""
    fields = "".join(f" {name}={value}" for name, value in line.fields.items())
    trace = f" trace={line.trace}" if line.trace else ""
    error = "".join(f"\n    {part}" for part in (line.error or "").splitlines())
    return f"{line.time} {worker}{line.level:<7} {line.logger}: {line.message}{fields}{trace}{error}"
