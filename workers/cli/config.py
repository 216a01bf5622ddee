"""`cdc config`: the effective settings, their schema, and how they differ from defaults and from running workers."""

import asyncio
import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal

import click

from workers.cli.columns import columns
from workers.cli.quiet import quiet
from workers.failures import ConfigurationError, ExitCode, NotFoundError, unknown_name

if TYPE_CHECKING:
    from workers.config_records import RecordComparison
    from workers.config_workers import WorkerComparison
    from workers.settings.effective import SettingRow

SHOW_EXAMPLES = """\b
Examples:
  cdc config show                              # every setting
  cdc config show --origin CDC_LINGER AWS_REGION
  cdc config show --output json | jq '.settings[] | select(.changed)'
"""
SCHEMA_EXAMPLES = """\b
Examples:
  cdc config schema > settings.schema.json
  cdc config schema | jq '.properties.CDC_LINGER'
"""
DIFF_EXAMPLES = """\b
Examples:
  cdc config diff                # what was changed, and where
  cdc config diff --workers      # would a worker with these settings fit?
  cdc config diff --output jsonl
"""
OUTPUT = click.option(
    "--output", type=click.Choice(["table", "json", "jsonl"]), default="table", show_default=True,
    help="json: one document; jsonl: one per line.",
)  # fmt: skip
Output = Literal["table", "json", "jsonl"]
LEFT = {"NAME", "VALUE", "ORIGIN", "DEFAULT", "BESIDE", "STAGE", "START", "DIFFERENCE"}
UNSET = "-"
RECORD = "record"


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def config() -> None:
    """Settings: what they are, where they come from, and what differs."""


