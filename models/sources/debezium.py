"""Debezium: its envelope with and without schemas, and the flat rows of `ExtractNewRecordState`, to a SourceRow.

Shapes from the Debezium documentation (connectors for PostgreSQL and MySQL; "New Record State Extraction"):
`{before, after, source, op}`, wrapped as `{schema, payload}` by the JSON converter with schemas; flat rows carry their
metadata in columns that begin with `__`.
"""

import base64
import hashlib
import uuid
from collections.abc import Container, Mapping, Sequence
from typing import Any

from models.change import Control, Operation, Row, SourceRow, moment_text
from models.outcome import Dead, Failure
from models.sources.connect_types import Reader, read_row, row_reader
from models.sources.debezium_control import control_of

ADAPTER = "debezium"
FLAT_ADAPTER = "debezium-flat"
UNAVAILABLE = "__debezium_unavailable_value"
"""Stands in a row for a large column that did not change (PostgreSQL's TOAST) and is not in the log."""
_PACKED = base64.b64encode(UNAVAILABLE.encode()).decode()
_UUID = str(uuid.UUID(bytes=hashlib.md5(UNAVAILABLE.encode(), usedforsecurity=False).digest(), version=3))
_UNAVAILABLE: Mapping[type, Container[Any]] = {
    str: frozenset({UNAVAILABLE, _PACKED}),
    list: ([UNAVAILABLE], [*UNAVAILABLE.encode()], [_UUID], [_PACKED]),
    dict: ({UNAVAILABLE: UNAVAILABLE},),
}
"""As text, as bytes, as array of texts, integers, UUIDs and bytes, and as hstore, as they come: a schema may have the
integers read as days. Source: Debezium, `UnchangedToastedPlaceholder`."""
OPERATIONS: Mapping[str, Operation] = {
    "c": Operation.CREATE, "r": Operation.CREATE, "u": Operation.UPDATE, "d": Operation.DELETE,
}  # fmt: skip
SNAPSHOT = "r"
DELETED = "d"
CONTROLS: Mapping[str, str] = {"t": "truncate-table", "m": "message"}
"""Records about a table, or about none: a truncate, a logical message."""
_MARK = "__"
_SOURCE = "source_"
NANOSECONDS = {"ts_ns": 1, "ts_us": 1_000, "ts_ms": 1_000_000, "ts_sec": 1_000_000_000}
"""Commit time in `source`, the finest first; seconds are of Debezium before 1.0."""
_POSITIONS = (("lsn",), ("file", "pos", "row"), ("commit_lsn", "change_lsn", "event_serial_no"))
"""Of a change in the log of PostgreSQL, MySQL and SQL Server; parts of its name."""


