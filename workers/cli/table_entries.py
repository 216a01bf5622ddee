"""`cdc table get`, `find` and `export`: entries of the tables of the enrich stage."""

import asyncio
import contextlib
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from workers.cli.quiet import quiet
from workers.cli.table_options import (
    NAME,
    OUTPUT,
    REVEAL,
    OpenedTables,
    Output,
    audit,
    chosen_tables,
    echo,
    entry_lines,
    opened,
)
from workers.failures import CommandError, NotFoundError, PartialError, RefusedError
from workers.filters import Filter, InvalidFilter

if TYPE_CHECKING:
    from workers.lookup_tables.entries import TableEntry

GET_EXAMPLES = """\b
Examples:
  cdc table get users 7
  cdc table get owners users:7 orders:41
  cdc table get users '["core","users",7]' --output json
  cdc table get schemas users              # schema and columns that were seen of a source table
"""
FIND_EXAMPLES = """\b
Examples:
  cdc table find users --org 3
  cdc table find owners --prefix orders:4 --limit 0
  cdc table find users --where '!orgId' --output jsonl
  cdc table find owners --where 'sinceMs < `1768473060000`'
"""
EXPORT_EXAMPLES = """\b
Examples:
  cdc table export users users.jsonl
  cdc table export owners - | jq -r .key
  cdc table export users original.jsonl --reveal
"""
Show = Callable[["TableEntry"], dict[str, Any]]


@click.command(epilog=GET_EXAMPLES)
@click.argument("table")
@click.argument("keys", metavar="KEY...", nargs=-1, required=True)
@REVEAL
@OUTPUT
def get(*, table: str, keys: tuple[str, ...], reveal: bool, output: Output) -> None:
    """Show what TABLE holds of rows that are named.

    A row is named as in events, users:7, or by its id alone in a table of one source; values of a key of several
    columns are joined by `:`. A key as it stands in Kafka does, too. Of `schemas` the key is the name of a source
    table, of `recent` the number of a block (3.12). Only the partition in which a key can stand is read.

    ORG and USER are the ids that others get from this row, or (owners) those its last event had. What a redaction rule
    takes from events is taken here, too. SINCE is the commit time of the change that made it so, WRITTEN Kafka's time.

    Exit code: 0, 6 if none of them is there, 7 if some are.
    """
    with quiet():
        found, missing = asyncio.run(_get(table, keys, reveal=reveal))
    _print(found, output)
    for text in missing:
        click.echo(f"{NAME}: {table} holds nothing of {text}", err=True)
    if missing and not found:
        raise NotFoundError("no entry", hint=f"`cdc table explain {missing[0]}` says what is known of its owner")
    if missing:
        raise PartialError(f"{len(missing)} of {len(keys)} rows have no entry")


async def _get(table: str, keys: tuple[str, ...], *, reveal: bool) -> tuple[list[dict[str, Any]], list[str]]:
    # importing aiokafka takes half a second
    from workers.kafka.topics import PINS_TABLE, RECENT_TABLE  # noqa: PLC0415
    from workers.lookup_tables.changelogs import read_keys, read_pins, read_table  # noqa: PLC0415

    async with opened() as now:
        (name,) = chosen_tables(now, [table])
        if name in (PINS_TABLE, RECENT_TABLE):
            wanted = set(keys)
            entries = await read_table(
                now.settings, now.kafka, name, lambda entry: _plain_key(now, entry) in wanted, now.tell
            )
            there = {_plain_key(now, entry) for entry in entries}
            missing = [text for text in keys if text not in there]
        else:
            pins = await read_pins(now.settings, now.kafka, now.tell)
            named = {text: _key(now, name, text, pins) for text in keys}
            entries = await read_keys(now.settings, now.kafka, {name: list(named.values())}, now.tell)
            held = {entry.key for entry in entries}
            missing = [text for text, key in named.items() if key not in held]
        return [_show(now, reveal=reveal, what=f"what {name} holds of them")(entry) for entry in entries], missing


def _plain_key(now: OpenedTables, entry: "TableEntry") -> str:
    """`users` for all that `schemas` holds of that table."""
    return now.view.key(entry).rpartition(":")[2]


def _key(now: OpenedTables, table: str, text: str, pins: Mapping[str, str]) -> bytes:
    from workers.kafka.topics import MEMORY_TABLE  # noqa: PLC0415
    from workers.lookup_tables.row_names import InvalidRow, row_name  # noqa: PLC0415

    among = None if table == MEMORY_TABLE else now.catalogue.lookup_provider(table)
    try:
        named = row_name(text, now.catalogue, among)
    except InvalidRow as error:
        raise click.UsageError(str(error)) from None
    schema = named.spec.schema or pins.get(named.spec.name)
    if schema is None and named.schema is None:
        raise NotFoundError(
            f"no record of {named.spec.name} was seen yet, so that its schema is not known",
            hint='name the row by its key in Kafka: ["SCHEMA","TABLE",ID]',
        )
    return named.key(schema or "")


