"""Route: source bytes -> the key of the row they change. Runs for every record of the bridge and never raises."""

import hashlib

from models.catalogue import Catalogue
from models.change import Control, Operation, SourceRow
from models.outcome import Dead
from models.routing import Route
from models.sources import dms
from models.strict_json import lenient
from models.tables import TableSpec, key_values


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


def _fallback(partition_key: str, data: bytes) -> bytes:
    """A stream that distributes its records by itself (AUTO) may leave the partition key out: then the payload spreads
    them."""
    return partition_key.encode("utf-8", "replace") or hashlib.blake2b(data, digest_size=8).hexdigest().encode()
