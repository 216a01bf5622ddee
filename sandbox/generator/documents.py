"""The JSON documents AWS DMS puts on a stream: `data`, a before image in one of two forms, kebab-case `metadata`."""

import json
from datetime import datetime
from typing import Any

Row = dict[str, Any]

SCHEMA = "core"
TASK = "DZ6OKLFYA5GENERATOR"


def metadata(operation: str, table: str, key: str, at: datetime) -> dict[str, Any]:
    """The part all data records share; `key` is the value of the primary key as text."""
    return {
        "timestamp": _iso(at),
        "record-type": "data",
        "operation": operation,
        "partition-key-type": "primary-key",
        "partition-key-value": key,
        "schema-name": SCHEMA,
        "table-name": table,
    }


def committed(transaction: int, number: int, at: datetime) -> dict[str, Any]:
    """Names a change of the running task; loads have none of it."""
    return {
        "transaction-id": transaction,
        "transaction-record-id": 1,
        "prev-transaction-id": transaction - 1,
        "prev-transaction-record-id": 1,
        "commit-timestamp": _iso(at),
        "stream-position": f"mysql-bin-changelog.{number // 50_000:06d}.{154 + number % 50_000 * 431}.17.0.{number}",
    }


def with_before(data: Row, before: Row, *, columns: bool) -> dict[str, Any]:
    """Row and before image: as `BI_` columns inside the row, or as an object beside it."""
    if columns:
        return {"data": {**data, **{f"BI_{name}": value for name, value in before.items()}}}
    return {"data": data, "before-image": before}


def control(operation: str, table: str, at: datetime) -> dict[str, Any]:
    """A change of a table's definition."""
    columns = {"ID": {"type": "INT32", "nullable": False}, "Note": {"type": "WSTRING", "length": 64}}
    return {
        "control": {"table-def": {"columns": columns, "primary-key": ["ID"]}},
        "metadata": {
            "timestamp": _iso(at),
            "record-type": "control",
            "operation": operation,
            "partition-key-type": "task-id",
            "partition-key-value": TASK,
            "schema-name": SCHEMA,
            "table-name": table,
        },
    }


def encode(document: dict[str, Any], *, pretty: bool) -> bytes:
    """As DMS writes it: tabs and a final newline if pretty (its MessageFormat json), else compact."""
    if pretty:
        return json.dumps(document, indent="\t").encode() + b"\n"
    return json.dumps(document, separators=(",", ":")).encode()


def _iso(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%S.%f}Z"
