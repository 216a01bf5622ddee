"""Which table a record belongs to, by the name of its spec: asked of every record while a table is paused."""

from collections.abc import Callable
from typing import Any

import msgspec

from enrichers.routing import route
from models.catalogue import Catalogue
from models.raw import HEADER_ADAPTER, HEADER_TABLE

TableOf = Callable[[Any], str | None]


class _Event(msgspec.Struct, rename="camel"):
    entity_type: str | None = None


_event = msgspec.json.Decoder(_Event)


def table_of_raw(catalogue: Catalogue) -> TableOf:
    """Of raw records and of redriven ones, which have the same headers. None: of no known table."""

    def table_of(record: Any) -> str | None:
        found = dict(record.headers or ())
        named = found.get(HEADER_TABLE)
        if named is not None:
            return bytes(named).decode("utf-8", "replace")
        if record.value is None:
            return None
        # The bridge did not know the table when it forwarded the record.
        adapter = found.get(HEADER_ADAPTER, b"").decode("utf-8", "replace") or None
        return route(record.value, "", catalogue, adapter).table

    return table_of


def table_of_event(record: Any) -> str | None:
    """Of records of `cdc.events`: the entity type is the name of the spec."""
    try:
        return _event.decode(record.value or b"").entity_type
    except (msgspec.MsgspecError, RecursionError):
        return None
