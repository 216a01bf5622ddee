"""`cdc table list`, `stats` and `verify`: how large tables are, and whether they are whole."""

import asyncio
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import click

from workers.cli.checkpoint_lines import utc
from workers.cli.columns import columns
from workers.cli.quiet import quiet
from workers.cli.table_options import NAME, OUTPUT, Output, chosen_tables, echo, opened
from workers.failures import CommandError

if TYPE_CHECKING:
    from workers.lookup_tables.changelogs import PartSize
    from workers.lookup_tables.verification import Verification

LIST_EXAMPLES = "\b\nExamples:\n  cdc table list\n  cdc table list --output json | jq '.[] | {table, entries}'"
STATS_EXAMPLES = "\b\nExamples:\n  cdc table stats\n  cdc table stats users --output jsonl"
VERIFY_EXAMPLES = """\b
Examples:
  cdc table verify                 # while workers run
  cdc table verify --raw           # also against the raw records; the enrich stage must be stopped
  cdc table verify users owners
"""


@click.command(name="list", epilog=LIST_EXAMPLES)
@OUTPUT
def list_(*, output: Output) -> None:
    """Show the tables: what they are for, and how much they hold.

    BYTES are those of keys and values. OLDEST is Kafka's time of the entry that was not written for longest. The
    changelogs are read whole.
    """
    with quiet():
        sizes, purposes = asyncio.run(_sizes(()))
    documents = [_whole(table, sizes, purpose) for table, purpose in purposes.items()]
    if output != "table":
        echo(documents, output)
        return
    rows: list[tuple[str, ...]] = [("TABLE", "ENTRIES", "BYTES", "PARTITIONS", "OLDEST", "FOR")]
    for one in documents:
        number = f"{one['entries']:,}", f"{one['bytes']:,}", str(one["partitions"])
        rows.append((one["table"], *number, _time(one["oldestMs"]), one["purpose"]))
    for line in columns(rows, left=("TABLE", "OLDEST", "FOR")):
        click.echo(line)


def _whole(table: str, sizes: "Sequence[PartSize]", purpose: str) -> dict[str, Any]:
    parts = [size for size in sizes if size.table == table]
    times = [size.oldest_ms for size in parts if size.oldest_ms is not None]
    return {
        "table": table, "purpose": purpose, "entries": sum(size.entries for size in parts),
        "bytes": sum(size.bytes for size in parts), "partitions": len(parts), "oldestMs": min(times, default=None),
    }  # fmt: skip


@click.command(epilog=STATS_EXAMPLES)
@click.argument("tables", metavar="[TABLE]...", nargs=-1)
@OUTPUT
def stats(*, tables: tuple[str, ...], output: Output) -> None:
    """Show tables by partition, and how unevenly they are spread.

    RECORDS are those the changelog holds, with what was overwritten since its last compaction; TOMBSTONES those of them
    that take an entry away. LOG is where the changelog begins and ends. SHARE is the partition's part of the entries:
    1.00x is an even part.
    """
    with quiet():
        sizes, _ = asyncio.run(_sizes(tables))
    totals: dict[str, tuple[int, int]] = {}
    for size in sizes:
        entries, parts = totals.get(size.table, (0, 0))
        totals[size.table] = entries + size.entries, parts + 1
    documents = [size.document() | {"share": _share(size, *totals[size.table])} for size in sizes]
    if output != "table":
        echo(documents, output)
        return
    head = ("TABLE", "PARTITION", "ENTRIES", "SHARE", "BYTES", "RECORDS", "TOMBSTONES", "LOG", "NEWEST")
    rows: list[tuple[str, ...]] = [head]
    for size, one in zip(sizes, documents, strict=True):
        share = f"{one['share']:.2f}x" if one["share"] is not None else "-"
        rows.append((
            size.table, str(size.partition), f"{size.entries:,}", share, f"{size.bytes:,}", f"{size.records:,}",
            f"{size.tombstones:,}", f"{size.start}..{size.end}", _time(size.newest_ms),
        ))  # fmt: skip
    for line in columns(rows, left=("TABLE", "NEWEST")):
        click.echo(line)
    damaged = sum(size.unreadable for size in sizes)
    if damaged:
        click.echo(f"{NAME}: {damaged:,} entries cannot be read: `cdc table verify` says where", err=True)


