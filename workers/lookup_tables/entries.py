"""One entry of a table, and what may be shown of it (P6): key and ids as the events of its row carry them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from enrichers.observe import read_history, read_seen
from enrichers.recent import digests_of, number_of
from enrichers.row_view import MASK, RowView, printable
from enrichers.schema_memory import is_history, is_seen
from enrichers.state import LookupEntry, NewerFormatError, RowMemory, UnreadableEntryError
from models.catalogue import Catalogue
from models.strict_json import JsonError, decode
from models.tables import TableSpec
from workers.filters import Filter
from workers.kafka.topics import MEMORY_TABLE, OWN_TABLES, PINS_TABLE, RECENT_TABLE

PURPOSES: Mapping[str, str] = {
    PINS_TABLE: "schema, columns and reported changes of each table",
    MEMORY_TABLE: "last owner and last changes of each row",
    RECENT_TABLE: "last changes of each partition, by which a repeat is known",
}
EVERYWHERE = "on every worker"


def purpose_of(table: str, catalogue: Catalogue) -> str:
    """What a table is for, in words."""
    if table in PURPOSES:
        return PURPOSES[table]
    return f"owner ids by row of {catalogue.lookup_provider(table).name}"


@dataclass(frozen=True, slots=True)
class TableEntry:
    """As it stands in the changelog, or in the memory of a worker, which knows neither offset nor time."""

    table: str
    partition: int
    key: bytes
    value: bytes
    offset: int | None = None
    written_ms: int | None = None
    """Kafka's timestamp of the record."""


class EntryView:
    """Makes documents of entries."""

    def __init__(self, rows: RowView) -> None:
        self._rows = rows

    def document(self, entry: TableEntry) -> dict[str, Any]:
        """For people and programs: what the rules leave, and what the entry says of itself."""
        found: dict[str, Any] = {"table": entry.table, "key": self.key(entry), "partition": entry.partition}
        if entry.offset is not None:
            found |= {"offset": entry.offset, "writtenMs": entry.written_ms}
        try:
            return found | self._content(entry)
        except NewerFormatError:
            return found | {"unreadable": "a later release wrote it"}
        except (UnreadableEntryError, UnicodeDecodeError):
            return found | {"unreadable": "it is damaged: `cdc table rebuild` restores it"}

    def original(self, entry: TableEntry) -> dict[str, Any]:
        """The same with key and value as they are: what redaction takes is in it."""
        value: Any = entry.value.hex()
        if entry.table != RECENT_TABLE:
            value = entry.value.decode("utf-8", "replace")
            if entry.table != PINS_TABLE:
                try:
                    value = decode(entry.value)
                except JsonError:
                    value = entry.value.hex()
        return {**self.document(entry), "keyInKafka": entry.key.decode("utf-8", "replace"), "value": value}

    def key(self, entry: TableEntry) -> str:
        """`users:7`; the name of a source table in `schemas`, the number of a block in `recent`."""
        if entry.table not in (PINS_TABLE, RECENT_TABLE):
            return self._rows.row_key(entry.key)
        if entry.table == RECENT_TABLE or not (is_seen(entry.key) or is_history(entry.key)):
            return printable(entry.key.decode("utf-8", "replace"))
        try:
            kind, name = decode(entry.key)
        except (JsonError, ValueError):
            return MASK
        return printable(f"{kind}:{name}")

    def _content(self, entry: TableEntry) -> dict[str, Any]:
        if entry.table == PINS_TABLE:
            return _schema(entry)
        if entry.table == RECENT_TABLE:
            return {"changes": len(digests_of(entry.value)), "block": number_of(entry.value)}
        spec = self._spec(entry)
        if entry.table == MEMORY_TABLE:
            memory = RowMemory.decode(entry.value)
            known: tuple[str | None, str | None] = (_hidden(memory.org_id), _hidden(memory.user_id))
            org, user = known if spec is None else self._rows.owner(spec, memory.org_id, memory.user_id)
            return {"orgId": org, "userId": user, "sinceMs": memory.updated_ms, "changes": len(memory.changes)}
        held = LookupEntry.decode(entry.value)
        rule = next((one for one in spec.provides if one.lookup == entry.table), None) if spec is not None else None
        if spec is None or rule is None:
            return {"orgId": _hidden(held.org_id), "userId": _hidden(held.user_id), "sinceMs": held.since_ms}
        return {
            "orgId": self._rows.provided(spec, rule.org, held.org_id),
            "userId": self._rows.provided(spec, rule.user, held.user_id),
            "sinceMs": held.since_ms,
        }

    def _spec(self, entry: TableEntry) -> TableSpec | None:
        try:
            schema, table, *_ = decode(entry.key)
        except (JsonError, ValueError, TypeError):
            return None
        return self._rows.catalogue.match(None, str(schema), str(table))


def _hidden(value: str | None) -> str | None:
    """Of a row whose table nobody knows any more, and so neither its rules."""
    return None if value is None else MASK


def _schema(entry: TableEntry) -> dict[str, Any]:
    if is_seen(entry.key):
        seen = read_seen(entry.value)
        return {"columns": len(seen.columns), "sinceMs": seen.since_ms}
    if is_history(entry.key):
        history = read_history(entry.value)
        return {"columns": len(history.columns), "version": history.version, "changes": len(history.changes)}
    return {"schema": printable(entry.value.decode())}


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which entries are looked for. Every condition is asked of what may be shown: asked of what may not, yes or no
    would tell it in time (P6)."""

    prefix: str = ""
    """Of the key as it is shown."""
    org: str | None = None
    user: str | None = None
    where: Filter | None = None

    def holds(self, document: Mapping[str, Any]) -> bool:
        """Whether this is one of them."""
        return (
            str(document["key"]).startswith(self.prefix)
            and (self.org is None or document.get("orgId") == self.org)
            and (self.user is None or document.get("userId") == self.user)
            and (self.where is None or self.where.matches(dict(document)))
        )


def known_tables(catalogue: Catalogue) -> tuple[str, ...]:
    """Names of all tables of the stage."""
    return (*catalogue.lookups, *OWN_TABLES)
