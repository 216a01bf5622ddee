"""The built-in tables as PostgreSQL knows them, made from their specs: the two cannot drift apart.

`python -m sandbox.telephony_tables coredb` writes deploy/compose/coredb.sql.
"""

import sys
from collections.abc import Iterator

from models.catalogue import TELEPHONY
from models.tables import ColumnType, TableSpec

SCHEMA = "core"
TYPES = {
    ColumnType.INT: "bigint",
    ColumnType.TEXT: "text",
    ColumnType.BOOL: "boolean",
    ColumnType.TIMESTAMP: "timestamptz",
    ColumnType.DECIMAL: "numeric",
    ColumnType.JSON: "jsonb",
    ColumnType.ANY: "text",
}


def statements(schema: str = SCHEMA) -> Iterator[str]:
    """DDL that makes the schema and every built-in table in it."""
    yield f"CREATE SCHEMA {quoted(schema)}"
    for spec in TELEPHONY:
        yield create_table(spec, schema)


def create_table(spec: TableSpec, schema: str) -> str:
    """CREATE TABLE of one spec, with its types, its primary key and what it requires."""
    columns = [
        f"{quoted(name)} {TYPES[kind]}" + (" NOT NULL" if name in spec.required else "")
        for name, kind in spec.columns.items()
    ]
    key = ", ".join(map(quoted, spec.key))
    return f"CREATE TABLE {quoted(schema)}.{quoted(spec.table)} ({', '.join(columns)}, PRIMARY KEY ({key}))"


def quoted(name: str) -> str:
    """An SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def script(database: str, schema: str = SCHEMA) -> str:
    """The same as one SQL file, for an empty database of this name; it finds the tables without a schema, too."""
    path = f"ALTER DATABASE {quoted(database)} SET search_path = {schema}, public"
    return "".join(f"{statement};\n" for statement in (path, *statements(schema)))


if __name__ == "__main__":
    sys.stdout.write(script(sys.argv[1]))
