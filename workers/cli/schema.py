"""`cdc schema`: columns of source tables as they were seen, and schemas of the events made of them."""

import asyncio
import json
from collections.abc import Iterable, Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from workers.cli.columns import columns, talk
from workers.cli.progress import Progress
from workers.cli.quiet import quiet
from workers.failures import CommandError, ExitCode, unknown_name

if TYPE_CHECKING:
    from models.catalogue import Catalogue
    from models.tables import TableSpec
    from workers.schemas.drift import TableSchema
    from workers.settings.worker import Settings

DRIFT_EXAMPLES = """\b
Examples:
  cdc schema drift
  cdc schema drift --table users --output jsonl
  cdc schema drift --columns            # every column that was ever seen
"""
EXPORT_EXAMPLES = """\b
Examples:
  cdc schema export > events.json            # all event types, one document
  cdc schema export --out schemas/           # one file per event type
  cdc schema export --format asyncapi > asyncapi.json
  cdc schema export --format eventbridge --table users --out registry/
  aws schemas create-schema --cli-input-json file://registry/user.created.json
"""
DIFF_EXAMPLES = """\b
Examples:
  cdc schema export > released.json # once, at a release
  cdc schema diff released.json     # exit code 1 if a consumer would break
  cdc schema diff released/ candidate/ --output json
"""
OUTPUT = click.option(
    "--output", type=click.Choice(["table", "json", "jsonl"]), default="table", show_default=True,
    help="json: one document; jsonl: one per line.",
)  # fmt: skip
TABLES = click.option("--table", "names", multiple=True, metavar="T", help="Only this table; may be repeated.")
Output = Literal["table", "json", "jsonl"]


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def schema() -> None:
    """Schemas: of source tables as records showed them, and of the events."""


@schema.command(epilog=DRIFT_EXAMPLES)
@TABLES
@click.option("--columns", "whole", is_flag=True, help="Show every column with its types instead of the changes.")
@OUTPUT
def drift(names: tuple[str, ...], whole: bool, output: Output) -> None:
    """Show how the columns of source tables have changed, when, and how the worker treats them.

    A column is new if neither the configuration names it nor an earlier record had it; it has vanished if a control
    record, the schema of a record, or a new row that names all columns says so; it was retyped if its source told
    another type or its values became of another kind. Names and types only, never values. Workers may run or not.

    What is new, and how it is treated, is said by the tables configured here (CDC_TABLES, CDC_CATALOGUE). If those that
    the workers run with are others, a line on stderr, the heading TREATED HERE and "sameTables" in JSON say so.
    """
    with quiet():
        found, elsewhere = asyncio.run(_read(names))
    from workers.schemas.drift import changes_of, columns_of  # noqa: PLC0415

    listed = columns_of if whole else changes_of
    rows = [row for one in found for row in listed(one, same_tables=elsewhere is None)]
    _print(rows, output, _column_cells if whole else _change_cells)
    if elsewhere is not None:
        judged = "what is configured" if whole else "what is new, and how it is treated,"
        talk(
            f"cdc schema: {elsewhere}: {judged} is said by the tables configured here. Set CDC_TABLES and "
            "CDC_CATALOGUE as for the workers"
        )
    if not rows:
        click.echo(f"cdc schema: no column has {'been seen yet' if whole else 'changed'}", err=True)


@schema.command(epilog=EXPORT_EXAMPLES)
@click.option(
    "--format", "form", type=click.Choice(["json-schema", "asyncapi", "eventbridge"]), default="json-schema",
    show_default=True, help="JSON Schema 2020-12, AsyncAPI 3.0, or input of the EventBridge schema registry.",
)  # fmt: skip
@TABLES
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path),
    help="Write one file per event type there (asyncapi: asyncapi.json) instead of one document on stdout.",
)  # fmt: skip
def export(form: Literal["json-schema", "asyncapi", "eventbridge"], names: tuple[str, ...], out: Path | None) -> None:
    """Write the schemas of all event types, as the configured tables make them."""
    settings, catalogue = _configured()
    specs = _wanted(catalogue, names)
    documents = _documents(form, settings, specs)
    if out is None:
        [document] = documents.values() if form == "asyncapi" else [documents]
        click.echo(_text(document))
        return
    _write(out, {f"{name}.json": _text(document) + "\n" for name, document in documents.items()})
    click.echo(f"cdc schema: {len(documents)} files written to {out}", err=True)


@schema.command(epilog=DIFF_EXAMPLES)
@click.argument("old", type=click.Path(exists=True, path_type=Path))
@click.argument("new", type=click.Path(exists=True, path_type=Path), required=False)
@OUTPUT
@click.pass_context
def diff(ctx: click.Context, old: Path, new: Path | None, output: Output) -> None:
    """Compare exported schemas (a file or a directory of `cdc schema export`) with others, or with the tables of now.

    Exit code 1 if a consumer of OLD could break: an event type or a field is gone, has another type or form, is
    redacted now, or is no longer always there. What was added breaks nobody.
    """
    from workers.schemas.comparison import compare  # noqa: PLC0415
    from workers.schemas.events import event_schemas  # noqa: PLC0415

    before = _exported(old)
    found = compare(before, _exported(new) if new is not None else event_schemas(_configured()[1].specs))
    rows = [
        {"breaking": one.breaking, "event": one.event, "field": one.field or None, "what": one.what} for one in found
    ]
    _print(rows, output, _difference_cells)
    breaking = sum(one.breaking for one in found)
    click.echo(f"cdc schema: {len(found)} differences, {breaking} of them breaking", err=True)
    if breaking:
        ctx.exit(int(ExitCode.ERROR))