def _known_names(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    from workers.settings.worker import environment_names  # noqa: PLC0415

    return [name for name in environment_names() if name.startswith(incomplete.upper())]


@config.command(epilog=SHOW_EXAMPLES)
@click.argument("names", nargs=-1, metavar="[NAME]...", shell_complete=_known_names)
@click.option("--origin", is_flag=True, help="Show where each value comes from, too.")
@OUTPUT
def show(names: tuple[str, ...], origin: bool, output: Output) -> None:
    """Show the effective settings, or those with these names.

    Secrets are shown as ***, and so are user and password in an address. Origins, strongest first: flag, environment,
    .env, default; file and ssm are where a secret stands that another setting points to. Files and parameters are not
    read, nobody is asked. The fingerprint on stderr, and in the JSON, is the same wherever the shared settings are the
    same.
    """
    from workers.settings.effective import fingerprint  # noqa: PLC0415

    every = _rows()
    rows = _named(every, names)
    match output:
        case "json":
            document = {"fingerprint": fingerprint(every), "settings": [row.document() for row in rows]}
            click.echo(json.dumps(document, indent=2))
        case "jsonl":
            _each(row.document() for row in rows)
        case "table":
            head: tuple[str, ...] = ("NAME", "VALUE", "ORIGIN") if origin else ("NAME", "VALUE")
            _table([head, *((row.name, row.value or UNSET, _from(row))[: len(head)] for row in rows)])
            changed = sum(row.changed for row in every)
            click.echo(f"cdc config: {changed} of {len(every)} changed, fingerprint {fingerprint(every)}", err=True)


@config.command(epilog=SCHEMA_EXAMPLES)
def schema() -> None:
    """Write the JSON Schema of all settings by their names in the environment."""
    from workers.settings.schema import settings_schema  # noqa: PLC0415

    click.echo(json.dumps(settings_schema(), indent=2))


@config.command(epilog=DIFF_EXAMPLES)
@click.option("--workers", is_flag=True, help="Compare with what workers agreed on, and with every one that runs.")
@OUTPUT
@click.pass_context
def diff(ctx: click.Context, workers: bool, output: Output) -> None:
    """Show what differs from the defaults; or with --workers, from the record of every stage and from all workers.

    The record in Kafka holds what all workers of a stage must agree on: topics and partitions, the prefix, keys of
    tables, check values of redaction keys, and a fingerprint of the tables. It stands there since the stage first ran,
    and tells what would be refused. Then every worker that runs is asked for its release, its tables and its settings:
    what differs there may start. What is a matter of one worker (its name, its ports, its files) is left out.

    Exit code: 0, also if settings differ from the defaults; with --workers 1 if a worker with these settings would be
    refused, 6 if no stage ever ran here, and 7 if a worker that runs could not be asked.
    """
    if not workers:
        rows = [row for row in _rows() if row.changed]
        _print(output, [row.document() for row in rows],
               ("NAME", "DEFAULT", "VALUE", "ORIGIN"),
               [(row.name, row.default or UNSET, row.value or UNSET, _from(row)) for row in rows])  # fmt: skip
        if not rows:
            click.echo("cdc config: every setting has its default", err=True)
        return
    with quiet():
        found, live = asyncio.run(_compare())
    if not found.compared:
        raise NotFoundError(
            "no stage has left a record here", hint="are CDC_APP and CDC_TOPIC_PREFIX right, and did a worker run?"
        )
    every = (*found.differences, *live.differences)
    _print(output, [one.document() for one in every],
           ("BESIDE", "STAGE", "START", "DIFFERENCE"),
           [(one.worker or RECORD, one.stage or UNSET, "refused" if one.refused else "may start", one.what)
            for one in every])  # fmt: skip
    refused = sum(one.refused for one in every)
    others = f"; never ran: {', '.join(found.without_record)}" if found.without_record else ""
    told = f"{len(every)} differences, {refused} would be refused"
    click.echo(f"cdc config: compared {', '.join(found.compared)}; {_asked(live)}: {told}{others}", err=True)
    for text in live.unheard:
        click.echo(f"cdc config: not asked: {text}", err=True)
    ctx.exit(int(ExitCode.ERROR if refused else ExitCode.PARTIAL if live.unheard else ExitCode.OK))


def _asked(live: "WorkerComparison") -> str:
    if live.compared:
        return f"asked {', '.join(live.compared)}"
    return "no worker could be asked" if live.unheard else "no worker runs"


async def _compare() -> "tuple[RecordComparison, WorkerComparison]":
    from workers.config_records import compare_records  # noqa: PLC0415  importing Faust takes a second
    from workers.config_workers import compare_workers  # noqa: PLC0415
    from workers.engine.errors import BootRefused  # noqa: PLC0415
    from workers.kafka.access import kafka_access  # noqa: PLC0415
    from workers.settings.worker import load_settings  # noqa: PLC0415

    settings = load_settings()
    async with kafka_access(settings) as kafka:
        try:
            records = await compare_records(settings, kafka)
        except BootRefused as error:
            raise ConfigurationError(str(error), hint="use the release that wrote it, or another prefix") from None
    return records, await compare_workers(settings)


def _rows() -> "tuple[SettingRow, ...]":
    from workers.settings.effective import origins  # noqa: PLC0415
    from workers.settings.worker import load_settings  # noqa: PLC0415

    return origins(load_settings())


def _named(rows: "Sequence[SettingRow]", names: Sequence[str]) -> "list[SettingRow]":
    by_name = {row.name: row for row in rows}
    for name in names:
        if name.upper() not in by_name:
            raise unknown_name("setting", name, by_name, see="`cdc config show` lists every setting")
    return [by_name[name.upper()] for name in names] if names else list(rows)


def _from(row: "SettingRow") -> str:
    """`environment AWS_DEFAULT_REGION`, `.env:3`, `file /run/key`, `default`."""
    if row.where in ("", row.name):
        return str(row.origin)
    return row.where if row.where.startswith(str(row.origin)) else f"{row.origin} {row.where}"


def _print(output: Output, documents: Sequence[dict[str, Any]], head: tuple[str, ...], rows: Any) -> None:
    match output:
        case "json":
            click.echo(json.dumps(list(documents), indent=2))
        case "jsonl":
            _each(documents)
        case "table" if rows:
            _table([head, *rows])
        case "table":
            pass


def _table(rows: Sequence[Sequence[str]]) -> None:
    for line in columns(rows, left=LEFT):
        click.echo(line)


def _each(documents: Iterable[dict[str, Any]]) -> None:
    for document in documents:
        click.echo(json.dumps(document))
