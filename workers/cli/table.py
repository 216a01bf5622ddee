"""`cdc table`: the tables of the enrich stage."""

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

import click

from workers.cli.columns import columns
from workers.cli.progress import Progress
from workers.cli.quiet import quiet
from workers.cli.table_entries import export, find, get
from workers.cli.table_explain import explain
from workers.cli.table_sizes import list_, stats, verify
from workers.failures import ConfigurationError, ExitCode, RefusedError

if TYPE_CHECKING:
    from workers.kafka.log_ranges import LogRange
    from workers.rebuild.restore import Rebuild

EXAMPLES = """\b
Examples:
  cdc table rebuild --dry-run              # what is damaged, and what would be written
  cdc table rebuild --yes
  cdc table rebuild --table users --yes    # also if nothing seems to be wrong with it
"""


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def table() -> None:
    """Tables of the enrich stage: lookups, pinned schemas and row memory. See docs/lookups.md."""


for _command in (get, find, list_, stats, export, verify, explain):
    table.add_command(_command)


@table.command(epilog=EXAMPLES)
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@click.option("--yes", is_flag=True, help="Write; without it a rebuild that would write ends with exit code 8.")
@click.option("--table", "forced", multiple=True, metavar="NAME",
              help="Rebuild this table whether damaged or not; may be repeated.")  # fmt: skip
@click.option("--discard", is_flag=True, help="Do not keep what damaged tables still hold.")
@click.option(
    "--other-tables", is_flag=True, help="Go on although tables.yaml differs from the one the stage last ran with."
)
@click.option("--output", type=click.Choice(["table", "json"]), default="table", show_default=True,
              help="json: one document on stdout.")  # fmt: skip
@click.pass_context
def rebuild(
    ctx: click.Context, dry_run: bool, yes: bool, forced: tuple[str, ...], discard: bool,
    other_tables: bool, output: Literal["table", "json"],
) -> None:  # fmt: skip
    """Restore damaged tables from the raw topics of all sources.

    Damaged is a changelog that was emptied, re-created, lost entries, or holds some that cannot be read. What is left
    of it stays; on top of it comes what the raw records say, up to the position of the stage. Sound tables are left
    alone. All workers of the enrich stage must be stopped; raw records and positions stay as they are.

    Exit code: 0 if everything is whole, 7 if a raw topic does not reach back to its first record: rows that were lost
    and did not change since are missing then. 8 if a worker runs, or if --yes is needed.
    """
    with quiet():
        found, written = asyncio.run(
            _rebuild(forced, discard=discard, other_tables=other_tables, write=yes and not dry_run)
        )
    if output == "json":
        click.echo(json.dumps(_document(found, written=written), indent=2))
    else:
        for line in _lines(found):
            click.echo(line)
    if not found.mended:
        click.echo("cdc table: nothing is damaged", err=True)
        return
    changes = sum(len(part.put) + len(part.removed) for part in found.mended)
    if not (written or dry_run):
        raise RefusedError(f"{changes:,} entries would be written", hint="look at them, then run it again with --yes")
    click.echo(f"cdc table: {changes:,} entries {'written' if written else 'would be written'}", err=True)
    if found.cut:
        click.echo(f"cdc table: {_reach(found)}", err=True)
        ctx.exit(int(ExitCode.PARTIAL))


async def _rebuild(
    forced: tuple[str, ...], *, discard: bool, other_tables: bool, write: bool
) -> "tuple[Rebuild, bool]":
    from workers.kafka.access import kafka_access  # noqa: PLC0415  importing aiokafka takes half a second
    from workers.kafka.topics import Topics, group_of  # noqa: PLC0415
    from workers.rebuild.changelogs import topic_of  # noqa: PLC0415
    from workers.rebuild.plan import plan_rebuild, tables_of  # noqa: PLC0415
    from workers.rebuild.restore import STAGE, write_rebuild  # noqa: PLC0415
    from workers.settings.worker import load_settings  # noqa: PLC0415

    settings = load_settings()
    tables = tables_of(settings)
    unknown = [name for name in forced if name not in tables]
    if unknown:
        raise ConfigurationError(f"no such table: {', '.join(unknown)}", hint=f"there are: {', '.join(tables)}")
    topics = [*Topics.of(settings).raw.values(), *(topic_of(group_of(settings, STAGE), name) for name in tables)]
    progress = Progress("cdc table")
    async with kafka_access(settings) as kafka:
        await kafka.require(dict.fromkeys(topics, settings.partitions))
        found = await plan_rebuild(settings, kafka, forced, discard=discard, other_tables=other_tables, tell=progress)
        if write and found.mended:
            await write_rebuild(settings, kafka, found, progress)
    return found, write and bool(found.mended)


def _document(found: "Rebuild", *, written: bool) -> dict[str, Any]:
    return {
        "written": written,
        "rawRecords": found.records,
        "parts": [
            {
                "table": part.table, "partition": part.partition, "why": part.why, "kept": part.kept,
                "put": len(part.put), "removed": len(part.removed),
                "rawSince": _time(found.since(part.partition)), "whole": part.partition not in found.cut,
            }
            for part in found.mended
        ],
    }  # fmt: skip


def _lines(found: "Rebuild") -> Iterator[str]:
    if not found.mended:
        return
    rows: list[tuple[str, ...]] = [("TABLE", "PARTITION", "KEPT", "PUT", "REMOVED", "RAW SINCE")]
    for part in found.mended:
        numbers = (f"{number:,}" for number in (part.kept, len(part.put), len(part.removed)))
        rows.append((part.table, str(part.partition), *numbers, _time(found.since(part.partition)) or "-"))
    lines = columns(rows, left=("TABLE", "RAW SINCE"))
    yield next(lines)
    for part, line in zip(found.mended, lines, strict=True):
        yield line
        yield f"    {part.why}"


def _reach(found: "Rebuild") -> str:
    several = len({tp.topic for tp in found.ranges}) > 1
    told = [
        _reach_of(found, [cut for cut in found.cut_ranges if cut.tp.topic == topic], topic if several else "raw")
        for topic in sorted({cut.tp.topic for cut in found.cut_ranges})
    ]
    return f"{'; '.join(told)}: rows that were lost and have not changed since stay lost"


def _reach_of(found: "Rebuild", cut: "list[LogRange]", name: str) -> str:
    since = [found.since_ms[one.tp] for one in cut if one.tp in found.since_ms]
    what = f"{name} reaches back to {_time(max(since))}" if since else f"{name} holds no record"
    return f"{what} only (partitions {', '.join(str(one.tp.partition) for one in cut)})"


def _time(milliseconds: int | None) -> str | None:
    if milliseconds is None:
        return None
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