def _share(size: "PartSize", entries: int, parts: int) -> float | None:
    return round(size.entries * parts / entries, 2) if entries else None


async def _sizes(names: tuple[str, ...]) -> "tuple[list[PartSize], dict[str, str]]":
    from workers.lookup_tables.changelogs import measure_tables  # noqa: PLC0415  importing aiokafka takes half a second
    from workers.lookup_tables.entries import purpose_of  # noqa: PLC0415

    async with opened() as now:
        tables = chosen_tables(now, names)
        sizes = await measure_tables(now.settings, now.kafka, tables, now.tell)
        return sizes, {table: purpose_of(table, now.catalogue) for table in tables}


@click.command(epilog=VERIFY_EXAMPLES)
@click.argument("tables", metavar="[TABLE]...", nargs=-1)
@click.option("--raw", "with_raw", is_flag=True, help="Also compare every entry with what raw records make of it.")
@click.option("--output", type=click.Choice(["table", "json"]), default="table", show_default=True,
              help="json: one document on stdout.")  # fmt: skip
def verify(*, tables: tuple[str, ...], with_raw: bool, output: Literal["table", "json"]) -> None:
    """Say whether tables are whole. Nothing is changed.

    Always: that no changelog was emptied, made anew or cut, and that every entry in it can be read. With --raw the
    tables are made once more from the raw records, up to the position of the stage, and compared; the enrich stage must
    be stopped for that. `recent` is not compared: it may hold the same changes in another order.

    Exit code: 0 if they are whole, 1 if not, 8 if a worker runs (--raw).
    """
    with quiet():
        found = asyncio.run(_verify(tables, with_raw=with_raw))
    if output == "json":
        _print_json(found)
    elif found.findings:
        rows: list[tuple[str, ...]] = [("TABLE", "PARTITION", "DIFFERING", "WHAT")]
        rows += [(one.table, str(one.partition), f"{one.differing:,}", one.why) for one in found.findings]
        for line in columns(rows, left=("TABLE", "WHAT")):
            click.echo(line)
    if found.cut:
        click.echo(
            f"{NAME}: raw does not reach back to the first record of partitions "
            f"{', '.join(map(str, found.cut))}: what did not change since was not compared",
            err=True,
        )
    if found.findings:
        raise CommandError(
            f"{len(found.findings)} of {found.parts} parts of tables are not as they should be",
            hint="`cdc table rebuild --dry-run` shows what it would write; the enrich stage must be stopped",
        )
    raw = f", compared with {found.raw_records:,} reads of raw records" if found.raw_records is not None else ""
    click.echo(f"{NAME}: {found.parts} parts of tables are whole{raw}", err=True)


def _print_json(found: "Verification") -> None:
    click.echo(json.dumps({
        "whole": not found.findings, "parts": found.parts, "rawRecords": found.raw_records,
        "cutPartitions": list(found.cut), "findings": [one.document() for one in found.findings],
    }, indent=2))  # fmt: skip


async def _verify(names: tuple[str, ...], *, with_raw: bool) -> "Verification":
    from workers.kafka.topics import Topics, group_of  # noqa: PLC0415
    from workers.lookup_tables.changelogs import STAGE  # noqa: PLC0415  importing aiokafka takes half a second
    from workers.lookup_tables.verification import verify_changelogs, verify_with_raw  # noqa: PLC0415
    from workers.rebuild.changelogs import topic_of  # noqa: PLC0415

    async with opened() as now:
        tables, settings = chosen_tables(now, names), now.settings
        changelogs = [topic_of(group_of(settings, STAGE), table) for table in tables]
        topics = [*Topics.of(settings).raw.values(), *changelogs]
        await now.kafka.require(dict.fromkeys(topics, settings.partitions))
        work = verify_with_raw if with_raw else verify_changelogs
        return await work(settings, now.kafka, tables, now.tell)


def _time(milliseconds: int | None) -> str:
    return utc(milliseconds) if milliseconds is not None else "-"
