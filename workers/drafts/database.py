"""Tables as PostgreSQL's catalog describes them. Reads no row and changes nothing."""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import SecretStr

from models.tables import ColumnType
from workers.database.connection import connect, sort_error
from workers.database.failures import DatabaseAway, DatabaseDenied, DatabaseError, QueryRefused
from workers.drafts.personal import IP, Personal
from workers.drafts.seen import SeenTable
from workers.failures import CommandError, DeniedError, NotFoundError, UnreachableError

SECONDS = 10.0
"""For connecting, and for the one query."""
BY_CATALOG = "the primary key"
NO_DATABASE = "3D000"
"""SQLSTATE."""

CATALOG = """
SELECT n.nspname AS schema, c.relname AS table, a.attname AS column,
       CASE WHEN t.typtype = 'e' THEN 'enum' WHEN t.typcategory = 'A' THEN 'array'
            ELSE coalesce(b.typname, t.typname) END AS type,
       array_position(i.indkey::int2[], a.attnum) AS place
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_catalog.pg_type b ON b.oid = nullif(t.typbasetype, 0)
LEFT JOIN pg_catalog.pg_index i ON i.indrelid = c.oid AND i.indisprimary
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
  AND ($1::text IS NULL OR n.nspname = $1)
ORDER BY n.nspname, c.relname, a.attnum
"""

_WORDS = {
    ColumnType.INT: "int2 int4 int8 oid",
    ColumnType.DECIMAL: "numeric float4 float8",
    ColumnType.BOOL: "bool",
    ColumnType.TIMESTAMP: "timestamp timestamptz date",
    ColumnType.JSON: "json jsonb array hstore",
    ColumnType.TEXT: "text varchar bpchar citext uuid name enum inet cidr macaddr time timetz interval xml",
}
TYPES = {word: kind for kind, words in _WORDS.items() for word in words.split()}
"""PostgreSQL's type -> ours; any other one is `any`."""


def read_tables(url: SecretStr, schema: str | None) -> list[SeenTable]:
    """All tables of a database, or of one schema. Raises ConfigurationError (no asyncpg), DeniedError,
    UnreachableError, NotFoundError (no such database), CommandError; none of them quotes the URL."""
    return described(asyncio.run(_fetch(url, schema)))


def described(rows: Iterable[Mapping[str, Any]]) -> list[SeenTable]:
    """Tables of the catalog's rows."""
    found: dict[tuple[str, str], SeenTable] = {}
    keys: dict[tuple[str, str], dict[int, str]] = {}
    for row in rows:
        place = (row["schema"], row["table"])
        column = found.setdefault(place, SeenTable(*place)).column(row["column"])
        column.declared = TYPES.get(row["type"], ColumnType.ANY)
        if row["type"] in ("inet", "cidr"):
            column.personal = Personal(IP, "by its type: IP addresses")
        if row["place"] is not None:
            keys.setdefault(place, {})[row["place"]] = row["column"]
    for place, columns in keys.items():
        found[place].tell_key((columns[number] for number in sorted(columns)), BY_CATALOG)
    return list(found.values())


async def _fetch(url: SecretStr, schema: str | None) -> list[Mapping[str, Any]]:
    connection = None
    try:
        connection = await connect(url, SECONDS)
        async with asyncio.timeout(SECONDS), connection.transaction(readonly=True):
            return [dict(row) for row in await connection.fetch(CATALOG, schema)]
    except CommandError:
        raise
    except Exception as error:  # noqa: BLE001  sorted: what asyncpg raises has many roots
        raise _told(sort_error(error)) from None
    finally:
        if connection is not None:
            connection.terminate()


def _told(error: DatabaseError) -> CommandError:
    match error:
        case DatabaseDenied():
            return DeniedError("the database refuses this user", hint="check user and password in the URL")
        case QueryRefused() if error.code == NO_DATABASE:
            return NotFoundError("the server has no such database", hint="the last part of the URL names it")
        case DatabaseAway():
            return UnreachableError(f"the database does not answer ({error.code})")
        case _:
            return CommandError(f"the catalog of the database cannot be read ({error.code})")
