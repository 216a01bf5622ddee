"""Connections to PostgreSQL through asyncpg: the only file of the worker that knows it."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Iterable, Sequence
from decimal import Decimal, InvalidOperation
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Protocol

from pydantic import SecretStr

from models.infrastructure import LookupRow, PreparedQuery
from workers.database.failures import DatabaseAway, DatabaseDenied, DatabaseError, QueryRefused
from workers.database.queries import row_of
from workers.failures import CommandError, ConfigurationError, UnreachableError

if TYPE_CHECKING:
    import asyncpg
    from asyncpg.prepared_stmt import PreparedStatement

Dsn = Callable[[bool], Awaitable[SecretStr]]
"""Gives the connection string; True: read it again where it came from, it was refused."""

APPLICATION = "cdc-worker"
REFUSED_CLASSES = ("22", "26", "3D", "3F", "42", "0A", "25")
"""Classes of SQLSTATE that say something about the query or the database's name, not about its health."""
DENIED_CLASS = "28"
INTEGERS = {"int2": 15, "int4": 31, "int8": 63}
NUMERIC_DIGITS, NUMERIC_FRACTION = 131_072, 16_383
"""Before and behind the point (PostgreSQL, "Numeric Types")."""
TEXTS = ("text", "varchar", "bpchar", "name", "citext", "unknown")


class Database(Protocol):
    """What the resolver asks. Raises DatabaseError; every answer has a deadline."""

    async def fetch(self, query: PreparedQuery, keys: Sequence[str]) -> list[LookupRow]:
        """The rows of these keys, in any order; keys without a row are left out."""

    async def close(self) -> None:
        """End the connections."""


def require_client() -> None:
    """Raises ConfigurationError if asyncpg is not installed."""
    if find_spec("asyncpg") is None:
        raise ConfigurationError(
            "a database is configured, but asyncpg is not installed", hint="pip install 'cdc-worker[postgres]'"
        )


class Postgres:
    """A database, with one connection for each lookup, made when it is first asked for. `timeout` is in seconds and
    holds for connecting and for each answer."""

    def __init__(self, dsn: Dsn, timeout: float) -> None:
        self._dsn = dsn
        self._timeout = timeout
        self._sessions: dict[str, _Session] = {}

    async def fetch(self, query: PreparedQuery, keys: Sequence[str]) -> list[LookupRow]:
        """See Database. After a failure the connection is made anew; a refused password is looked up again, once."""
        for last in (False, True):
            session = self._sessions.get(query.lookup)
            try:
                if session is None or session.closed:
                    session = self._sessions[query.lookup] = await self._open(again=last)
                return await session.fetch(query, keys, self._timeout)
            except Exception as error:  # noqa: BLE001  sorted below: what asyncpg raises has many roots
                await self._drop(query.lookup)
                told = sort_error(error)
                if last or not isinstance(told, DatabaseDenied):
                    raise told from None
        raise AssertionError("unreachable")

    async def close(self) -> None:
        """See Database."""
        for lookup in list(self._sessions):
            await self._drop(lookup)

    async def _open(self, *, again: bool) -> "_Session":
        return _Session(await connect(await self._dsn(again), self._timeout))

    async def _drop(self, lookup: str) -> None:
        session = self._sessions.pop(lookup, None)
        if session is not None:
            session.end()


class _Session:
    """One connection and the statements that are prepared on it."""

    def __init__(self, connection: "asyncpg.Connection[Any]") -> None:
        self._connection = connection
        self._prepared: dict[str, PreparedStatement[Any]] = {}

    @property
    def closed(self) -> bool:
        return self._connection.is_closed()

    async def fetch(self, query: PreparedQuery, keys: Sequence[str], timeout: float) -> list[LookupRow]:
        async with asyncio.timeout(timeout):
            statement = self._prepared.get(query.sql)
            if statement is None:
                statement = await self._connection.prepare(query.sql)
                if mistake := shape_mistake(statement):
                    raise QueryRefused(mistake)
                self._prepared[query.sql] = statement
            argument = keys_for(statement.get_parameters()[0].name, keys)
            if not argument:
                return []
            rows = await statement.fetch(argument)
        return [row for row in map(row_of, map(tuple, rows)) if row is not None]

    def end(self) -> None:
        # Not an orderly end: it waits for a server that may be gone.
        self._connection.terminate()


async def connect(dsn: SecretStr, timeout: float) -> "asyncpg.Connection[Any]":
    """A connection. Raises what asyncpg raises, and ConfigurationError without it."""
    require_client()
    import asyncpg  # noqa: PLC0415  an extra: only needed where a database is configured

    # Nothing is prepared behind our back: a pooler such as PgBouncer may stand between.
    return await asyncpg.connect(
        dsn.get_secret_value(), timeout=timeout, statement_cache_size=0,
        server_settings={"application_name": APPLICATION},
    )  # fmt: skip


def shape_mistake(statement: "PreparedStatement[Any]") -> str | None:
    """What is wrong with the form of a query: it must take one array and give two or three columns."""
    parameters, columns = statement.get_parameters(), statement.get_attributes()
    if len(parameters) != 1 or not parameters[0].name.endswith("[]"):
        return "it must have one argument, the array of keys: … = ANY($1)"
    if len(columns) not in (2, 3):
        return f"it gives {len(columns)} columns; they must be key, organisation and maybe user"
    return None


def keys_for(array: str, keys: Iterable[str]) -> list[Any]:
    """The keys as elements of an array type. A text that is no value of the type is the key of no row."""
    kind = array.removesuffix("[]")
    if kind in TEXTS:
        return [key for key in keys if "\x00" not in key]
    found = []
    for key in keys:
        try:
            value = _element(kind, key)
        except (ValueError, InvalidOperation):
            continue
        if value is not None:
            found.append(value)
    return found


def _element(kind: str, key: str) -> Any:
    if kind in INTEGERS:
        number = int(key)
        return number if -(1 << INTEGERS[kind]) <= number < 1 << INTEGERS[kind] else None
    if kind == "numeric":
        exact = Decimal(key)
        exponent = exact.as_tuple().exponent
        # P7: one key beyond the type would have the query refused for all of them, again and again.
        fits = type(exponent) is int and exponent >= -NUMERIC_FRACTION and exact.adjusted() < NUMERIC_DIGITS
        return exact if fits else None
    if kind == "uuid":
        return uuid.UUID(key)
    raise QueryRefused(f"keys of type {kind} are not supported; cast the column to text")


def sort_error(error: BaseException) -> DatabaseError:
    """The worker's word for what asyncpg, the network or the deadline raised."""
    if isinstance(error, DatabaseError):
        return error
    if isinstance(error, CommandError):  # the credentials could not be read again
        code = type(error).__name__
        return DatabaseAway(code) if isinstance(error, UnreachableError) else DatabaseDenied(code)
    state = getattr(error, "sqlstate", None)
    code = state if isinstance(state, str) and state.isalnum() else type(error).__name__
    if isinstance(state, str) and state.startswith(DENIED_CLASS):
        return DatabaseDenied(code)
    if isinstance(state, str) and state.startswith(REFUSED_CLASSES):
        return QueryRefused(code)
    return DatabaseAway(code)
