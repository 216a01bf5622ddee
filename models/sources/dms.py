"""AWS DMS on Kinesis (and on Kafka, same JSON): one document to a SourceRow, or a control record.

Shapes from captures and the DMS guide: `data` (the row), a before image (an object under the task's FieldName,
usually `before-image`, or `BI_` columns inside `data`), `metadata` in kebab-case, `control` for DDL.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from models.change import Control, Operation, Row, SourceRow
from models.outcome import Dead, Failure
from models.sources.dms_control import control_of

ADAPTER = "dms"
BEFORE_FIELD = "before-image"
BEFORE_PREFIX = "BI_"
DOCUMENT_COLUMN = "_doc"
"""`map-record-to-document` nests the row under this column."""

OPERATIONS: Mapping[str, Operation] = {
    # What DMS sends, then what its guide says it sends.
    "load": Operation.CREATE,
    "insert": Operation.CREATE,
    "update": Operation.UPDATE,
    "delete": Operation.DELETE,
    "create": Operation.CREATE,
    "read": Operation.CREATE,
}
_WITHOUT_BEFORE = frozenset(word for word, operation in OPERATIONS.items() if operation is not Operation.UPDATE)
SNAPSHOT_OPERATIONS = frozenset({"load", "read"})
_DDL = (
    "create-table", "drop-table", "rename-table", "truncate-table",
    "add-column", "drop-column", "rename-column", "change-columns", "column-type-change",
)  # fmt: skip
CONTROL_OPERATIONS = frozenset(_DDL) | {word.replace("-", "") for word in _DDL}
_PARTS = frozenset({"data", "metadata", "control"})


class _Metadata(msgspec.Struct, rename="kebab", gc=False):
    operation: str
    table_name: str
    record_type: str
    schema_name: str | None = None
    commit_timestamp: str | None = None
    timestamp: str | None = None


_TABLE_NAME = b'"table-name"'

Glance = Callable[[bytes], Any]
"""Look at an ordinary data record without decoding its row. The answer has `metadata`, and `data` and `before` with the
key columns alone (`before` may be UNSET); None for whatever `decode` might read in another way, or with another key."""


def glance_at(columns: Sequence[str]) -> Glance:
    """For tables with these key columns. Raises ValueError for names that JSON has to escape, or that `decode` takes
    for something else."""
    if any(column.startswith(BEFORE_PREFIX) or column == DOCUMENT_COLUMN for column in columns):
        raise ValueError("a key column with the name of a before image, or of a document")
    key = msgspec.defstruct(
        "Key",
        [
            *((f"k{place}", int | str, msgspec.field(name=name)) for place, name in enumerate(columns)),
            ("document", msgspec.Raw | msgspec.UnsetType, msgspec.field(name=DOCUMENT_COLUMN, default=msgspec.UNSET)),
        ],
        gc=False,
    )
    before = msgspec.field(name=BEFORE_FIELD, default=msgspec.UNSET)
    kind = msgspec.defstruct(
        "Glance",
        [("metadata", _Metadata), ("data", key), ("before", key | msgspec.UnsetType, before)],
        forbid_unknown_fields=True,
        gc=False,
    )
    read: Glance = msgspec.json.Decoder(kind).decode

    def glance(data: bytes) -> Any:
        try:
            found = read(data)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return None
        metadata = found.metadata
        if metadata.record_type != "data" or not metadata.table_name or found.data.document is not msgspec.UNSET:
            return None
        if found.before is msgspec.UNSET:
            # An update may have its before image as columns; their names may be escaped.
            if metadata.operation not in _WITHOUT_BEFORE and (b"BI_" in data or (b"\\" in data and b"\\u00" in data)):
                return None
        elif found.before != found.data:  # another key, or the same one in another spelling
            return None
        return found

    return glance


def table_hint(data: bytes) -> bytes:
    """Most likely the name of the table, found without decoding anything: for guesses that are looked at again. Empty
    if there seems to be none."""
    found = data.rfind(_TABLE_NAME)
    if found < 0:
        return b""
    start = data.find(b'"', found + len(_TABLE_NAME)) + 1
    return data[start : data.find(b'"', start)]


def recognises(document: Mapping[str, Any]) -> bool:
    """Whether a JSON object says of itself that it comes from DMS."""
    return type(document.get("metadata")) is dict


def decode(document: Any) -> SourceRow | Control | Dead:
    """Read one document. Everything a source can get wrong comes back as Dead; reasons hold no values (P6)."""
    if type(document) is not dict:
        return Dead(Failure.PARSE_ERROR, "not a JSON object")
    metadata = document.get("metadata")
    if type(metadata) is not dict:
        return Dead(Failure.PARSE_ERROR, "no metadata object: not a DMS record")
    names = {name: metadata.get(name, "") for name in ("operation", "schema-name", "table-name", "record-type")}
    for name, value in names.items():
        if type(value) is not str and not (value is None and name in ("schema-name", "record-type")):
            return Dead(Failure.VALIDATION_ERROR, f"metadata.{name} is not text")
    schema, table = names["schema-name"] or "", names["table-name"]
    word = names["operation"].lower()
    if _is_control(document, names["record-type"] or "", word):
        return control_of(document.get("control"), word, schema, table, metadata.get("timestamp"))
    if not table:
        return Dead(Failure.VALIDATION_ERROR, "metadata.table-name is missing")
    row = document.get("data")
    if row is not None and type(row) is not dict:
        return Dead(Failure.VALIDATION_ERROR, "data is not an object")
    operation = OPERATIONS.get(word, Operation.UNKNOWN)
    before: Row | None = _before_object(document)
    if row is not None:
        nested = row.get(DOCUMENT_COLUMN)
        if type(nested) is dict:
            row = {**{name: value for name, value in row.items() if name != DOCUMENT_COLUMN}, **nested}
        if before is None:
            row, before = _split_before_columns(row, operation)
    committed = metadata.get("commit-timestamp") or metadata.get("timestamp")
    if committed is not None and type(committed) is not str:
        return Dead(Failure.VALIDATION_ERROR, "metadata.commit-timestamp is not text")
    transaction = metadata.get("transaction-id")
    return SourceRow(
        adapter=ADAPTER,
        schema=schema,
        table=table,
        operation=operation,
        row=row,
        before=before,
        committed_at=committed,
        identity=_identity(metadata),
        transaction_id=None if transaction is None or type(transaction) in (dict, list) else str(transaction),
        snapshot=word in SNAPSHOT_OPERATIONS,
    )


def _is_control(document: dict[str, Any], record_type: str, word: str) -> bool:
    if record_type:
        return record_type.lower() == "control"
    return "control" in document or word in CONTROL_OPERATIONS


def _before_object(document: dict[str, Any]) -> Row | None:
    """The before image under the task's FieldName: whatever object stands beside data, metadata and control."""
    before = document.get(BEFORE_FIELD)
    if type(before) is dict:
        return before
    if len(document) > 2:
        others = [item for name, item in document.items() if name not in _PARTS and type(item) is dict]
        if len(others) == 1:
            found: Row = others[0]
            return found
    return None


def _split_before_columns(row: dict[str, Any], operation: Operation) -> tuple[dict[str, Any], Row | None]:
    """Take `BI_` columns out of a row, if the task adds them: then at least one stands beside its own column."""
    named = [name for name in row if name.startswith(BEFORE_PREFIX)]
    width = len(BEFORE_PREFIX)
    if not any(name[width:] in row for name in named):
        return row, None
    if operation is Operation.CREATE and any(row[name] is not None for name in named):
        return row, None  # a new row has no before image: these are columns of their own
    before = {name[width:]: row[name] for name in named}
    after = {name: value for name, value in row.items() if not name.startswith(BEFORE_PREFIX)}
    return after, (before if operation is not Operation.CREATE else None)


def _identity(metadata: dict[str, Any]) -> tuple[str, ...] | None:
    """DMS names a change only if all three are there; less may name two changes alike."""
    parts = [metadata.get(name) for name in ("stream-position", "transaction-id", "transaction-record-id")]
    if any(part is None or part == "" or type(part) in (dict, list) for part in parts):
        return None
    return tuple(str(part) for part in parts)
