"""`cdc tables`: what the worker knows of tables, their JSON Schema, and drafts of new ones."""

import json
from collections.abc import Iterator
from typing import Any, Literal

import click

from models.change import Operation
from models.tables import FromColumn, OwnerCase, OwnerRule, TableSpec
from workers.cli.columns import columns
from workers.cli.tables_init import init
from workers.failures import NotFoundError

Output = Literal["table", "json", "jsonl"]

OUTPUT = click.option(
    "--output", type=click.Choice(["table", "json", "jsonl"]), default="table", show_default=True,
    help="Form of stdout.",
)  # fmt: skip


@click.group()
def tables() -> None:
    """Tables: what the worker knows of them, and drafts of new ones."""


tables.add_command(init)


@tables.command("list", epilog="\b\nExamples:\n  cdc tables list\n  cdc tables list --output json | jq -r '.[].name'")
@OUTPUT
def list_tables(output: Output) -> None:
    """List every table: built-in ones and those of the file that CDC_TABLES names."""
    documents = [document_of(spec) for spec in _catalogue().specs]
    if output == "table":
        rows: list[tuple[str, ...]] = [
            ("NAME", "SOURCE", "KEY", "ENTITY", "OPERATIONS", "OWNER", "REDACTED", "UNKNOWN", "EXAMPLES")
        ]
        rows += [_row(document) for document in documents]
        for line in columns(rows, left={"NAME", "SOURCE", "KEY", "ENTITY", "OPERATIONS", "OWNER", "UNKNOWN"}):
            click.echo(line)
    elif output == "json":
        click.echo(json.dumps(documents, indent=2))
    else:
        for document in documents:
            click.echo(json.dumps(document))


@tables.command(epilog="\b\nExamples:\n  cdc tables show users\n  cdc tables show users --output json | jq .redact")
@click.argument("name")
@OUTPUT
def show(name: str, output: Output) -> None:
    """Show one table: its key, owner, columns, redaction, event types and what happens to columns nobody named."""
    catalogue = _catalogue()
    spec = catalogue.named(name)
    if spec is None:
        from models.yaml_nodes import suggestion  # noqa: PLC0415

        hint = suggestion(name, [known.name for known in catalogue.specs]).strip(", ()")
        raise NotFoundError(f"there is no table {name}", hint=hint)
    document = document_of(spec)
    match output:
        case "table":
            for line in _lines(document):
                click.echo(line)
        case "json":
            click.echo(json.dumps(document, indent=2))
        case "jsonl":
            click.echo(json.dumps(document))


@tables.command(
    epilog="\b\nExamples:\n  cdc tables schema > tables.schema.json\n  cdc tables schema sources\n\n"
    "An editor finds it by a first line of tables.yaml: # yaml-language-server: $schema=tables.schema.json"
)
@click.argument("file", type=click.Choice(["tables", "sources"]), default="tables")
def schema(file: str) -> None:
    """Print the JSON Schema of tables.yaml or sources.yaml, for editors."""
    from models.tables_schema import sources_schema, tables_schema  # noqa: PLC0415

    found = tables_schema() if file == "tables" else sources_schema()
    click.echo(json.dumps(found, indent=2))


def _catalogue() -> Any:
    from workers.contract import read_catalogue  # noqa: PLC0415  loading settings takes a while
    from workers.settings.worker import load_settings  # noqa: PLC0415

    return read_catalogue(load_settings())


def document_of(spec: TableSpec) -> dict[str, Any]:
    """What is known of a table, as JSON."""
    operations = [operation for operation in Operation if operation in spec.operations]
    document: dict[str, Any] = {
        "name": spec.name,
        "table": spec.table,
        "schema": spec.schema,
        "adapter": spec.adapter,
        "entity": spec.entity,
        "key": list(spec.key),
        "operations": [operation.wire for operation in operations],
        "eventTypes": {operation.wire: spec.event_type(operation) for operation in operations},
        "detailTypeStyle": spec.detail_type_style,
        "where": spec.where,
        "bus": spec.bus,
        "owner": None if spec.owner is None else _owner(spec.owner),
        "onMissingOwner": {"waitSeconds": spec.missing_owner.wait_seconds, "then": spec.missing_owner.then},
        "provides": [rule.lookup for rule in spec.provides],
        "columns": {name: kind.value for name, kind in spec.columns.items()},
        "required": sorted(spec.required),
        "redact": {name: str(rule) for name, rule in spec.redact.items()},
        "transform": {name: rule.value for name, rule in spec.transform.items()},
        "unknownColumns": spec.unknown_columns,
        "includeFields": list(spec.include_fields),
        "images": sorted(spec.published_images),
        "publishSnapshots": spec.publish_snapshots,
        "memory": spec.memory,
        "duplicates": spec.duplicates,
        "absentColumns": spec.absent_columns,
        "examples": len(spec.examples),
    }
    return document


def _owner(rule: OwnerRule) -> dict[str, list[str]]:
    return {"org": [_case(case) for case in rule.org], "user": [_case(case) for case in rule.user]}


def _case(case: OwnerCase) -> str:
    told = case.column if isinstance(case, FromColumn) else f"{case.take} of {case.lookup}[{case.by}]"
    conditions = " and ".join(f"{column} is {value}" for column, value in case.when.items())
    return f"{told} when {conditions}" if conditions else told


def _source(document: dict[str, Any]) -> str:
    place = f"{document['schema']}.{document['table']}" if document["schema"] else str(document["table"])
    return f"{place} ({document['adapter']})" if document["adapter"] else place


def _row(document: dict[str, Any]) -> tuple[str, ...]:
    owner = document["owner"]
    found = [name for name in ("org", "user") if owner is not None and owner[name]]
    return (
        document["name"], _source(document), ",".join(document["key"]), document["entity"],
        ",".join(document["operations"]), ",".join(found) or "-", str(len(document["redact"])),
        document["unknownColumns"], str(document["examples"]),
    )  # fmt: skip


def _lines(document: dict[str, Any]) -> Iterator[str]:
    owner = document["owner"]
    missing = document["onMissingOwner"]
    wait = f"wait {missing['waitSeconds']:g} s, then " if missing["waitSeconds"] else ""
    yield f"{document['name']}: rows of {_source(document)}"
    facts = {
        "key": ", ".join(document["key"]),
        "events": ", ".join(dict.fromkeys(document["eventTypes"].values())),
        "style": document["detailTypeStyle"],
        "where": document["where"],
        "bus": document["bus"],
        "org": "; ".join(owner["org"]) if owner else "none",
        "user": "; ".join(owner["user"]) if owner else "none",
        "no owner": f"{wait}{missing['then']}" if owner else None,
        "feeds": ", ".join(document["provides"]),
        "snapshots": "published" if document["publishSnapshots"] else "remembered only",
        "memory": "owners and last changes" if document["memory"] else "none",
        "images": ", ".join(document["images"]),
        "unknown": f"{document['unknownColumns']} (columns that are not below)",
        "examples": str(document["examples"]),
    }
    for name, text in facts.items():
        if text:
            yield f"  {name:<10}{text}"
    names = dict.fromkeys([*document["key"], *document["columns"], *document["redact"], *document["transform"]])
    rows = [("COLUMN", "TYPE", "TRANSFORM", "REDACT")]
    rows += [
        (
            name,
            document["columns"].get(name, "any"),
            document["transform"].get(name, ""),
            document["redact"].get(name, ""),
        )
        for name in names
    ]
    for line in columns(rows, left={"COLUMN", "TYPE", "TRANSFORM", "REDACT"}):
        yield f"  {line}"
