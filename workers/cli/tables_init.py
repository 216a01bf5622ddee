"""`cdc tables init`: a draft of tables.yaml, from records or from a database."""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click

from workers.cli.files import read_input
from workers.failures import ConfigurationError, NotFoundError

if TYPE_CHECKING:
    from pydantic import SecretStr

    from workers.drafts.seen import SeenTable

DATABASE_URL = "DATABASE_URL"


@click.command(
    epilog="\b\nExamples:\n  cdc tables init --from-records records.json > tables.yaml\n"
    "  cdc tables init --from-records monday.json tuesday.json --table orders\n"
    "  cdc tables init --from-database --schema shop > tables.yaml      # the URL stands in DATABASE_URL\n"
    "  cdc tables init --from-database REPLICA_URL --table orders --table customers"
)
@click.option("--from-records", metavar="FILE", multiple=True,
              help="Change records of any adapter, as `cdc invoke` takes them; - is stdin.")  # fmt: skip
@click.option(
    "--from-database", metavar="[NAME|URL]", is_flag=False, flag_value=DATABASE_URL, default=None,
    help="PostgreSQL: the environment variable that holds its URL, DATABASE_URL by default; or the URL.",
)  # fmt: skip
@click.option("--schema", metavar="NAME", help="Only tables of this schema.")
@click.option("--table", "wanted", metavar="NAME", multiple=True, help="Only this table; may stand several times.")
@click.argument("more", nargs=-1, metavar="[FILE...]")
def init(
    from_records: tuple[str, ...], from_database: str | None, schema: str | None, wanted: tuple[str, ...],
    more: tuple[str, ...],
) -> None:  # fmt: skip
    """Draft a tables.yaml: tables, keys, types, and masks for what looks like personal data.

    The draft goes to stdout and loads without mistakes. Lines with a question mark in their comment are guesses. No
    value of a row is printed, and from a database none is read. Tables that are built in are left out
    (CDC_CATALOGUE=none drafts them too).
    """
    if bool(from_records) == (from_database is not None):
        raise click.UsageError("choose one of --from-records FILE and --from-database")
    if more and not from_records:
        raise click.UsageError(f"what is {more[0]}? files belong to --from-records")
    if from_database is not None:
        tables, origin = _of_database(from_database, schema)
    else:
        tables, origin = _of_records((*from_records, *more))
    chosen = [
        table for table in tables
        if (schema is None or table.schema == schema) and (not wanted or table.table in wanted)
    ]  # fmt: skip
    missing = [name for name in wanted if name not in {table.table for table in chosen}]
    if missing:
        raise NotFoundError(f"there is no table {', '.join(missing)}", hint=f"seen: {_names(tables)}")
    if not chosen:
        raise NotFoundError("no table was seen", hint="are these change records, or is this the right schema?")
    _print(chosen, origin)


def _print(chosen: "Sequence[SeenTable]", origin: str) -> None:
    from models.catalogue import load_catalogue  # noqa: PLC0415
    from workers.drafts.text import draft  # noqa: PLC0415
    from workers.settings.worker import load_settings  # noqa: PLC0415

    known = {spec.table.lower() for spec in load_catalogue(load_settings().catalogue, None).specs}
    left_out = [table for table in chosen if table.table.lower() in known]
    drafted = draft([table for table in chosen if table.table.lower() not in known], origin=origin)
    click.echo(drafted.text, nl=False)
    if left_out:
        click.echo(f"cdc tables: built in and left out: {_names(left_out)}; CDC_CATALOGUE=none drafts them", err=True)
    click.echo(f"cdc tables: {len(chosen) - len(left_out)} tables, {drafted.guesses} guesses to look at", err=True)


def _of_records(names: tuple[str, ...]) -> "tuple[list[SeenTable], str]":
    from workers.drafts.records import Observation  # noqa: PLC0415

    observation = Observation()
    for name in names:
        observation.look(read_input(name))
    if observation.unread:
        click.echo(f"cdc tables: {observation.unread} of {observation.records} records could not be read", err=True)
    return observation.found(), f"{observation.records} records"


def _of_database(named: str, schema: str | None) -> "tuple[list[SeenTable], str]":
    from workers.drafts.database import read_tables  # noqa: PLC0415

    return read_tables(_url(named), schema), "the catalog of a database"


def _url(named: str) -> "SecretStr":
    """Of the database the worker asks for owners, of another variable of the environment, or as it is given."""
    from pydantic import SecretStr  # noqa: PLC0415

    from models.configuration import dsn_mistake  # noqa: PLC0415
    from workers.settings.secrets import database_dsn  # noqa: PLC0415
    from workers.settings.worker import load_settings  # noqa: PLC0415

    hint = "postgresql://user:password@host:5432/database"
    if named == DATABASE_URL:
        settings = load_settings()
        if not settings.has_database:
            raise ConfigurationError(f"{DATABASE_URL} is not set", hint=f"export {DATABASE_URL}={hint}")
        return database_dsn(settings)
    url = named if "://" in named else os.environ.get(named, "")
    if not url:
        raise ConfigurationError(f"{named} is not set", hint=f"export {named}={hint}")
    if mistake := dsn_mistake(url):
        raise ConfigurationError(f"the URL of the database is none: {mistake}", hint=hint)
    if url is named and urlsplit(url).password:
        click.echo(f"cdc tables: others can see a command line: better put the URL into {DATABASE_URL}", err=True)
    return SecretStr(url)


def _names(tables: "Sequence[SeenTable]") -> str:
    return ", ".join(sorted({table.table for table in tables})) or "none"
