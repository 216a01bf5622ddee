"""Records of Debezium that are about no row: heartbeats, borders of transactions, DDL.

Shapes from the Debezium documentation ("Transaction metadata", "Schema change topic", `heartbeat.interval.ms`). A
server that writes all its topics to one stream mixes them with the changes.
"""

from collections.abc import Mapping
from typing import Any

from models.change import Control

_HEARTBEAT = {"ts_ms"}
_BORDER = {"status", "id", "event_count", "data_collections", "ts_ms"}


def control_of(payload: Mapping[str, Any]) -> Control | None:
    """What such a record is; None if it is none of them."""
    if payload.keys() == _HEARTBEAT:
        return Control("heartbeat", "", "")
    if payload.get("status") in ("BEGIN", "END") and "id" in payload and payload.keys() <= _BORDER:
        return Control("transaction", "", "")
    if "ddl" in payload and "databaseName" in payload and type(payload.get("source")) is dict:
        names = (payload.get("schemaName"), payload.get("databaseName"))
        return Control("schema-change", next((name for name in names if type(name) is str), ""), "")
    return None
