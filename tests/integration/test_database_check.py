"""`cdc check` and the database behind the lookups: every query is tried, and what is wrong is said."""

from pathlib import Path
from typing import Any

import pytest

from models.catalogue import TELEPHONY, Catalogue
from sandbox.postgres import PostgresServer
from tests.integration.postgres import database, postgres
from tests.integration.test_database import execute
from tests.unit.changes import catalogue_of
from workers.checks.database import check_database
from workers.checks.findings import Finding
from workers.settings.worker import Settings

__all__ = ["database", "postgres"]

CATALOGUE = Catalogue(TELEPHONY)
ENTRY = """
  - table: members
    entity: member
    key: [id]
    provides: {lookup: members, key: id, org: org, query: "%s"}
"""


def settings(url: str, **changes: Any) -> Settings:
    return Settings(_env_file=None, database_url=url, **changes)


async def check(url: str, catalogue: Catalogue = CATALOGUE, **changes: Any) -> list[Finding]:
    return await check_database(settings(url, **changes), catalogue, 5.0)


async def test_a_database_with_the_built_in_tables_can_answer(database: str) -> None:
    assert await check(database) == []


async def test_a_table_that_is_missing_is_named(database: str) -> None:
    await execute(database, "DROP TABLE groups")
    [found] = await check(database)
    assert (found.id, found.severity, found.subject) == ("database.query", "error", "lookup groups")
    assert "groups" in found.message


async def test_on_a_developers_machine_a_missing_table_is_a_warning(database: str) -> None:
    await execute(database, "DROP TABLE groups")
    [found] = await check(database, environment="LOCAL")
    assert found.severity == "warning"


async def test_a_column_that_is_missing_is_named(database: str) -> None:
    await execute(database, 'ALTER TABLE users RENAME "HomeOrgID" TO "OrgID"')
    [found] = await check(database)
    assert (found.id, found.subject) == ("database.query", "lookup users")
    assert "HomeOrgID" in found.message


async def test_a_right_that_is_missing_is_told(database: str) -> None:
    role = f"reader_{database.rpartition('/')[2]}"
    await execute(
        database, f"CREATE ROLE {role} LOGIN PASSWORD 'pw'", f"GRANT USAGE ON SCHEMA core TO {role}",
        f"GRANT SELECT ON users, groups TO {role}", f'GRANT SELECT ("Name") ON orgs TO {role}',
    )  # fmt: skip
    place = database.rpartition("@")[2]
    [found] = await check(f"postgresql://{role}:pw@{place}")
    assert (found.id, found.subject) == ("database.query", "lookup orgs")
    assert "permission denied" in found.message


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("SELECT 1 WHERE $1", "one argument"),
        ("SELECT id, org FROM crm.members WHERE id = $1", "one argument"),
        ("SELECT id FROM crm.members WHERE id = ANY($1)", "1 columns"),
        ("SELECT id, org FROM nowhere WHERE id = ANY($1)", "nowhere"),
        ("SELECT since, org FROM crm.members WHERE since = ANY($1)", "not supported"),
    ],
)
async def test_a_query_of_tables_yaml_is_tried(database: str, tmp_path: Path, query: str, said: str) -> None:
    await execute(database, "CREATE SCHEMA crm; CREATE TABLE crm.members (id int, org int, since date)")
    [found] = await check(database, catalogue_of(tmp_path, ENTRY % query))
    assert (found.id, found.subject) == ("database.query", "lookup members")
    assert said in found.message


async def test_a_wrong_password_is_denied_and_not_shown(database: str) -> None:
    [found] = await check(database.replace("://sandbox:", "://sandbox:abracadabra"))
    assert found.id == "database.denied"
    assert "abracadabra" not in str(found)


async def test_a_database_that_does_not_exist_is_a_mistake(postgres: PostgresServer) -> None:
    [found] = await check(postgres.url_of("nowhere"))
    assert found.id == "database.query"


async def test_a_server_that_is_away_is_unreachable() -> None:
    [found] = await check("postgresql://u:abracadabra@127.0.0.1:1/d")
    assert found.id == "database.unreachable"
    assert "abracadabra" not in str(found)


async def test_without_the_client_the_extra_is_named(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.database.connection.find_spec", lambda _: None)
    [found] = await check(database)
    assert found.id == "database.settings"
    assert "cdc-worker[postgres]" in found.message
