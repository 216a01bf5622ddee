"""Tables as change records of any adapter show them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from models.change import Control, Operation, SourceRow
from models.documents import pieces
from models.kinesis_event import deliveries
from models.outcome import Dead
from models.routing import key_text
from models.source_spec import Adapter
from models.sources import adapters, dms, dynamodb
from models.strict_json import JsonError, decode
from models.tables import ColumnType
from workers.drafts.seen import SeenTable

DMS_TABLES = "awsdms_"
"""Tables that DMS keeps for itself in the target."""
BY_CONTROL = "told by the control record of the table"
BY_SOURCE = "told by the keys of its records"
BY_PARTITION = "told by the partition keys of its records"
BY_SCHEMA = "the only column that is never null?"
BY_DELETE = "by what a deleted row still tells?"

_TYPES: tuple[tuple[str, ColumnType | None], ...] = (
    ("INT", ColumnType.INT), ("UINT", ColumnType.INT), ("NUMERIC", ColumnType.DECIMAL), ("REAL", ColumnType.DECIMAL),
    ("BOOL", ColumnType.BOOL), ("STRING", ColumnType.TEXT), ("WSTRING", ColumnType.TEXT), ("CLOB", ColumnType.TEXT),
    ("NCLOB", ColumnType.TEXT), ("DATETIME", ColumnType.TIMESTAMP), ("TIMESTAMP", ColumnType.TIMESTAMP),
    ("DATE", ColumnType.TIMESTAMP), ("TIME", ColumnType.TEXT),
)  # fmt: skip
"""DMS's own types, by their first letters."""


@dataclass(slots=True)
class Observation:
    """Everything seen so far. `unread`: records that are none, or cannot be read."""

    adapter: Adapter | None = None
    tables: dict[tuple[str, str], SeenTable] = field(default_factory=dict)
    records: int = 0
    unread: int = 0
    _partition_values: dict[tuple[str, str], list[tuple[Mapping[str, Any], str]]] = field(default_factory=dict)

    def look(self, data: bytes) -> None:
        """Take up a file: JSON documents in any arrangement, or Lambda events."""
        for place, piece in enumerate(pieces(data)):
            for delivery in deliveries(piece.content, str(place)):
                self.records += 1
                if isinstance(delivery.content, Dead):
                    self.unread += 1
                else:
                    self._record(delivery.content, delivery.partition_key)

    def found(self) -> list[SeenTable]:
        """The tables with columns, each with the key that its records tell, if they do."""
        for place, seen in self._partition_values.items():
            table = self.tables[place]
            fitting = [
                name for name in table.columns
                if all(_is_value(row, name, value) for row, value in seen) and any(name in row for row, _ in seen)
            ]  # fmt: skip
            if len(fitting) == 1:
                table.tell_key(fitting, BY_PARTITION)
        return [
            table for table in self.tables.values() if table.columns and not table.table.startswith(DMS_TABLES)
        ]  # fmt: skip

    def _record(self, content: bytes, partition_key: str) -> None:
        try:
            document = decode(content)
        except JsonError:
            self.unread += 1
            return
        match adapters.decode(document, self.adapter):
            case Dead():
                self.unread += 1
            case Control(schema=schema, table=table):
                self._control(schema, table, document)
            case SourceRow() as row:
                self._row(row, document, partition_key)

    def _control(self, schema: str, table: str, document: Any) -> None:
        definition = _inside(document, "control", "table-def")
        described = definition.get("columns")
        if not table or not isinstance(described, dict):
            return
        seen = self._table(schema, table)
        seen.declare({name: _declared(column) for name, column in described.items()})
        key = definition.get("primary-key")
        if isinstance(key, list):
            seen.tell_key([name for name in key if isinstance(name, str)], BY_CONTROL)

    def _row(self, row: SourceRow, document: Any, partition_key: str) -> None:
        seen = self._table(row.schema, row.table)
        seen.look(row.row, row.before)
        if row.adapter == dynamodb.ADAPTER:
            seen.tell_key(_inside(document, "dynamodb", "Keys"), BY_SOURCE)
        seen.tell_key(_key_object(partition_key, seen), BY_PARTITION)
        if row.adapter == dms.ADAPTER:
            metadata = _inside(document, "metadata")
            value = metadata.get("partition-key-value")
            if metadata.get("partition-key-type") == "primary-key" and isinstance(value, str):
                value = value.removeprefix(f"{row.schema}.{row.table}.")
                self._partition_values.setdefault((row.schema, row.table), []).append((row.row or {}, value))
        never_null = list(_never_null(document))
        if len(never_null) == 1:
            seen.tell_key(never_null, BY_SCHEMA)
        if row.operation is Operation.DELETE and row.adapter != dms.ADAPTER:
            told = [name for name, value in (row.before or {}).items() if value is not None]
            if 0 < len(told) < len(seen.columns):
                seen.tell_key(told, BY_DELETE)

    def _table(self, schema: str, table: str) -> SeenTable:
        return self.tables.setdefault((schema, table), SeenTable(schema, table))


def _inside(document: Any, *names: str) -> Mapping[str, Any]:
    for name in names:
        document = document.get(name) if isinstance(document, dict) else None
    return document if isinstance(document, dict) else {}


def _declared(column: Any) -> ColumnType | None:
    text = column.get("type") if isinstance(column, dict) else None
    if not isinstance(text, str):
        return None
    return next((kind for start, kind in sorted(_TYPES, reverse=True) if text.upper().startswith(start)), None)


def _is_value(row: Mapping[str, Any], name: str, value: str) -> bool:
    found = row.get(name)
    return name not in row or (not isinstance(found, list | dict | type(None)) and key_text(found) == value)


def _never_null(document: Any) -> Iterator[str]:
    """Columns that the schema of Kafka Connect in the record does not allow to be null."""
    fields = _inside(document, "schema").get("fields")
    for image in fields if isinstance(fields, list) else ():
        columns = image.get("fields") if isinstance(image, dict) and image.get("field") == "after" else None
        for column in columns if isinstance(columns, list) else ():
            if isinstance(column, dict) and column.get("optional") is False and isinstance(column.get("field"), str):
                yield column["field"]


def _key_object(partition_key: str, seen: SeenTable) -> Iterator[str]:
    """Debezium Server writes the key of the row there, as JSON."""
    if not partition_key.startswith("{"):
        return
    try:
        document = decode(partition_key.encode())
    except (JsonError, UnicodeEncodeError):
        return
    payload = _inside(document, "payload") or document
    if all(name in seen.columns for name in payload):
        yield from payload
