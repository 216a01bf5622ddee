"""Route: source bytes -> the key of the row they change. Runs for every record of the bridge and never raises."""

import hashlib
from collections.abc import Callable
from operator import attrgetter
from typing import Any

from enrichers.item_routes import ItemRoutes
from models.catalogue import Catalogue
from models.change import Control, Operation, SourceRow
from models.outcome import Dead
from models.routing import Route
from models.sources import adapters, dms, dynamodb
from models.sources.reading import PLAIN, Reading
from models.strict_json import lenient
from models.tables import TableSpec, key_values

REMEMBERED = 16_384
"""Rows of one table whose routes are kept: changes of one row come close together."""
TABLES = 32
"""Tables whose rows are remembered. A server may hold a schema for each of its tenants, with all tables in it."""


def route(
    data: bytes, partition_key: str, catalogue: Catalogue, adapter: str | None = None, reading: Reading = PLAIN
) -> Route:
    """Key of a record. What is no change of a known row keeps the partition key of its source. `adapter`: that of its
    source, if there is only one."""
    try:
        document = lenient(data)
        decoded = adapters.decode(document, adapter, reading)
    except (ValueError, RecursionError, OverflowError):
        return Route(key=_fallback(partition_key, data), adapter=adapter)
    match decoded:
        case Dead():
            return Route(key=_fallback(partition_key, data), adapter=adapter)
        case Control():
            return Route(key=_fallback(partition_key, data), adapter=adapter or adapters.adapter_of(document))
        case SourceRow():
            pass
    spec = catalogue.match(decoded.adapter, decoded.schema, decoded.table)
    if spec is None:
        return Route(key=_fallback(partition_key, data), adapter=decoded.adapter)
    key, retired = row_keys(spec, decoded)
    if key is None:
        return Route(key=_fallback(partition_key, data), adapter=decoded.adapter, table=spec.name)
    return Route(key, decoded.adapter, spec.name, retired)


def row_keys(spec: TableSpec, source: SourceRow) -> tuple[bytes | None, bytes | None]:
    """Entity key of the row, and that of the row it was if its key changed. None: no usable key values."""
    row = source.row or source.before or {}
    values = key_values(spec, row)
    if values is None:
        return None, None
    try:
        key = spec.row_key(source.schema, values)
        if source.operation is not Operation.UPDATE or not source.before:
            return key, None
        old = key_values(spec, source.before, instead=values)
        old_key = key if old is None else spec.row_key(source.schema, old)
    except (ValueError, TypeError, OverflowError):  # a lone surrogate in a key: the strict decoder refuses the record
        return None, None
    return key, old_key if old_key != key else None


class Router:
    """`route` for many records: of an ordinary one only the key columns are decoded, and rows are remembered.

    The answer is that of `route`, but for records that no decoder takes: there it may name the row, where `route` finds
    none. Records of Debezium and of DSQL have no short way."""

    def __init__(self, catalogue: Catalogue, adapter: str | None = None, reading: Reading = PLAIN) -> None:
        """`adapter`: that of the source, if there is only one; else each record tells."""
        self._reading = reading
        self._catalogue = catalogue
        self._adapter = adapter
        self._items = ItemRoutes(catalogue) if adapter in (None, dynamodb.ADAPTER) else None
        self._others = adapter not in (None, dms.ADAPTER)
        """None of the records is one of DMS."""
        self._glances: dict[tuple[str, ...], dms.Glance | None] = {}
        self._hints: dict[bytes, dms.Glance | None] = {}
        """By the likely name of a table. A wrong guess costs time: what was found says whose row it is."""
        self._only: dms.Glance | None = None
        """The one for all tables seen so far: as long as their key columns have the same names, nobody has to guess."""
        self._tables: dict[tuple[str | None, str], _Table | None] = {}
        self._shortened = 0
        """Of these, tables with rows."""

    def route(self, data: bytes, partition_key: str) -> Route:
        """See the function."""
        if self._others:
            found = self._items.route(data) if self._items is not None else None
            return found or route(data, partition_key, self._catalogue, self._adapter, self._reading)
        glance = self._only or self._guessed(data)
        if glance is not None and (found := glance(data)) is not None:
            metadata = found.metadata
            name = (metadata.schema_name, metadata.table_name)
            try:
                table = self._tables[name]
            except KeyError:
                table = self._table(*name)
            if table is not None and table.glance is glance:
                values = table.values(found.data)
                known = table.routes.get(values) or table.learn(values)
                if known is not None:
                    return known
        self._guessed(data)  # perhaps a table that is keyed in another way
        item = self._items.route(data) if self._items is not None else None
        return item or route(data, partition_key, self._catalogue, self._adapter, self._reading)

    def _guessed(self, data: bytes) -> "dms.Glance | None":
        hint = dms.table_hint(data)
        if not hint:
            return None
        try:
            return self._hints[hint]
        except KeyError:
            return self._learn(hint, data)

    def _learn(self, hint: bytes, data: bytes) -> "dms.Glance | None":
        """How the next records with this hint are looked at, by this one."""
        try:
            decoded = dms.decode(lenient(data), self._reading)
        except (ValueError, RecursionError, OverflowError):
            return None
        if not isinstance(decoded, SourceRow):
            return None
        spec = self._catalogue.match(decoded.adapter, decoded.schema, decoded.table)
        glance = self._glance(spec) if spec is not None else None
        if len(self._hints) < REMEMBERED:
            self._only = glance if not self._hints or glance is self._only else None
            self._hints[hint] = glance
        return glance

    def _glance(self, spec: TableSpec) -> "dms.Glance | None":
        columns = tuple(spec.key)
        if columns not in self._glances:
            try:
                self._glances[columns] = dms.glance_at(columns, self._reading)
            except ValueError:
                self._glances[columns] = None
        return self._glances[columns]

    def _table(self, schema: str | None, name: str) -> "_Table | None":
        spec = self._catalogue.match(dms.ADAPTER, schema or "", name)
        table = None
        if spec is not None and (glance := self._glance(spec)) is not None:
            table = _Table(spec, schema or "", glance)
        if table is None:
            if len(self._tables) < REMEMBERED:
                self._tables[schema, name] = None
        elif self._shortened < TABLES:
            self._shortened += 1
            self._tables[schema, name] = table
        return table


class _Table:
    """The rows of one table, by their key columns in the spelling of its spec."""

    def __init__(self, spec: TableSpec, schema: str, glance: dms.Glance) -> None:
        self.glance = glance
        self.values: Callable[[Any], Any] = attrgetter(*(f"k{place}" for place in range(len(spec.key))))
        """Of what a glance has found: the value of the key column, or a tuple of several."""
        self.routes: dict[Any, Route] = {}
        """Those that were asked for lately, by these values."""
        self._spec = spec
        self._schema = schema

    def learn(self, values: Any) -> Route | None:
        """The route of a row, to be remembered; None for values that are no key."""
        try:
            row = self._spec.row_key(self._schema, values if type(values) is tuple else (values,))
        except (ValueError, TypeError, OverflowError):
            return None
        found = Route(row, dms.ADAPTER, self._spec.name)
        if len(self.routes) >= REMEMBERED:
            self.routes.clear()
        self.routes[values] = found
        return found


def _fallback(partition_key: str, data: bytes) -> bytes:
    """A stream that distributes its records by itself (AUTO) may leave the partition key out: then the payload spreads
    them."""
    return partition_key.encode("utf-8", "replace") or hashlib.blake2b(data, digest_size=8).hexdigest().encode()
