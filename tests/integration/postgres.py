"""One PostgreSQL for the tests that need one, and a database of its own for each of them."""

import itertools
from collections.abc import Iterator

import pytest

from sandbox.postgres import PostgresServer

_names = itertools.count()


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """A server that stays up: tests that stop one start their own."""
    server = PostgresServer(tmp_path_factory.mktemp("postgres") / "server")
    server.start()
    yield server
    server.kill()


@pytest.fixture
async def database(postgres: PostgresServer) -> str:
    """Connection string of a new database with the built-in tables, empty."""
    return await postgres.make_database(f"test{next(_names)}")
