"""The body of a control record of DMS: what it tells of the columns of a table. It is a hint; what cannot be read is
left out, and no type name is refused, for DMS has more of them than its guide lists.
"""

from collections.abc import Mapping
from typing import Any

from models.change import Control

ADAPTER = "dms"
MAX_COLUMNS = 4_096
"""More than any database of DMS allows for one table."""
_DROPS = frozenset({"drop-column", "dropcolumn", "rename-column", "renamecolumn"})
_COLUMN_PARTS = ("column-def", "columns")
_NAME_PARTS = ("column-name", "old-column-name", "column", "from")
_SIZES = ("length", "precision", "scale")


def control_of(body: Any, operation: str, schema: str, table: str, told_at: Any) -> Control:
    """`body`: the object under `control`, if there is one (IncludeControlDetails)."""
    described = body if type(body) is dict else {}
    definition = described.get("table-def")
    columns: dict[str, str] | None = None
    key: tuple[str, ...] = ()
    whole = False
    if type(definition) is dict:
        columns = _columns(definition.get("columns"))
        whole = columns is not None
        named = definition.get("primary-key")
        key = tuple(name for name in named if type(name) is str) if type(named) is list else ()
    if columns is None:
        columns = next((found for part in _COLUMN_PARTS if (found := _columns(described.get(part)))), None)
    drops = operation in _DROPS and not whole
    if drops:
        columns = None
    return Control(
        operation=operation,
        schema=schema,
        table=table,
        adapter=ADAPTER,
        told_at=told_at if type(told_at) is str else None,
        columns=columns,
        whole=whole,
        dropped=_dropped(described) if drops else (),
        primary_key=key,
    )


def _columns(described: Any) -> dict[str, str] | None:
    """Column -> type, of `{name: {"type": …, "length": …}}`; None for anything else."""
    if type(described) is not dict or not described or len(described) > MAX_COLUMNS:
        return None
    found = {name: _type(column) for name, column in described.items() if type(column) is dict and "type" in column}
    return found or None


def _type(column: Mapping[str, Any]) -> str:
    """`STRING(255)`, `NUMERIC(10,2)`."""
    sizes = ",".join(str(column[name]) for name in _SIZES if type(column.get(name)) is int)
    name = column["type"]
    return (name if type(name) is str else "?") + (f"({sizes})" if sizes else "")


def _dropped(described: Mapping[str, Any]) -> tuple[str, ...]:
    names = [described[part] for part in _NAME_PARTS if type(described.get(part)) is str]
    listed = described.get("columns")
    if type(listed) is dict or type(listed) is list:
        names += [name for name in listed if type(name) is str]
    return tuple(dict.fromkeys(names[:MAX_COLUMNS]))
