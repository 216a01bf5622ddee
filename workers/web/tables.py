"""Faust page `/tables/`: the tables of a stage, with keys and values masked (P6)."""

from typing import Any

import msgspec

from workers.engine.app import StageApp

MASK = "***"
SHOWN = 50


def add_tables_view(app: StageApp) -> None:
    """Register `/tables/` and `/tables/<name>/` on the stage's own Faust web app."""

    @app.page("/tables/")
    async def tables(web: Any, _request: Any) -> Any:
        return web.json(
            {
                name: {
                    "help": table.help,
                    "everywhere": table.is_global,
                    "entries": len(table.data),
                    "partitions": {
                        str(index): len(entries) for index, entries in sorted(table.data.partitions.items())
                    },
                }
                for name, table in app.tables.items()
            }
        )

    @app.page("/tables/{name}/")
    async def table(web: Any, _request: Any, name: str) -> Any:
        found = app.tables.get(name)
        if found is None:
            return web.json({"error": f"no table {name}", "tables": sorted(app.tables)}, status=404)
        entries = [{"key": masked_key(k), "value": masked(v)} for k, v in list(found.data.items())[:SHOWN]]
        return web.json({"table": name, "entries": len(found.data), "shown": len(entries), "sample": entries})


def masked_key(key: bytes) -> Any:
    """A row's key as `[schema, table, "***"…]`: where it comes from, not which row it is."""
    try:
        parts = msgspec.json.decode(key)
    except msgspec.MsgspecError:
        return MASK
    if not isinstance(parts, list) or len(parts) < 3:
        return MASK
    return [*parts[:2], *[MASK] * (len(parts) - 2)]


def masked(value: bytes) -> Any:
    """The names of a value's fields, without what is in them."""
    try:
        fields = msgspec.json.decode(value)
    except msgspec.MsgspecError:
        return MASK
    if not isinstance(fields, dict):
        return MASK
    return {name: None if content is None else MASK for name, content in fields.items()}