@schema.command(epilog="\b\nExamples:\n  cdc schema docs --out docs/events\n  cdc schema docs --table orders --out .")
@TABLES
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="Directory to write to.")
def docs(names: tuple[str, ...], out: Path) -> None:
    """Write Markdown pages about the events: an index, and one page per table with an example."""
    from workers.schemas.pages import event_pages  # noqa: PLC0415

    _, catalogue = _configured()
    pages = event_pages(catalogue, _wanted(catalogue, names))
    _write(out, pages)
    click.echo(f"cdc schema: {len(pages)} pages written to {out}", err=True)


async def _read(names: tuple[str, ...]) -> "tuple[list[TableSchema], str | None]":
    """The columns, and why the tables configured here may not be those of the workers."""
    from workers.kafka.access import kafka_access  # noqa: PLC0415  importing aiokafka takes half a second
    from workers.schemas.drift import judged_elsewhere, read_schemas  # noqa: PLC0415

    settings, catalogue = _configured()
    specs = _wanted(catalogue, names)
    async with kafka_access(settings) as kafka:
        found = await read_schemas(settings, kafka, specs, Progress("cdc schema"))
        return found, await judged_elsewhere(settings, kafka, catalogue)


def _configured() -> "tuple[Settings, Catalogue]":
    from workers.contract import read_catalogue  # noqa: PLC0415
    from workers.settings.worker import load_settings  # noqa: PLC0415

    settings = load_settings()
    return settings, read_catalogue(settings)


def _wanted(catalogue: "Catalogue", names: tuple[str, ...]) -> "list[TableSpec]":
    for name in names:
        if catalogue.named(name) is None:
            raise unknown_name("table", name, (spec.name for spec in catalogue.specs))
    return [spec for spec in catalogue.specs if not names or spec.name in names]


def _documents(form: str, settings: "Settings", specs: "list[TableSpec]") -> dict[str, Any]:
    from workers.schemas.asyncapi import asyncapi  # noqa: PLC0415
    from workers.schemas.events import event_schemas, event_types  # noqa: PLC0415
    from workers.schemas.registry import registry_entry  # noqa: PLC0415

    if form == "json-schema":
        return dict(event_schemas(specs))
    events = event_types(specs)
    if form == "asyncapi":
        return {"asyncapi": asyncapi(events, settings, metadata.version("cdc-worker"))}
    return {event.id: registry_entry(event, settings.event_source) for event in events}


def _exported(path: Path) -> dict[str, Any]:
    """Event type -> schema, of a file or a directory that `export` wrote."""
    found: dict[str, Any] = {}
    for file in sorted(path.glob("*.json")) if path.is_dir() else [path]:
        try:
            document = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            raise CommandError(f"{file} is not a JSON file", hint="write it with `cdc schema export`") from None
        several = document if isinstance(document, dict) and "$schema" not in document else {file.stem: document}
        found |= several
    if not found or not all(isinstance(one, dict) and "properties" in one for one in found.values()):
        raise CommandError(f"{path} holds no event schemas", hint="write it with `cdc schema export` (json-schema)")
    return found


def _write(directory: Path, files: Mapping[str, str]) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (directory / name).write_text(content, encoding="utf-8")
    except OSError as error:
        raise CommandError(f"cannot write to {directory}: {error.strerror}") from None


def _print(rows: list[dict[str, Any]], output: Output, cells: Any) -> None:
    if output == "json":
        click.echo(_text(rows))
    elif output == "jsonl":
        for row in rows:
            click.echo(json.dumps(row))
    elif rows:
        for line in _lines(cells(row) for row in rows):
            click.echo(line)


def _lines(rows: Iterable[dict[str, str]]) -> Iterator[str]:
    cells = list(rows)
    head = tuple(cells[0])
    return columns(
        [head, *(tuple(row.values()) for row in cells)],
        left=head,
        least=("FIRST SEEN", "CONFIGURED", "CONFIGURED HERE"),
    )


def _change_cells(row: dict[str, Any]) -> dict[str, str]:
    sides = " -> ".join(row[side] for side in ("was", "now") if row[side])
    return {"TABLE": row["table"], "COLUMN": row["column"], "CHANGE": row["change"], "TYPE": sides or "-",
            "WHEN": row["at"], _by("TREATED", row): row["treatment"]}  # fmt: skip


def _column_cells(row: dict[str, Any]) -> dict[str, str]:
    kinds = ", ".join([*row["kinds"], *(f"{kind} (refused)" for kind in row["refused"])])
    return {"TABLE": row["table"], "COLUMN": row["column"], _by("CONFIGURED", row): row["configured"] or "-",
            "TYPE": row["type"] or "-", "VALUES": kinds or "-", "THERE": "yes" if row["present"] else "no",
            "FIRST SEEN": row["firstSeen"], "LAST SEEN": row["lastSeen"]}  # fmt: skip


def _by(heading: str, row: dict[str, Any]) -> str:
    """The heading of what the tables of this command say, if they are not those of the workers."""
    return heading if row["sameTables"] else f"{heading} HERE"


def _difference_cells(row: dict[str, Any]) -> dict[str, str]:
    return {"IMPACT": "breaking" if row["breaking"] else "fine", "EVENT": row["event"], "FIELD": row["field"] or "-",
            "CHANGE": row["what"]}  # fmt: skip


def _text(document: Any) -> str:
    return json.dumps(document, indent=2, sort_keys=True)