def _show(now: OpenedTables, *, reveal: bool, what: str) -> Show:
    if not reveal:
        return now.view.document
    audit(what)
    return now.view.original


@click.command(epilog=FIND_EXAMPLES)
@click.argument("table")
@click.option("--prefix", default="", metavar="TEXT", help="KEY begins so, as it is shown: orders:4.")
@click.option("--org", metavar="ID", help="Entries of this organisation.")
@click.option("--user", metavar="ID", help="Entries of this user.")
@click.option("--where", metavar="EXPRESSION", help="JMESPath over an entry, as --output json shows it.")
@click.option("--limit", type=click.IntRange(0), default=50, show_default=True, help="At most so many; 0: all.")
@REVEAL
@OUTPUT
def find(
    *, table: str, prefix: str, org: str | None, user: str | None, where: str | None, limit: int, reveal: bool,
    output: Output,
) -> None:  # fmt: skip
    """Show entries of TABLE; without conditions the first ones.

    Every condition is asked of what may be shown, never of what redaction takes away, also with --reveal. The whole
    changelog is read.

    Exit code: 0, 6 if nothing fits.
    """
    try:
        asked = Filter(where) if where is not None else None
    except InvalidFilter as error:
        raise click.UsageError(f"--where: {error}") from None
    with quiet():
        found, count = asyncio.run(_find(table, prefix, org, user, asked, limit, reveal=reveal))
    _print(found, output)
    for sentence in asked.told() if asked is not None else ():
        click.echo(f"{NAME}: {sentence}", err=True)
    more = f", {len(found):,} shown: --limit 0 shows all" if count > len(found) else ""
    click.echo(f"{NAME}: {count:,} {'entry' if count == 1 else 'entries'}{more}", err=True)
    if not count:
        raise NotFoundError("nothing fits", hint=f"`cdc table list` counts the entries of {table}")


async def _find(
    table: str, prefix: str, org: str | None, user: str | None, where: Filter | None, limit: int, *, reveal: bool
) -> tuple[list[dict[str, Any]], int]:  # fmt: skip
    from workers.lookup_tables.changelogs import read_table  # noqa: PLC0415  importing aiokafka takes half a second
    from workers.lookup_tables.entries import Wanted  # noqa: PLC0415

    wanted: Wanted = Wanted(prefix, org, user, where)
    async with opened() as now:
        (name,) = chosen_tables(now, [table])
        entries = await read_table(
            now.settings, now.kafka, name, lambda entry: wanted.holds(now.view.document(entry)), now.tell
        )
        some = entries[:limit] if limit else entries
        show = _show(now, reveal=reveal, what=f"{len(some):,} of the entries of {name}") if some else now.view.document
        return [show(entry) for entry in some], len(entries)


@click.command(epilog=EXPORT_EXAMPLES)
@click.argument("table")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path, allow_dash=True))
@REVEAL
def export(*, table: str, file: Path, reveal: bool) -> None:
    """Write all entries of TABLE to FILE (-: stdout), one JSON document per line.

    Keys and ids are those of events; --reveal writes them as they are. An existing file is not overwritten, and only
    its owner may read it (mode 0600). Nothing changes in Kafka.

    Exit code: 0, 8 if FILE exists.
    """
    if str(file) == "-":
        with quiet():
            count = asyncio.run(_export(table, click.echo, reveal=reveal))
    else:
        count = _to_file(table, file, reveal=reveal)
    click.echo(f"{NAME}: {count:,} {'entry' if count == 1 else 'entries'} of {table} written", err=True)


def _to_file(table: str, file: Path, *, reveal: bool) -> int:
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except FileExistsError:
        raise RefusedError(f"{file} exists", hint="choose another name, or remove it first") from None
    except OSError as error:
        raise CommandError(f"{file} cannot be written: {error.strerror}") from None
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as to, quiet():
            return asyncio.run(_export(table, lambda line: to.write(f"{line}\n"), reveal=reveal))
    except BaseException:
        with contextlib.suppress(OSError):
            file.unlink()
        raise


async def _export(table: str, write: Callable[[str], Any], *, reveal: bool) -> int:
    from workers.lookup_tables.changelogs import read_table  # noqa: PLC0415  importing aiokafka takes half a second

    async with opened() as now:
        (name,) = chosen_tables(now, [table])
        entries = await read_table(now.settings, now.kafka, name, lambda _: True, now.tell)
        show = _show(now, reveal=reveal, what=f"all of {name}")
        for done, entry in enumerate(entries):
            write(json.dumps(show(entry), ensure_ascii=False, separators=(",", ":")))
            now.tell("entries", done, len(entries))
        return len(entries)


def _print(found: list[dict[str, Any]], output: Output) -> None:
    if output != "table":
        echo(found, output)
        return
    for line in entry_lines(found):
        click.echo(line)
