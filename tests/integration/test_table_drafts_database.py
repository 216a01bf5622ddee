"""`cdc tables init --from-database` on a real PostgreSQL: what its catalog tells, and how it says no."""

import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from models.catalogue import load_catalogue
from models.tables import ColumnType, RedactionAction
from sandbox.postgres import PostgresServer
from tests.integration.postgres import database, postgres

__all__ = ["database", "postgres"]

ROOT = Path(__file__).parents[2]
SHOP = """
CREATE SCHEMA shop;
CREATE TYPE shop.state AS ENUM ('NEW', 'PAID');
CREATE DOMAIN shop.cents AS numeric(12, 2);
CREATE TABLE shop.orders (order_id bigint PRIMARY KEY, user_id int, state shop.state, total shop.cents, paid boolean,
    placed timestamptz, email text, shipping_address jsonb, tags text[], client inet, "Odd Name" varchar(5), gone int);
ALTER TABLE shop.orders DROP COLUMN gone;
CREATE TABLE shop.lines (number int, note text, order_id bigint REFERENCES shop.orders, PRIMARY KEY (order_id, number));
CREATE TABLE shop.events (id uuid, at date, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE shop.events_2026 PARTITION OF shop.events FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE TABLE shop.loose (email text, value double precision);
CREATE VIEW shop.seen AS SELECT * FROM shop.orders;
INSERT INTO shop.orders (order_id, email) VALUES (1, 'CANARY@x.test');
"""


@pytest.fixture
async def shop(database: str) -> str:
    """URL of a database with a schema of a shop."""
    connection = await asyncpg.connect(database)
    try:
        await connection.execute(SHOP)
    finally:
        await connection.close()
    return database


def init(directory: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {
        name: value for name, value in os.environ.items() if not name.startswith("CDC_") and name != "DATABASE_URL"
    }
    return subprocess.run(
        [sys.executable, "-m", "workers", "tables", "init", *arguments],
        env=clean | {"PYTHONPATH": str(ROOT)} | environment, cwd=directory, capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip


async def test_a_draft_has_the_tables_keys_types_and_masks_of_a_schema(shop: str, tmp_path: Path) -> None:
    drafted = init(tmp_path, "--from-database", "--schema", "shop", DATABASE_URL=shop)
    assert drafted.returncode == 0, drafted.stderr
    assert "CANARY" not in drafted.stdout
    path = tmp_path / "tables.yaml"
    path.write_text(drafted.stdout, encoding="utf-8")
    specs = {spec.name: spec for spec in load_catalogue("none", path).specs}
    assert {name: spec.key for name, spec in specs.items()} == {
        "orders": ("order_id",), "lines": ("order_id", "number"), "events": ("id", "at"), "loose": ("email",),
    }  # fmt: skip
    assert specs["orders"].columns == {
        "order_id": ColumnType.INT, "user_id": ColumnType.INT, "state": ColumnType.TEXT, "total": ColumnType.DECIMAL,
        "paid": ColumnType.BOOL, "placed": ColumnType.TIMESTAMP, "email": ColumnType.TEXT,
        "shipping_address": ColumnType.JSON, "tags": ColumnType.JSON, "client": ColumnType.TEXT,
        "Odd Name": ColumnType.TEXT,
    }  # fmt: skip
    assert {"email", "shipping_address", "client"} <= specs["orders"].redact.keys()
    assert specs["loose"].redact["email"].action is RedactionAction.HASH
    assert all(spec.schema == "shop" for spec in specs.values())
    shown = init(tmp_path, "--from-database", "REPLICA", "--table", "lines", "--table", "orders", REPLICA=shop)
    assert "2 tables" in shown.stderr
    assert shop not in shown.stdout + shown.stderr


async def test_a_database_that_says_no_has_an_exit_code_and_its_url_is_not_repeated(
    shop: str, tmp_path: Path, postgres: PostgresServer
) -> None:
    parts = urlsplit(shop)
    wrong = urlunsplit(parts._replace(netloc=f"sandbox:CANARY@{parts.hostname}:{parts.port}"))
    cases = {
        wrong: 4,
        urlunsplit(parts._replace(path="/nowhere")): 6,
        "postgresql://x:CANARY@127.0.0.1:1/x": 5,
        "mysql://x:CANARY@127.0.0.1/x": 3,
    }
    for url, code in cases.items():
        ended = init(tmp_path, "--from-database", DATABASE_URL=url)
        assert (ended.returncode, ended.stdout) == (code, ""), ended.stderr
        assert "CANARY" not in ended.stderr
