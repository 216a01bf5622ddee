"""Which decoder reads a record: the one it says of itself, or the one its source is fixed to."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from models.change import Control, SourceRow
from models.outcome import Dead
from models.sources import debezium, dms, dsql, dynamodb
from models.sources.reading import PLAIN, Reading

Decoded = SourceRow | Control | Dead


@dataclass(frozen=True, slots=True)
class Adapter:
    """One format of change records."""

    recognises: Callable[[Mapping[str, Any]], bool]
    """Whether a JSON object says of itself that it is one; the first adapter that does has it."""
    decode: Callable[[Any, Reading], Decoded]
    """Any JSON value. Never raises for data."""
    tombstones: bool = False
    """A record without a byte follows a delete, and says nothing more."""


_ADAPTERS: Mapping[str, Adapter] = {
    dms.ADAPTER: Adapter(dms.recognises, dms.decode),
    dynamodb.ADAPTER: Adapter(dynamodb.recognises, lambda document, _: dynamodb.decode(document)),
    dsql.ADAPTER: Adapter(dsql.recognises, lambda document, _: dsql.decode(document)),
    debezium.ADAPTER: Adapter(debezium.recognises, lambda document, _: debezium.decode(document), tombstones=True),
    debezium.FLAT_ADAPTER: Adapter(
        debezium.recognises_flat, lambda document, _: debezium.decode_flat(document), tombstones=True
    ),
}


def adapter_of(document: Any) -> str | None:
    """Name of the adapter whose record this is; None if it looks like nobody's."""
    if type(document) is not dict:
        return None
    return next((name for name, adapter in _ADAPTERS.items() if adapter.recognises(document)), None)


def decode(document: Any, fixed: str | None = None, reading: Reading = PLAIN) -> Decoded:
    """Read one document. `fixed`: the adapter of its source, if there is only one; else the record tells, and what does
    not tell is read as DMS's. `reading`: what else is known of its source."""
    adapter = _ADAPTERS.get(fixed or "") or _ADAPTERS[adapter_of(document) or dms.ADAPTER]
    return adapter.decode(document, reading)


def is_tombstone(value: bytes, fixed: str | None) -> bool:
    """Whether a record holds nothing on purpose. Kinesis has no null: there its data is empty, which only a source that
    is fixed to an adapter with tombstones means."""
    adapter = _ADAPTERS.get(fixed or "")
    return not value and adapter is not None and adapter.tombstones
