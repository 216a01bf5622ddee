"""A database in memory, for tests of what is asked when: it answers, hangs, or fails as told."""

import asyncio
from collections.abc import Sequence

from models.infrastructure import ChannelsGetOrgAndUserResponse, LookupRow, PreparedQuery
from workers.database.failures import DatabaseError


class FakeDatabase:
    """`rows`: {(lookup, key): organisation}. Implements workers.database.connection.Database."""

    def __init__(self, rows: dict[tuple[str, str], str] | None = None) -> None:
        self.rows = rows or {}
        self.asked: list[tuple[str, tuple[str, ...]]] = []
        """(lookup, keys) of each query, sorted."""
        self.error: DatabaseError | None = None
        self.errors_of: dict[str, DatabaseError] = {}
        self.gate = asyncio.Event()
        self.gate.set()
        self.closed = False

    async def fetch(self, query: PreparedQuery, keys: Sequence[str]) -> list[LookupRow]:
        self.asked.append((query.lookup, tuple(sorted(keys))))
        await self.gate.wait()
        error = self.errors_of.get(query.lookup, self.error)
        if error is not None:
            raise error
        return [
            ChannelsGetOrgAndUserResponse(key, self.rows[query.lookup, key], key)
            for key in keys
            if (query.lookup, key) in self.rows
        ]

    async def close(self) -> None:
        self.closed = True


def query(lookup: str, schema: str) -> PreparedQuery:
    """Any text will do."""
    return PreparedQuery(lookup, schema, f"SELECT … FROM {lookup}")
