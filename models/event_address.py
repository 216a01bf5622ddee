"""Source and detail type of entries, and what a bus takes of them. Source: EventBridge API reference, PutEvents."""

from collections.abc import Iterable, Iterator

from models.tables import TABLE_CHANGE, TableSpec

MAX_DETAIL_TYPE = 128
"""Characters."""
MAX_SOURCE = 256
"""Characters. A classic bus names no limit; a Custom Event Bus has this one."""
RESERVED = "aws."
"""Sources that begin so are AWS's own."""


def source_of(prefix: str, entity_type: str) -> str:
    """Source of a table's entries."""
    return f"{prefix}.{entity_type}"


def source_mistake(prefix: str) -> str | None:
    """Why no event could be sent with this EVENT_SOURCE, in words without its value."""
    if not prefix.strip():
        return "EVENT_SOURCE is empty"
    if f"{prefix}.".lower().startswith(RESERVED):
        return "EVENT_SOURCE: sources that begin with aws. are AWS's own"
    if len(prefix) >= MAX_SOURCE - 1:
        return f"EVENT_SOURCE has {len(prefix)} characters; with the name of a table, {MAX_SOURCE} are taken"
    return None


def address_mistake(prefix: str, entity_type: str, detail_type: str) -> str | None:
    """Why a bus takes no event of this table and type, in words without values."""
    if not 1 <= len(detail_type) <= MAX_DETAIL_TYPE:
        return f"its detail type has {len(detail_type)} characters, a bus takes {MAX_DETAIL_TYPE}: shorten event_types"
    length = len(source_of(prefix, entity_type))
    if length > MAX_SOURCE:
        return f"its source has {length} characters, a bus takes {MAX_SOURCE}: shorten EVENT_SOURCE or the table's name"
    return source_mistake(prefix)


def mistakes_of(prefix: str, specs: Iterable[TableSpec]) -> Iterator[tuple[str, str]]:
    """(table, mistake) of tables whose events no bus takes, each mistake once."""
    for spec in specs:
        style = spec.detail_type_style
        types = {TABLE_CHANGE if style == "table-change" else spec.event_type(one) for one in spec.operations}
        found = (address_mistake(prefix, spec.name, detail_type) for detail_type in sorted(types))
        yield from ((spec.name, mistake) for mistake in dict.fromkeys(found) if mistake is not None)
