"""Events are valid under the event schema of the Lambda pipeline's architecture document (eventType enum relaxed)."""

import json
from typing import Any

import jsonschema
import pytest

from tests.unit.changes import TELEPHONY, USER, Worker, dms

SCHEMA: dict[str, Any] = {
    "$schema": "http://json-schema.org/draft-07/schema#",
    "type": "object",
    "required": [
        "eventId", "eventType", "entityId", "entityType", "operation", "timestamp", "changes", "metadata",
    ],
    "properties": {
        "eventId": {"type": "string", "pattern": "^evt_[0-9]+_[a-z0-9]+$"},
        "eventType": {"type": "string", "pattern": "^[a-z_]+\\.(created|updated|deleted)$"},
        "entityId": {"type": "string"},
        "entityType": {"type": "string"},
        "operation": {"type": "string", "enum": ["INSERT", "UPDATE", "DELETE"]},
        "timestamp": {"type": "string", "format": "date-time"},
        "changes": {
            "type": "object",
            "additionalProperties": {"type": "object", "properties": {"old": {}, "new": {}}},
        },
        "metadata": {
            "type": "object",
            "required": ["sourceTable", "processedAt", "version"],
            "properties": {
                "sourceTable": {"type": "string"},
                "sequenceNumber": {"type": "string"},
                "processedAt": {"type": "string", "format": "date-time"},
                "version": {"type": "string"},
            },
        },
    },
}  # fmt: skip

ROWS: dict[str, dict[str, Any]] = {
    "users": USER,
    "orgs": {"ID": 3, "Name": "Acme", "AccountNumber": "12-34", "Status": "ACTIVE"},
    "groups": {"ID": 21, "OrgID": 3, "Name": "Support", "Type": "QUEUE"},
    "availability_log": {"ID": 1, "OrgID": 3, "UserID": 7, "Status": "AWAY", "StartedAt": "2026-01-15T10:31:00Z"},
    "user_scopes": {"ID": 4, "UserID": 7, "OrgID": 3, "Scope": "billing:read", "GrantedBy": 1},
    "profiles": {"ID": 5, "ScopeType": "ORG", "ScopeID": 3, "Name": "d", "ProfileKey": "k", "Value": '{"a": 1}'},
    "channels": {"ID": 6, "Type": "SMS", "Address": "+41446681800", "OwnerType": "User", "OwnerID": 7, "Status": "ON"},
    "pool": {"ID": 8, "Number": "+41446681800", "OrgID": 3, "UserID": 7, "Status": "FREE", "MonthlyCost": "1.50"},
    "call_status": {"CallID": "c:1", "OrgID": 3, "UserID": 7, "Direction": "IN", "State": "UP",
                    "StartedAt": "2026-01-15T10:31:00Z", "CallerNumber": "+41446681800"},
    "call_center_agents": {"ID": 3, "OrgID": 3, "AgentType": "USER", "AgentRef": "7", "Status": "ON"},
    "call_center_queues": {"ID": 2, "OrgID": 3, "Name": "Support", "CallbackEnabled": True},
    "group_maps_log": {"ID": 9, "GroupID": 21, "UserID": 7, "Action": "ADD", "OccurredAt": "2026-01-15T10:31:00Z"},
}  # fmt: skip


def test_every_built_in_table_has_a_row_here() -> None:
    assert set(ROWS) == {spec.name for spec in TELEPHONY.specs}


@pytest.mark.parametrize("operation", ["insert", "update", "delete"])
@pytest.mark.parametrize("table", ROWS)
def test_every_event_of_every_table_is_valid(table: str, operation: str) -> None:
    detail = Worker().event(
        dms(operation, ROWS[table], table=table, before={"ID": 1} if operation == "update" else None)
    )
    jsonschema.validate(json.loads(json.dumps(detail)), SCHEMA)
