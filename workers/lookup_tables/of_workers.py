"""Entries out of the memory of all workers."""

import base64
from collections.abc import Iterable

from enrichers.row_view import RowView
from enrichers.schema_memory import history_key, seen_key
from workers.cluster.peers import Answer, Cluster
from workers.kafka.topics import MEMORY_TABLE, OWN_TABLES, PINS_TABLE
from workers.lookup_tables.entries import TableEntry
from workers.lookup_tables.row_names import InvalidRow, RowName, row_name


async def entries_of_row(
    cluster: Cluster, rows: RowView, name: str, text: str
) -> tuple[list[tuple[str, TableEntry]], tuple[Answer, ...]]:
    """What they hold of a row that is named, each entry with the worker, and what they answered. Raises InvalidRow."""
    if name == PINS_TABLE:
        found: list[tuple[str, TableEntry]] = []
        answers: tuple[Answer, ...] = ()
        for key in (text.encode(), seen_key(text), history_key(text)):
            entries, answers = await held_entries(cluster, name, key)
            found += entries
        return found, answers
    if name in OWN_TABLES and name != MEMORY_TABLE:
        return await held_entries(cluster, name, text.encode())
    among = rows.catalogue.lookup_provider(name) if name not in OWN_TABLES else None
    named = row_name(text, rows.catalogue, among)
    return await held_entries(cluster, name, named.key(await _schema(cluster, named)))


async def _schema(cluster: Cluster, named: RowName) -> str:
    schema = named.spec.schema or named.schema
    if schema is None:
        schema = (await pins_of(cluster, [named.spec.name])).get(named.spec.name)
    if schema is None:
        raise InvalidRow(
            f"no worker holds the schema of {named.spec.name}: none of its records was seen yet, or enrich is starting"
        )
    return schema


async def pins_of(cluster: Cluster, names: Iterable[str]) -> dict[str, str]:
    """{table: the schema it was first seen with}, of these tables."""
    found = {}
    for name in names:
        entries, _ = await held_entries(cluster, PINS_TABLE, name.encode())
        held = min(entries, key=lambda item: item[1].partition, default=None)
        if held is not None:
            found[name] = held[1].value.decode("utf-8", "replace")
    return found


async def held_entries(
    cluster: Cluster, name: str, key: bytes
) -> tuple[list[tuple[str, TableEntry]], tuple[Answer, ...]]:
    """What they hold of one key."""
    query = {"table": name, "key": base64.urlsafe_b64encode(key).decode()}
    answers = await cluster.ask("/internal/tables/entry", query)
    return [
        (answer.worker, TableEntry(name, one["partition"], key, base64.b64decode(one["valueB64"])))
        for answer in answers
        if answer.body is not None
        for one in answer.body["entries"]
    ], answers
