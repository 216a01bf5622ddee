"""Route: source bytes -> the key of the row they change. Runs for every record of the bridge and never raises."""

import hashlib
from typing import Any

import msgspec

from models.catalogue import Catalogue
from models.change import Control, Operation, SourceRow
from models.outcome import Dead
from models.routing import Route
from models.sources import dms
from models.strict_json import lenient
from models.tables import TableSpec, key_values

REMEMBERED = 16_384
"""Rows of one table whose routes are kept: changes of one row come close together."""


def route(data: bytes, partition_key: str, catalogue: Catalogue) -> Route:
    """Key of a record. What is no change of a known row keeps the partition key of its source."""
    try:
        decoded = dms.decode(lenient(data))
    except (ValueError, RecursionError, OverflowError):
        return Route(key=_fallback(partition_key, data))
    match decoded:
        case Dead():
            return Route(key=_fallback(partition_key, data))
        case Control():
            return Route(key=_fallback(partition_key, data), adapter=dms.ADAPTER)
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

    The answer is that of `route`, but for bytes that no decoder takes: there it may name the row, where `route` finds
    none."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._tables: dict[tuple[str | None, str], _Table | None] = {}

    def route(self, data: bytes, partition_key: str) -> Route:
        """See the function."""
        found = dms.glance(data)
        if found is not None:
            metadata = found.metadata
            name = (metadata.schema_name, metadata.table_name)
            try:
                table = self._tables[name]
            except KeyError:
                table = self._table(*name)
            if table is not None and (known := table.route(found)) is not None:
                return known
        return route(data, partition_key, self._catalogue)

    def _table(self, schema: str | None, name: str) -> "_Table | None":
        spec = self._catalogue.match(dms.ADAPTER, schema or "", name)
        table = None
        if spec is not None:
            try:
                table = _Table(spec, schema or "")
            except ValueError:  # a column whose name JSON has to escape
                table = None
        if len(self._tables) < REMEMBERED:
            self._tables[schema, name] = table
        return table


class _Table:
    """The key columns of one table in the spelling of its spec. Whatever is spelled or typed in another way, or changes
    its key, is left to `route`."""

    def __init__(self, spec: TableSpec, schema: str) -> None:
        self._spec = spec
        self._schema = schema
        names = [(f"k{place}", column) for place, column in enumerate(spec.key)]
        self._decode = msgspec.json.Decoder(
            msgspec.defstruct("Key", [(field, int | str, msgspec.field(name=name)) for field, name in names], eq=True)
        ).decode
        self._values = (
            (lambda key: key.k0) if len(names) == 1 else (lambda key: tuple(getattr(key, field) for field, _ in names))
        )
        self._routes: dict[Any, Route] = {}

    def route(self, found: dms.Glance) -> Route | None:
        try:
            key = self._decode(found.data)
            if found.before is not msgspec.UNSET and self._decode(found.before) != key:
                return None
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return None
        values = self._values(key)
        known = self._routes.get(values)
        if known is None:
            try:
                row = self._spec.row_key(self._schema, values if type(values) is tuple else (values,))
            except (ValueError, TypeError, OverflowError):
                return None
            known = Route(row, dms.ADAPTER, self._spec.name)
            if len(self._routes) >= REMEMBERED:
                self._routes.clear()
            self._routes[values] = known
        return known


def _fallback(partition_key: str, data: bytes) -> bytes:
    """A stream that distributes its records by itself (AUTO) may leave the partition key out: then the payload spreads
    them."""
    return partition_key.encode("utf-8", "replace") or hashlib.blake2b(data, digest_size=8).hexdigest().encode()