def payload_of(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the JSON converter wrapped, or the document itself."""
    payload = document.get("payload")
    return payload if type(payload) is dict and "schema" in document and len(document) == 2 else document


def recognises(document: Mapping[str, Any]) -> bool:
    """Whether a JSON object says of itself that it is an envelope of Debezium."""
    payload = payload_of(document)
    source = payload.get("source")
    return (type(source) is dict and type(payload.get("op")) is str) or control_of(payload) is not None


def recognises_flat(document: Mapping[str, Any]) -> bool:
    """Whether a JSON object says of itself that it is a flat row of Debezium."""
    payload = payload_of(document)
    return "__op" in payload or "__deleted" in payload


def decode(document: Any) -> SourceRow | Control | Dead:
    """Read one envelope. Everything a source can get wrong comes back as Dead; reasons hold no values (P6)."""
    if type(document) is not dict:
        return Dead(Failure.PARSE_ERROR, "not a JSON object")
    payload = payload_of(document)
    word, source = payload.get("op"), payload.get("source")
    if type(source) is not dict or type(word) is not str:
        control = control_of(payload)
        return control or Dead(Failure.PARSE_ERROR, "no op and source: not an envelope of Debezium")
    images = _images(payload, document.get("schema")) if word not in CONTROLS else (None, None)
    if isinstance(images, Dead):
        return images
    before, after = images
    declared = row_fields(document.get("schema"), "after")
    return _told(ADAPTER, word, source, before, before if word == DELETED else after, "source.", declared)


def decode_flat(document: Any) -> SourceRow | Control | Dead:
    """Read one flat row; it needs `op` and `table` among the transform's `add.fields`."""
    if type(document) is not dict:
        return Dead(Failure.PARSE_ERROR, "not a JSON object")
    payload = payload_of(document)
    marks = {name[len(_MARK) :]: value for name, value in payload.items() if name.startswith(_MARK)}
    word = DELETED if marks.get("deleted") in ("true", True) else marks.get("op")
    if type(word) is not str:
        control = control_of(payload)
        return control or Dead(Failure.VALIDATION_ERROR, "no __op: add op to the add.fields of the transform")
    source = {name[len(_SOURCE) :]: value for name, value in marks.items() if name.startswith(_SOURCE)}
    # `__ts_ms` is when Debezium read the change, and another time when it reads it again: `__source_ts_ms` counts.
    timed = not NANOSECONDS.keys().isdisjoint(source)
    source = {name: value for name, value in marks.items() if not (timed and name in NANOSECONDS)} | source
    wrapper = document.get("schema") if payload is not document else None
    sent = {name: value for name, value in payload.items() if not name.startswith(_MARK)}
    row = read_row(_available(sent), row_reader(wrapper))
    if isinstance(row, str):
        return _not_as_declared(row)
    return _told(FLAT_ADAPTER, word, source, None, row, _MARK, _flat_fields(wrapper))


def _told(
    adapter: str, word: str, source: Mapping[str, Any], before: Row | None, row: Row | None, prefix: str,
    declared: Sequence[Any] | None,
) -> SourceRow | Control | Dead:  # fmt: skip
    """What both have in common. `prefix`: what stands in front of the names of `source` in the record, for reasons."""
    names = _names(source)
    if names is None:
        return Dead(Failure.VALIDATION_ERROR, f"{prefix}schema, {prefix}db or {prefix}table is not text")
    schema, table = names
    if word in CONTROLS:
        return Control(CONTROLS[word], schema, table)
    if not table:
        hint = ": add table to the add.fields of the transform" if prefix == _MARK else ""
        return Dead(Failure.VALIDATION_ERROR, f"{prefix}table is missing{hint}")
    committed = committed_at(source)
    if isinstance(committed, Dead):
        return committed
    transaction, snapshot = source.get("txId"), word == SNAPSHOT
    return SourceRow(
        adapter=adapter,
        schema=schema,
        table=table,
        operation=OPERATIONS.get(word, Operation.UNKNOWN),
        row=row,
        before=before,
        committed_at=committed,
        # What a snapshot reads has no place in the log of its own.
        identity=None if snapshot else _identity(source),
        # PostgreSQL's COPY and inserts of many rows write one entry of its log for all of them (debezium/dbz#1554).
        identity_needs_key=source.get("lsn") is not None,
        transaction_id=str(transaction) if type(transaction) in (int, str) else None,
        snapshot=snapshot,
        declared=declared,
    )


def committed_at(source: Mapping[str, Any]) -> str | Dead | None:
    """Commit time as text with microseconds, by the finest of its numbers; None if there is none."""
    for name, nanoseconds in NANOSECONDS.items():
        moment = source.get(name)
        if moment is not None:
            text = moment_text(moment * nanoseconds // 1_000) if type(moment) is int else None
            return text or Dead(Failure.VALIDATION_ERROR, f"source.{name} is no time since 1970")
    return None


def _names(source: Mapping[str, Any]) -> tuple[str, str] | None:
    """Schema and table. MySQL has no schemas: there its database is one."""
    found = [source.get("schema"), source.get("db"), source.get("table")]
    if any(name is not None and type(name) is not str for name in found):
        return None
    schema, database, table = found
    return schema or database or "", table or ""


def _images(payload: Mapping[str, Any], schema: Any) -> tuple[Row | None, Row | None] | Dead:
    found: dict[str, dict[str, Any] | None] = {}
    readers = {name: _readers(schema, name) for name in ("before", "after")}
    for name, reader in readers.items():
        image = payload.get(name)
        if image is None:
            found[name] = None
            continue
        if type(image) is not dict:
            return Dead(Failure.VALIDATION_ERROR, f"{name} is not an object")
        row = read_row(_available(image), reader)
        if isinstance(row, str):
            return _not_as_declared(row)
        found[name] = row
    before, after = found["before"], found["after"]
    if before and after is not None:
        # What did not change is what it was, if anybody says what that is.
        sent = payload["after"]
        after = after | {name: was for name, was in before.items() if name in sent and name not in after}
    return before, after


def _available(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if value not in _UNAVAILABLE.get(type(value), ())}


def _readers(schema: Any, image: str) -> dict[str, Reader]:
    fields = schema.get("fields") if type(schema) is dict else None
    if type(fields) is not list:
        return {}
    found = next((field for field in fields if type(field) is dict and field.get("field") == image), None)
    return row_reader(found)


def _flat_fields(schema: Any) -> Sequence[Any] | None:
    fields = schema.get("fields") if type(schema) is dict else None
    if type(fields) is not list:
        return None
    return [field for field in fields if type(field) is dict and not str(field.get("field")).startswith(_MARK)]


def row_fields(schema: Any, image: str) -> Sequence[Any] | None:
    """Fields of one image's schema; None if there is none."""
    images = schema.get("fields") if type(schema) is dict else None
    if type(images) is not list:
        return None
    found = next((field for field in images if type(field) is dict and field.get("field") == image), None)
    fields = found.get("fields") if found is not None else None
    return fields if type(fields) is list else None


def _not_as_declared(column: str) -> Dead:
    return Dead(Failure.VALIDATION_ERROR, f"column {column} is not what its schema says")


def _identity(source: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Connector and place in its log, which a change keeps when it is sent again."""
    named = [source.get("connector"), source.get("name")]
    for position in _POSITIONS:
        parts = named + [source.get(name) for name in position]
        if all(type(part) in (int, str) and part != "" for part in parts):
            return tuple(str(part) for part in parts)
    return None
