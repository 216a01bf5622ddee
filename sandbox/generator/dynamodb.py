"""Kinesis Data Streams for DynamoDB: typed values, both images, microseconds, and rows that expire."""

import json
import random
import uuid
from datetime import datetime
from decimal import Decimal
from typing import Any

from models.change import Operation
from sandbox.generator.wire import Row, RowChange, compact, microseconds

WORDS = {Operation.CREATE: "INSERT", Operation.UPDATE: "MODIFY", Operation.DELETE: "REMOVE"}
EXPIRED = 0.3
"""Of the deletes."""
EXPIRY = {"principalId": "dynamodb.amazonaws.com", "type": "Service"}


class DynamoDb:
    """One stream for all tables; a table has no schema, and its records no transactions."""

    adapter = "dynamodb"
    schema = ""
    moves_keys = False
    has_loads = False
    unordered = True
    has_tombstones = False

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng

    def change(self, change: RowChange) -> bytes:
        """See Encoder."""
        last = change.after or change.before or {}
        images = {"NewImage": change.after, "OldImage": change.before}
        body: dict[str, Any] = {
            "ApproximateCreationDateTime": microseconds(change.at),
            "Keys": typed({change.key: last[change.key]} if change.key in last else {}),
            **{name: typed(image) for name, image in images.items() if image is not None},
            "ApproximateCreationDateTimePrecision": "MICROSECOND",
        }
        body["SizeBytes"] = len(json.dumps(body))
        expired = change.operation is Operation.DELETE and self._rng.random() < EXPIRED
        return compact({
            "awsRegion": "us-east-1",
            "eventID": str(uuid.UUID(int=self._rng.getrandbits(128), version=4)),
            "eventName": WORDS[change.operation],
            "userIdentity": EXPIRY if expired else None,
            "recordFormat": "application/json",
            "tableName": change.table,
            "dynamodb": body,
            "eventSource": "aws:dynamodb",
        })  # fmt: skip

    def control(self, number: int, table: str, at: datetime) -> bytes | None:
        """There are none."""
        return None

    def transaction(self, number: int) -> str:
        """There are none."""
        return ""


def typed(row: Row) -> dict[str, Any]:
    """A row with the type of every value."""
    return {name: _typed(value) for name, value in row.items()}


def _typed(value: Any) -> dict[str, Any]:
    match value:
        case None:
            return {"NULL": True}
        case bool():
            return {"BOOL": value}
        case int() | Decimal():
            return {"N": str(value)}
        case str():
            return {"S": value}
        case _:
            raise TypeError(f"a row holds no {type(value).__name__}")
