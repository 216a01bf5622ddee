"""Queries for owners on a real PostgreSQL: keys of every type, schemas, foreign tables, and a server that goes away."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import asyncpg
import psutil
import pytest
from pydantic import SecretStr

from models.catalogue import TELEPHONY, Catalogue
from models.infrastructure import ChannelsGetOrgAndUserResponse, GroupsMapLogGetOrgResponse, PreparedQuery
from models.tables import ColumnType
from sandbox.postgres import PostgresServer, find_programs
from sandbox.telephony_tables import TYPES
from tests.integration.postgres import database, postgres
from tests.unit.changes import catalogue_of
from workers.database.connection import Postgres
from workers.database.failures import DatabaseAway, DatabaseDenied, QueryRefused
from workers.database.queries import query_of

__all__ = ["database", "postgres"]

BUILT_IN = Catalogue(TELEPHONY)
FOREIGN = """
  - table: members
    entity: member
    key: [member_id]
    provides:
      - lookup: members
        key: member_id
        org: firm
        user: member_id
        query: SELECT m.no, f.code, m.no FROM crm.member m JOIN crm.firm f ON f.id = m.firm WHERE m.no = ANY($1)
"""


def dsn_of(*urls: str) -> Callable[[bool], "asyncio.Future[SecretStr]"]:
    """The first one, and the last one when that was refused."""

    async def dsn(again: bool) -> SecretStr:
        return SecretStr(urls[-1] if again else urls[0])

    return dsn  # type: ignore[return-value]


async def fetch(url: str, query: PreparedQuery, *keys: str, timeout: float = 5.0) -> list[object]:
    client = Postgres(dsn_of(url), timeout)
    try:
        return list(await client.fetch(query, keys))
    finally:
        await client.close()


async def execute(url: str, *statements: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


@pytest.fixture
async def filled(database: str) -> str:
    await execute(
        database,
        """INSERT INTO users ("ID", "HomeOrgID") VALUES (7, 3), (8, 3)""",
        """INSERT INTO groups ("ID", "OrgID") VALUES (21, 4)""",
    )
    return database


@pytest.fixture
async def client(filled: str) -> AsyncIterator[Postgres]:
    made = Postgres(dsn_of(filled), 5.0)
    yield made
    await made.close()


def test_every_column_of_every_built_in_table_has_a_type_in_postgresql(postgres: PostgresServer) -> None:
    async def columns() -> set[tuple[str, str]]:
        connection = await asyncpg.connect(postgres.url)
        rows = await connection.fetch(
            "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'core'"
        )
        await connection.close()
        return {(row[0], row[1]) for row in rows}

    assert asyncio.run(columns()) == {(spec.table, column) for spec in TELEPHONY for column in spec.columns}


async def test_a_query_made_from_a_spec_finds_organisation_and_user(client: Postgres) -> None:
    rows = await client.fetch(query_of(BUILT_IN, "users", "core"), ["7", "9"])
    assert rows == [ChannelsGetOrgAndUserResponse("7", "3", "7")]


async def test_a_lookup_without_users_gives_the_organisation_alone(client: Postgres) -> None:
    assert await client.fetch(query_of(BUILT_IN, "groups", "core"), ["21"]) == [GroupsMapLogGetOrgResponse("21", "4")]


@pytest.mark.parametrize("key", ["jdoe", "7.5", "", "99999999999999999999999", "\x00"])
async def test_a_text_that_is_no_number_is_the_key_of_no_row(client: Postgres, key: str) -> None:
    rows = await client.fetch(query_of(BUILT_IN, "users", "core"), [key, "8"])
    assert rows == [ChannelsGetOrgAndUserResponse("8", "3", "8")]


@pytest.mark.parametrize("key", ["1e99999999", "1e-20000", "0e-20000", "NaN", "Infinity"])
async def test_a_text_that_no_numeric_column_holds_is_the_key_of_no_row(database: str, key: str) -> None:
    await execute(database, "CREATE TABLE t (id numeric, org integer)", "INSERT INTO t VALUES (7, 3)")
    client = Postgres(dsn_of(database), 5.0)
    try:
        query = PreparedQuery("t", "", "SELECT id, org FROM t WHERE id = ANY($1)")
        assert await client.fetch(query, [key, "7"]) == [GroupsMapLogGetOrgResponse("7", "3")]
    finally:
        await client.close()


@pytest.mark.parametrize(
    ("kind", "stored", "key"),
    [
        ("integer", "7", "7"),
        ("smallint", "7", "7"),
        ("numeric(12,2)", "7.00", "7"),
        ("text", "'7'", "7"),
        ("varchar(20)", "'a:b'", "a:b"),
        ("uuid", "'4f9c1ed2-5c8b-4b0e-9a52-6f2d3b1c0a11'", "4f9c1ed2-5c8b-4b0e-9a52-6f2d3b1c0a11"),
    ],
)
async def test_keys_are_found_whatever_their_type_in_the_database(
    database: str, kind: str, stored: str, key: str
) -> None:
    await execute(database, f"CREATE TABLE t (id {kind}, org {kind})", f"INSERT INTO t VALUES ({stored}, {stored})")
    query = PreparedQuery("t", "", "SELECT id, org FROM t WHERE id = ANY($1)")
    assert await fetch(database, query, key, "other") == [GroupsMapLogGetOrgResponse(key, key)]


async def test_names_of_tables_and_columns_are_quoted(database: str, tmp_path: Path) -> None:
    entry = """
  - {table: 'odd "table', name: odd, entity: o, key: ['a"b'], provides: {lookup: odd, key: 'a"b', org: select}}
