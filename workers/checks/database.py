"""Checks of the database behind the lookups: whether it lets us in, and whether it can answer the query of each."""

import asyncio
from typing import TYPE_CHECKING, Any

from models.catalogue import Catalogue
from models.infrastructure import PreparedQuery
from workers.checks.findings import Finding
from workers.database.connection import connect, keys_for, require_client, shape_mistake, sort_error
from workers.database.failures import DatabaseDenied, DatabaseError, QueryRefused
from workers.database.queries import query_of
from workers.failures import CommandError, DeniedError, UnreachableError
from workers.settings.secrets import database_dsn, load_parameters
from workers.settings.worker import Settings

if TYPE_CHECKING:
    import asyncpg

SCHEMAS = """
SELECT table_schema FROM information_schema.tables
WHERE table_name = $1 AND table_schema NOT IN ('pg_catalog', 'information_schema') ORDER BY table_schema
"""


def check_parameters(settings: Settings) -> list[Finding]:
    """Whether SSM gives the parameters that the settings name."""
    try:
        load_parameters(settings)
    except DeniedError as error:
        return [Finding.of("ssm.denied", "CDC_SSM_*", str(error))]
    except UnreachableError as error:
        return [Finding.of("ssm.unreachable", "CDC_SSM_*", str(error))]
    except CommandError as error:
        return [Finding.of("ssm.parameter", "CDC_SSM_*", str(error))]
    return []


async def check_database(settings: Settings, catalogue: Catalogue, seconds: float) -> list[Finding]:
    """Run the query of every lookup for no keys at all; each answer is waited for at most `seconds`."""
    subject = "DATABASE_URL"
    try:
        require_client()
        dsn = database_dsn(settings)
    except CommandError as error:
        return [Finding.of("database.settings", subject, f"{error}; {error.hint}")]
    try:
        connection = await connect(dsn, seconds)
    except Exception as error:  # noqa: BLE001  sorted: what asyncpg raises has many roots
        return [_of(sort_error(error), subject, "")]
    found: list[Finding] = []
    try:
        for lookup in catalogue.lookups:
            found += await _check_lookup(connection, settings, catalogue, lookup, seconds)
    finally:
        connection.terminate()
    return found


async def _check_lookup(
    connection: "asyncpg.Connection[Any]", settings: Settings, catalogue: Catalogue, lookup: str, seconds: float
) -> list[Finding]:
    spec = catalogue.lookup_provider(lookup)
    own = next(rule.query for rule in spec.provides if rule.lookup == lookup)
    subject = f"lookup {lookup}"
    schemas: list[str] = [spec.schema or ""]
    if spec.schema is None and own is None:
        # The worker takes the schema that the table is first seen with; each that may be it is tried.
        try:
            rows = await connection.fetch(SCHEMAS, spec.table, timeout=seconds)
        except Exception as error:  # noqa: BLE001  see above
            return [_of(sort_error(error), subject, _told(error))]
        schemas = [row[0] for row in rows]
        if not schemas:
            text = f"no schema that this user may see has a table {spec.table}"
            local = settings.environment == "LOCAL"  # where the worker goes on without it
            return [Finding.of("database.query", subject, text, severity="warning" if local else None)]
    found = []
    for schema in schemas:
        mistake = await _try(connection, query_of(catalogue, lookup, schema), subject, seconds)
        found += [mistake] if mistake is not None else []
    return found


async def _try(
    connection: "asyncpg.Connection[Any]", query: PreparedQuery, subject: str, seconds: float
) -> Finding | None:
    try:
        async with asyncio.timeout(seconds):
            statement = await connection.prepare(query.sql)
            if mistake := shape_mistake(statement):
                return Finding.of("database.query", subject, mistake)
            keys_for(statement.get_parameters()[0].name, ["0"])  # raises for a type that keys cannot have
            await statement.fetch([])  # rights are looked at when a statement runs
    except Exception as error:  # noqa: BLE001  see above
        return _of(sort_error(error), subject, _told(error))
    return None


def _told(error: Exception) -> str:
    """What PostgreSQL says, in one line: names of tables and columns. There are no values in these statements."""
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def _of(error: DatabaseError, subject: str, told: str) -> Finding:
    match error:
        case DatabaseDenied():
            return Finding.of("database.denied", subject, told or f"the database does not let us in ({error.code})")
        case QueryRefused():
            return Finding.of("database.query", subject, told or f"there is no such database ({error.code})")
        case _:
            return Finding.of("database.unreachable", subject, f"no answer ({error.code})")
