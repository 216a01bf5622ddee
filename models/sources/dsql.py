"""Aurora DSQL's change records on Kinesis: like Debezium's envelope, from `source.cluster`, to a SourceRow.

Shapes from the Aurora DSQL guide ("Understanding CDC records"): `type` is `full` for a whole record; a large one comes
as several Kinesis records. Records are delivered at least once, in no order; a transaction has one of each row that it
changed, with what came of it.
"""

from collections.abc import Mapping
from typing import Any

from models.change import Operation, SourceRow
from models.outcome import Dead, Failure
from models.sources.debezium import NANOSECONDS, committed_at

ADAPTER = "dsql"
FULL = "full"
FRAGMENT = "fragment"
"""A piece of an image that a record of the type `chunked` names; it has no source of its own."""
OPERATIONS: Mapping[str, Operation] = {"c": Operation.CREATE, "u": Operation.UPDATE, "d": Operation.DELETE}


def recognises(document: Mapping[str, Any]) -> bool:
    """Whether a JSON object says of itself that it comes from Aurora DSQL."""
    source, kind = document.get("source"), document.get("type")
    if kind == FRAGMENT and "chunk_id" in document:
        return True
    return type(kind) is str and type(source) is dict and "cluster" in source


def decode(document: Any) -> SourceRow | Dead:
    """Read one document. Everything a source can get wrong comes back as Dead; reasons hold no values (P6)."""
    if type(document) is not dict:
        return Dead(Failure.PARSE_ERROR, "not a JSON object")
    source, word, kind = document.get("source"), document.get("op"), document.get("type")
    if type(source) is not dict and kind in (FULL, None):
        return Dead(Failure.PARSE_ERROR, "no source object: not a record of Aurora DSQL")
    if type(source) is not dict or kind != FULL:
        return Dead(
            Failure.VALIDATION_ERROR,
            "a piece of a record that Aurora DSQL has split for its size: pieces are not put together here",
        )
    names = [source.get("schema"), source.get("table")]
    if any(type(name) is not str or not name for name in names):
        return Dead(Failure.VALIDATION_ERROR, "source.schema or source.table is missing")
    for image in ("before", "after"):
        if type(document.get(image)) not in (dict, type(None)):
            return Dead(Failure.VALIDATION_ERROR, f"{image} is not an object")
    committed = committed_at(source)
    if isinstance(committed, Dead):
        return committed
    # The guide: an operation that is not known is to be taken as an upsert.
    operation = OPERATIONS.get(word, Operation.UPDATE) if type(word) is str else Operation.UNKNOWN
    before, after, transaction = document.get("before"), document.get("after"), source.get("txId")
    return SourceRow(
        adapter=ADAPTER,
        schema=source["schema"],
        table=source["table"],
        operation=operation,
        row=before if operation is Operation.DELETE else after,
        before=before,
        committed_at=committed,
        identity=_identity(source),
        identity_needs_key=True,
        transaction_id=str(transaction) if type(transaction) in (int, str) else None,
        order=_order(source),
    )


def _identity(source: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Cluster and transaction."""
    parts = (source.get("cluster"), source.get("txId"))
    if any(type(part) not in (int, str) or part == "" for part in parts):
        return None
    return tuple(map(str, parts))


def _order(source: Mapping[str, Any]) -> int | None:
    """Commit time, nanoseconds."""
    for name, nanoseconds in NANOSECONDS.items():
        if type(moment := source.get(name)) is int:
            return moment * nanoseconds
    return None
