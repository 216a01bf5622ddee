"""AWS DMS on Kinesis (and on Kafka, same JSON): one document to a SourceRow, or a control record.

Shapes from captures and the DMS guide: `data` (the row), a before image (an object under the task's FieldName,
usually `before-image`, or `BI_` columns inside `data`), `metadata` in kebab-case, `control` for DDL. What of
this a task may set otherwise is its source's Reading (docs/decisions/0029).
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal

import msgspec

from models.change import Control, Operation, Row, SourceRow
from models.outcome import Dead, Failure
from models.sources.dms_control import control_of
from models.sources.reading import PLAIN, Reading

ADAPTER = "dms"
BEFORE_FIELD = "before-image"
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
_NESTED = frozenset({dict, list})
PARTS = frozenset({"data", "metadata", "control"})
"""Of a document; a before image has another name."""


class _Metadata(msgspec.Struct, rename="kebab", gc=False):
    operation: str
    table_name: Annotated[str, msgspec.Meta(min_length=1)]
    record_type: Literal["data"]
    schema_name: str | None = None
    commit_timestamp: str | None = None
    timestamp: str | None = None


_TABLE_NAME = b'"table-name"'

Glance = Callable[[bytes], Any]
"""Look at an ordinary data record without decoding its row. The answer has `metadata`, and `data` and `before` with the
key columns alone (`before` may be UNSET); None for whatever `decode` might read in another way, or with another key."""


def glance_at(columns: Sequence[str], reading: Reading = PLAIN) -> Glance:
    """For tables with these key columns. Raises ValueError for names that JSON has to escape, or that `decode` takes
    for something else."""
    if any(reading.column_before(column) is not None or column == DOCUMENT_COLUMN for column in columns):
        raise ValueError("a key column with the name of a before image, or of a document")
    key = msgspec.defstruct(
        "Key",
        [
            *((f"k{place}", int | str, msgspec.field(name=name)) for place, name in enumerate(columns)),
            ("document", None, msgspec.field(name=DOCUMENT_COLUMN, default=None)),
        ],
        gc=False,
    )
    before = msgspec.field(name=reading.before_image or BEFORE_FIELD, default=msgspec.UNSET)
    kind = msgspec.defstruct(
        "Glance",
        [("metadata", _Metadata), ("data", key), ("before", key | msgspec.UnsetType, before)],
        forbid_unknown_fields=True,
        gc=False,
    )
    read: Glance = msgspec.json.Decoder(kind).decode
    mark = (reading.before_prefix or reading.before_suffix).encode()
    marked = re.compile(re.escape(mark)).search  # twice as fast as `in` (measured)
    unset = msgspec.UNSET

    def glance(data: bytes) -> Any:
        # Called for every record: what can be refused by the types above is not looked at here.
        try:
            found = read(data)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return None
        before = found.before
        if before is unset:
            # An update may have its before image as columns; their names may be escaped.
            may_hold = mark and found.metadata.operation not in _WITHOUT_BEFORE
            if may_hold and (marked(data) or (b"\\" in data and b"\\u00" in data)):
                return None
        elif before != found.data:  # another key, or the same one in another spelling
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


def decode(document: Any, reading: Reading = PLAIN) -> SourceRow | Control | Dead:
    """Read one document. Everything a source can get wrong comes back as Dead; reasons hold no values (P6)."""
    if type(document) is not dict:
        return Dead(Failure.PARSE_ERROR, "not a JSON object")
    metadata = document.get("metadata")
    if type(metadata) is not dict:
        return Dead(Failure.PARSE_ERROR, "no metadata object: not a DMS record")
    get = metadata.get
    word, table = get("operation", ""), get("table-name", "")
    schema, kind = get("schema-name"), get("record-type")
    schema, kind = "" if schema is None else schema, "" if kind is None else kind
    if not type(word) is type(table) is type(schema) is type(kind) is str:
        return Dead(Failure.VALIDATION_ERROR, f"metadata.{_no_text(metadata)} is not text")
    word = word.lower()
    if kind != "data" and _is_control(document, kind, word):
        return control_of(document.get("control"), word, schema, table, metadata.get("timestamp"))
    if not table:
        return Dead(Failure.VALIDATION_ERROR, "metadata.table-name is missing")
    row = document.get("data")
    if row is not None and type(row) is not dict:
        return Dead(Failure.VALIDATION_ERROR, "data is not an object")
    operation = OPERATIONS.get(word, Operation.UNKNOWN)
    if row is not None:
        row = _flat(row)
    before = _before_object(document, row or {}, operation, reading)
    if row is not None and before is None:
        row, before = _split_before_columns(row, operation, reading)
    committed = get("commit-timestamp") or get("timestamp")
    if committed is not None and type(committed) is not str:
        return Dead(Failure.VALIDATION_ERROR, "metadata.commit-timestamp is not text")
    transaction = get("transaction-id")
    return SourceRow(
        adapter=ADAPTER,
        schema=schema,
        table=table,
        operation=operation,
        row=row,
        before=before,
        committed_at=committed,
        identity=_identity(metadata),
        transaction_id=None if transaction in (None, "") or type(transaction) in (dict, list) else str(transaction),
        snapshot=word in SNAPSHOT_OPERATIONS,
    )


def _no_text(metadata: dict[str, Any]) -> str:
    """Which of the four names is no text; two of them may be null."""
    may_be_null = ("schema-name", "record-type")
    for name in ("operation", "schema-name", "table-name"):
        value = metadata.get(name, "")
        if type(value) is not str and (value is not None or name not in may_be_null):
            return name
    return "record-type"


def _is_control(document: dict[str, Any], record_type: str, word: str) -> bool:
    if record_type:
        return record_type.lower() == "control"
    return ("control" in document and word not in OPERATIONS) or word in CONTROL_OPERATIONS


def _before_object(document: dict[str, Any], row: Row, operation: Operation, reading: Reading) -> Row | None:
    """The before image under the task's FieldName. If nobody says which that is: what stands beside data, metadata and
    control and looks like the row. A relay may have put objects of its own there."""
    before = document.get(reading.before_image or BEFORE_FIELD)
    if type(before) is dict:
        return _flat(before)
    if reading.before_image is None and operation is Operation.UPDATE and len(document) > 2:
        others = [item for name, item in document.items() if name not in PARTS and type(item) is dict]
        alike = [item for item in others if item and 2 * len(item.keys() & row.keys()) >= len(item)]
        if len(alike) == 1:
            return _flat(alike[0])
    return None


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    """The row without the document that `map-record-to-document` made of it."""
    nested = row.get(DOCUMENT_COLUMN)
    if type(nested) is not dict:
        return row
    return {**{name: value for name, value in row.items() if name != DOCUMENT_COLUMN}, **nested}


def _split_before_columns(
    row: dict[str, Any], operation: Operation, reading: Reading
) -> tuple[dict[str, Any], Row | None]:
    """Take the before image's columns out of a row, if the task adds them: then at least one stands beside its own."""
    prefix = reading.before_prefix
    named = {name: column for name in row if name.startswith(prefix) and (column := reading.column_before(name))}
    if not any(column in row for column in named.values()):
        return row, None
    if operation is Operation.CREATE and any(row[name] is not None for name in named):
        return row, None  # a new row has no before image: these are columns of their own
    before = {column: row[name] for name, column in named.items()}
    after = {name: value for name, value in row.items() if name not in named}
    return after, (before if operation is not Operation.CREATE else None)


def _identity(metadata: dict[str, Any]) -> tuple[str, ...] | None:
    """DMS names a change only if all three are there; less may name two changes alike."""
    get = metadata.get
    parts = (get("stream-position"), get("transaction-id"), get("transaction-record-id"))
    if None in parts or "" in parts or not _NESTED.isdisjoint(map(type, parts)):
        return None
    return tuple(map(str, parts))
