"""The query of each lookup: that of tables.yaml, or one made from the spec of the table that feeds it."""

from collections.abc import Iterable, Sequence
from typing import Any

from enrichers.state import LookupEntry
from models.catalogue import Catalogue
from models.infrastructure import (
    ChannelsGetOrgAndUserResponse,
    GroupsMapLogGetOrgResponse,
    LookupRow,
    PreparedQuery,
)
from models.routing import key_text
from models.tables import Provides, TableSpec


def query_of(catalogue: Catalogue, lookup: str, schema: str) -> PreparedQuery:
    """`schema`: where the rows of the source are, unless the spec names one; empty: wherever the search path leads."""
    spec = catalogue.lookup_provider(lookup)
    rule = next(rule for rule in spec.provides if rule.lookup == lookup)
    where = spec.schema or schema
    return PreparedQuery(lookup, where, rule.query or _made(spec, rule, where))


def _made(spec: TableSpec, rule: Provides, schema: str) -> str:
    columns = [rule.key, rule.org, rule.user] if rule.user is not None else [rule.key, rule.org]
    selected = ", ".join("NULL" if column is None else quoted(column) for column in columns)
    table = f"{quoted(schema)}.{quoted(spec.table)}" if schema else quoted(spec.table)
    return f"SELECT {selected} FROM {table} WHERE {quoted(rule.key)} = ANY($1)"  # noqa: S608  identifiers, quoted


def quoted(name: str) -> str:
    """An SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def row_of(values: Sequence[Any]) -> LookupRow | None:
    """A row of a query; None for one without a key. Ids are text whatever their type in the database."""
    key, org = _text(values[0]), _text(values[1])
    if key is None:
        return None
    if len(values) == 2:
        return GroupsMapLogGetOrgResponse(key, org)
    return ChannelsGetOrgAndUserResponse(key, org, _text(values[2]))


def entries_of(rows: Iterable[LookupRow]) -> dict[str, LookupEntry]:
    """{key: ids}. Where two rows of one key disagree, whose it is is not known: neither counts."""
    found: dict[str, LookupEntry | None] = {}
    for row in rows:
        user_id = row.user_id if isinstance(row, ChannelsGetOrgAndUserResponse) else None
        entry = LookupEntry(org_id=row.org_id, user_id=user_id)
        found[row.key] = entry if found.get(row.key, entry) == entry else None
    return {key: entry for key, entry in found.items() if entry is not None}


def _text(value: Any) -> str | None:
    return None if value is None or value == "" else key_text(value)
