"""Records as they were captured from running sources become the events that the contract demands (`tests/captures`)."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.captures import HERE, captures, golden_of, results
from tests.contract.test_event_schema import SCHEMA

ALL = list(captures())


def golden(name: str) -> tuple[list[str], list[dict[str, Any]]]:
    """Why records were left out, and the events of the others."""
    found = json.loads(golden_of(HERE / name).read_text("utf-8"))
    return found["dropped"], found["events"]


def changes(name: str) -> list[tuple[str, str, dict[str, Any]]]:
    return [(event["eventType"], event["entityId"], event["changes"]) for event in golden(name)[1]]


@pytest.mark.parametrize("path", ALL, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_captured_records_become_what_their_golden_file_says(path: Path) -> None:
    found = results(path)
    assert found == json.loads(golden_of(path).read_text("utf-8")), "renew with: python -m tests.golden"
    for event in found["events"]:
        jsonschema.validate(event, SCHEMA)
    assert len({event["eventId"] for event in found["events"]}) == len(found["events"])


def test_postgresql_by_dms_tells_keys_and_new_values() -> None:
    dropped, events = golden("dms/postgresql.json")
    assert dropped == ["control", "control", "control", "snapshot"]
    created, valued, moved, deleted = events
    assert (created["eventType"], created["timestamp"]) == ("parcel.created", "2026-02-03T08:01:17.974340Z")
    assert created["metadata"]["transactionId"] == "2207"
    assert (valued["metadata"]["diff"], valued["changes"]["weight"]) == ("none", {"new": 1350})
    assert (moved["keys"], moved["previousKeys"]) == ({"id": 73}, {"id": 72})
    assert moved["changes"]["id"] == {"old": 72, "new": 73}
    assert (deleted["operation"], deleted["changes"]) == ("DELETE", {"id": {"old": 73}})


def test_mysql_by_dms_has_its_before_image_in_columns() -> None:
    created, updated, deleted = changes("dms/lambda.json")
    assert created[2]["labels"] == {"new": "0x7B7D"}
    assert updated == ("parcel.updated", "9001", {"weight": {"old": 80, "new": 85}})
    assert deleted[2]["weight"] == {"old": 85}
    first = golden("dms/lambda.json")[1][0]["metadata"]
    assert (first["shardId"], first["sequenceNumber"]) == (
        "shardId-000000000001", "49660000000000000000000000000000000000000000000000000000",
    )  # fmt: skip


def test_what_a_relay_adds_to_a_record_of_dms_is_no_before_image() -> None:
    (event,) = golden("dms/relayed.json")[1]
    assert event["metadata"]["diff"] == "none"
    assert event["changes"] == {"labels": {"new": None}, "receiver": {"new": "Test"}, "weight": {"new": 4}}


def test_dynamodb_tells_each_change_once_and_forward_only() -> None:
    dropped, events = golden("dynamodb/kinesis.json")
    assert dropped == ["resent", "late", "late"]
    assert [event["operation"] for event in events] == ["INSERT", "UPDATE", "DELETE"]
    assert [event["timestamp"][17:] for event in events] == ["00.123456Z", "02.123456Z", "03.123456Z"]
    created, updated = events[0]["changes"], events[1]["changes"]
    assert created["places"] == {"new": ["basel", "zurich"]}
    assert created["samples"] == {"new": [1, "2.50", 3]}
    assert created["raw"] == {"new": {"$binary": "aGVsbG8="}}
    # A set in another order and a number in another spelling are no change; what only one image has is one.
    assert set(updated) == {"temperature", "blobs", "meta", "note"}
    assert updated["temperature"] == {"old": "42.42", "new": "-1E-130"}
    assert updated["meta"]["new"]["serial"] == "12345678901234567890"
    assert (updated["blobs"]["new"], updated["note"]) == (None, {"old": None, "new": ""})


def test_dynamodb_has_keys_of_bytes_and_times_in_milliseconds() -> None:
    (event,) = golden("dynamodb/milliseconds.json")[1]
    assert event["entityId"] == "%b64AAEC:x%3Ay"
    assert event["keys"] == {"sensor": {"$binary": "AAEC"}, "at": "x:y"}
    assert event["timestamp"] == "2026-02-03T08:00:00.123000Z"


def test_numbers_that_a_relay_wrote_as_numbers_are_exact() -> None:
    (event,) = golden("dynamodb/relayed.json")[1]
    assert event["changes"] == {
        "samples": {"old": [1, 2], "new": ["0.34", 1, 2]},
        "serial": {"old": None, "new": {"n": 12345}},
        "note": {"old": "dry", "new": None},
    }


def test_debezium_with_schemas_tells_what_its_numbers_mean() -> None:
    dropped, events = golden("debezium/postgresql.json")
    assert dropped == ["snapshot"]
    created, updated, deleted = (event["changes"] for event in events)
    assert created["price"] == {"new": "19.99"}
    assert created["day"] == {"new": "2026-02-03"}
    assert created["noted"] == {"new": "2026-02-03T08:00:00.123456"}
    assert created["photo"] == {"new": {"$binary": "aGVsbG8="}}
    assert updated == {"price": {"old": "19.99", "new": "-0.05"}}, "the large column did not change"
    assert deleted == {"id": {"old": 1005}}


def test_debezium_without_schemas_and_before_its_first_release_is_read_too() -> None:
    dropped, events = golden("debezium/mysql.json")
    assert dropped == ["control"]
    assert [event["operation"] for event in events] == ["INSERT", "UPDATE", "DELETE", "INSERT"]
    assert events[1]["changes"] == {"doc": {"old": "a", "new": "b"}}
    assert events[3]["timestamp"] == "2026-02-03T08:00:09.000000Z"


def test_flat_rows_of_debezium_lose_their_marks() -> None:
    created, deleted = changes("debezium/flat.json")
    assert created == ("parcel.created", "1007", {"id": {"new": 1007}, "doc": {"new": "a"}})
    assert deleted == ("parcel.deleted", "1007", {"id": {"old": 1007}})


def test_dsql_tells_each_change_once_and_forward_only() -> None:
    dropped, events = golden("dsql/changes.json")
    assert dropped == ["late", "resent"]
    assert [event["changes"].get("price") for event in events] == [{"new": "29.99"}, {"new": "31.00"}, None]
    assert events[2]["operation"] == "DELETE"
