"""What the commands of `cdc table` have in common: how a table and its rows are named, opened and masked."""

import json
import sys
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import click

from enrichers.row_view import RowView, printable
from models.yaml_nodes import suggestion
from workers.cli.checkpoint_lines import utc
from workers.cli.columns import columns
from workers.cli.progress import Progress
from workers.contract import masking, read_catalogue
from workers.failures import NotFoundError

if TYPE_CHECKING:
    from models.catalogue import Catalogue
    from workers.kafka.access import KafkaAccess
    from workers.lookup_tables.entries import EntryView
    from workers.settings.worker import Settings

NAME = "cdc table"
Output = Literal["table", "json", "jsonl"]
OUTPUT = click.option(
    "--output", type=click.Choice(["table", "json", "jsonl"]), default="table", show_default=True,
    help="json: one document on stdout; jsonl: one per line.",
)  # fmt: skip
REVEAL = click.option(
    "--reveal", is_flag=True, help="Show keys and values as they are, with all that redaction takes away elsewhere."
)
LISTED = ("KEY", "ORG", "USER", "SINCE", "WRITTEN", "PARTITION", "MORE")


@dataclass(frozen=True, slots=True)
class OpenedTables:
    """Settings, Kafka, and the eyes with which entries are looked at."""

    settings: "Settings"
    kafka: "KafkaAccess"
    catalogue: "Catalogue"
    rows: RowView
    view: "EntryView"
    tell: Progress


@asynccontextmanager
async def opened() -> AsyncIterator[OpenedTables]:
    """Connected."""
    from workers.kafka.access import kafka_access  # noqa: PLC0415  importing aiokafka takes half a second
    from workers.lookup_tables.entries import EntryView  # noqa: PLC0415
    from workers.settings.worker import load_settings  # noqa: PLC0415

    settings = load_settings()
    catalogue = read_catalogue(settings)
    options, secret, other, why = masking(settings)
    if why:
        click.echo(f"{NAME}: hashes and tokens are shown as masks: {why}", err=True)
    rows = RowView(catalogue, secret=secret, other=other, zone=options.time_zone)
    async with kafka_access(settings) as kafka:
        yield OpenedTables(settings, kafka, catalogue, rows, EntryView(rows), Progress(NAME))


def chosen_tables(now: OpenedTables, names: Sequence[str]) -> tuple[str, ...]:
    """The tables of these names, all without any. Raises NotFoundError."""
    from workers.lookup_tables.entries import known_tables  # noqa: PLC0415

    known = known_tables(now.catalogue)
    unknown = [name for name in names if name not in known]
    if unknown:
        raise NotFoundError(
            f"no such table: {', '.join(unknown)}{suggestion(unknown[0], known)}", hint=f"there are: {', '.join(known)}"
        )
    return tuple(name for name in known if not names or name in names)


def audit(what: str) -> None:
    """Say on stderr that something was shown that is masked elsewhere: names of tables, never what was shown."""
    click.echo(f"{NAME}: audit: {what} is shown as it is, with what redaction takes away elsewhere", err=True)
    sys.stderr.flush()


def echo(documents: Iterable[Mapping[str, Any]], output: Output) -> None:
    """For programs."""
    if output == "json":
        click.echo(json.dumps(list(documents), indent=2, ensure_ascii=False))
        return
    for document in documents:
        click.echo(json.dumps(document, ensure_ascii=False))


def entry_lines(documents: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """A table of entries."""
    rows: list[tuple[str, ...]] = [LISTED]
    for one in documents:
        value = one.get("value")
        plain = value if isinstance(value, dict) else {}
        more = {name: one[name] for name in ("schema", "columns", "version", "changes", "block") if name in one}
        rows.append((
            str(one.get("keyInKafka") or one["key"]), _text(plain.get("org_id") or one.get("orgId")),
            _text(plain.get("user_id") or one.get("userId")), _time(one.get("sinceMs")), _time(one.get("writtenMs")),
            str(one["partition"]),
            str(one.get("unreadable") or ", ".join(f"{name} {value}" for name, value in more.items()) or "-"),
        ))  # fmt: skip
    if documents:
        yield from map(printable, columns(rows, left=[name for name in LISTED if name != "PARTITION"]))


def _text(value: Any) -> str:
    return "-" if value is None else str(value)


def _time(milliseconds: Any) -> str:
    return utc(milliseconds) if isinstance(milliseconds, int) and milliseconds > 0 else "-"