"""
    await execute(
        database, """CREATE SCHEMA "Odd"; CREATE TABLE "Odd"."odd ""table" ("a""b" int, "select" int)""",
        """INSERT INTO "Odd"."odd ""table" VALUES (1, 2)""",
    )  # fmt: skip
    query = query_of(catalogue_of(tmp_path, entry), "odd", "Odd")
    assert await fetch(database, query, "1") == [GroupsMapLogGetOrgResponse("1", "2")]


async def test_a_foreign_schema_is_asked_by_the_query_of_its_entry(database: str, tmp_path: Path) -> None:
    await execute(
        database, "CREATE SCHEMA crm; CREATE TABLE crm.firm (id int, code text)",
        "CREATE TABLE crm.member (no text, firm int)",
        "INSERT INTO crm.firm VALUES (1, 'acme')", "INSERT INTO crm.member VALUES ('m-1', 1)",
    )  # fmt: skip
    query = query_of(catalogue_of(tmp_path, FOREIGN), "members", "core")
    assert await fetch(database, query, "m-1", "m-2") == [ChannelsGetOrgAndUserResponse("m-1", "acme", "m-1")]


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT id FROM nowhere WHERE id = ANY($1)",
        "SELECT nonsense",
        """SELECT "ID" FROM users WHERE "ID" = ANY($1)""",
        """SELECT "ID", "HomeOrgID" FROM users WHERE "ID" = $1""",
        """SELECT "ID", "HomeOrgID" FROM users WHERE "ID" = ANY($1) AND "HomeOrgID" = $2""",
        """SELECT "ID", "Email"::int FROM users WHERE "ID" = ANY($1)""",
    ],
)
async def test_a_query_that_cannot_work_is_refused_without_a_word_of_the_rows(filled: str, sql: str) -> None:
    await execute(filled, """UPDATE users SET "Email" = 'a@x.test'""")
    with pytest.raises(QueryRefused) as refused:
        await fetch(filled, PreparedQuery("users", "core", sql), "7")
    assert "x.test" not in str(refused.value)


async def test_a_wrong_password_is_denied_and_no_secret_is_told(filled: str) -> None:
    wrong = filled.replace("://sandbox:", "://sandbox:wrong-")
    with pytest.raises(DatabaseDenied) as denied:
        await fetch(wrong, query_of(BUILT_IN, "users", "core"), "7")
    assert str(denied.value) == "28P01"


async def test_a_password_that_was_rotated_is_read_again(filled: str) -> None:
    client = Postgres(dsn_of(filled.replace("://sandbox:", "://sandbox:old-"), filled), 5.0)
    rows = await client.fetch(query_of(BUILT_IN, "users", "core"), ["7"])
    await client.close()
    assert rows == [ChannelsGetOrgAndUserResponse("7", "3", "7")]


async def test_a_database_that_does_not_exist_is_no_outage(postgres: PostgresServer) -> None:
    with pytest.raises(QueryRefused):
        await fetch(postgres.url_of("nowhere"), query_of(BUILT_IN, "users", "core"), "7")


async def test_a_locked_table_is_away_when_the_deadline_has_passed(filled: str) -> None:
    locker = await asyncpg.connect(filled)
    async with locker.transaction():
        await locker.execute("LOCK TABLE users")
        with pytest.raises(DatabaseAway):
            await fetch(filled, query_of(BUILT_IN, "users", "core"), "7", timeout=0.2)
    await locker.close()


@pytest.fixture
def own(tmp_path: Path) -> Iterator[PostgresServer]:
    """A server to be stopped."""
    server = PostgresServer(tmp_path / "server")
    server.start()
    yield server
    server.kill()


async def test_a_server_that_was_gone_is_asked_over_a_new_connection(own: PostgresServer) -> None:
    await execute(own.url, """INSERT INTO groups ("ID", "OrgID") VALUES (21, 4)""")
    client, query = Postgres(dsn_of(own.url), 2.0), query_of(BUILT_IN, "groups", "core")
    assert await client.fetch(query, ["21"])
    await asyncio.to_thread(own.kill)
    with pytest.raises(DatabaseAway):
        await client.fetch(query, ["21"])
    await asyncio.to_thread(own.start)
    assert await client.fetch(query, ["21"]) == [GroupsMapLogGetOrgResponse("21", "4")]
    await client.close()


def test_a_killed_parent_leaves_no_server_behind(tmp_path: Path) -> None:
    code = (
        "import sys, time, pathlib; from sandbox.postgres import PostgresServer\n"
        "server = PostgresServer(pathlib.Path(sys.argv[1])); server.start()\n"
        "print(server.pid, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "pg")], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    server = int(parent.stdout.readline())
    assert psutil.Process(server).uids().real != 0
    sessions = [child.pid for child in psutil.Process(server).children()]
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 10
    while any(map(psutil.pid_exists, [server, *sessions])):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_server_starts_whose_programs_lie_where_only_their_owner_may_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = find_programs()
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    wheel = programs.parent.parent
    shutil.copytree(programs.parent, private / wheel.name / programs.parent.name)
    for libraries in wheel.parent.glob(f"{wheel.name}.libs"):
        shutil.copytree(libraries, private / libraries.name)
    monkeypatch.setattr("sandbox.postgres.find_programs", lambda: private / programs.relative_to(wheel.parent))
    server = PostgresServer(private / "server")
    server.start()
    server.kill()


def test_types_of_columns_all_have_a_type_in_postgresql() -> None:
    assert TYPES.keys() == set(ColumnType)
