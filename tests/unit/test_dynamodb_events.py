"""What becomes of DynamoDB's records: from the bytes to the event."""

import json
from pathlib import Path
from typing import Any

import pytest

from enrichers.routing import Router, route
from tests.unit.changes import Worker, catalogue_of
from tests.unit.test_dynamodb import event

TABLES = """
  - table: orders
    entity: order
    key: [order_id]
    columns: {order_id: int, total: decimal, customer: int}
    owner: {org: [{column: org}], user: [{column: customer}]}
    unknown_columns: publish
"""


@pytest.fixture
def worker(tmp_path: Path) -> Worker:
    return Worker(catalogue_of(tmp_path, TABLES))


def test_a_change_becomes_an_event_with_exact_values_and_an_id_that_stays(worker: Worker) -> None:
    new = {"total": {"N": "12345678901234567890.10"}, "tags": {"SS": ["b", "a"]}, "customer": 5, "org": 3}
    record = json.dumps(event("MODIFY", new, new | {"total": 1})).encode()
    first, again = worker.event(record, sequence="1"), Worker(worker.catalogue).event(record, sequence="2")
    assert first["changes"] == {"total": {"old": 1, "new": "12345678901234567890.10"}}
    assert (first["eventType"], first["entityId"], first["timestamp"]) == (
        "order.updated", "7", "2024-07-11T23:23:53.012995Z"
    )  # fmt: skip
    assert (first["orgId"], first["userId"], first["metadata"]["source"]) == ("3", "5", "dynamodb")
    assert first["eventId"] == again["eventId"]


def test_an_attribute_that_only_one_image_has_was_added_or_removed(worker: Worker) -> None:
    record = json.dumps(event("MODIFY", {"org": 3, "new": "x", "same": 1}, {"org": 3, "gone": "y", "same": 1})).encode()
    assert worker.event(record)["changes"] == {
        "new": {"old": None, "new": "x"},
        "gone": {"old": "y", "new": None},
    }


def test_a_table_may_take_a_missing_attribute_for_an_unchanged_one(tmp_path: Path) -> None:
    ours = Worker(catalogue_of(tmp_path, TABLES + "    absent_columns: unchanged\n"))
    record = json.dumps(event("MODIFY", {"org": 3, "a": 2}, {"org": 3, "a": 1, "b": 1})).encode()
    assert ours.event(record)["changes"] == {"a": {"old": 1, "new": 2}}


def test_the_key_of_an_item_is_what_its_keys_say(worker: Worker) -> None:
    record = json.dumps(event("MODIFY", {"order_id": 8, "a": 2}, {"order_id": 9, "a": 1})).encode()
    found = worker.event(record)
    assert (found["keys"], found["changes"]) == ({"order_id": 7}, {"a": {"old": 1, "new": 2}})


def test_a_record_that_is_delivered_again_is_left_out(worker: Worker) -> None:
    record = json.dumps(event("MODIFY", {"org": 3, "customer": 5, "a": 1}, {"org": 3, "customer": 5, "a": 0})).encode()
    worker.event(record)
    assert worker.drop(record) == "resent"


def keyed_by(typed_key: dict[str, Any]) -> bytes:
    return json.dumps(event("INSERT", {"a": 1}, Keys={"order_id": typed_key})).encode()


def test_bytes_are_a_key_of_their_own(tmp_path: Path) -> None:
    catalogue = catalogue_of(tmp_path, "  - {table: orders, entity: order, key: [order_id]}\n")
    found = [
        Worker(catalogue).event(keyed_by(key))
        for key in ({"B": "aGk="}, {"S": "aGk="}, {"S": "%b64aGk="}, {"S": "$binary"})
    ]
    assert found[0]["keys"] == {"order_id": {"$binary": "aGk="}}
    assert [detail["entityId"] for detail in found] == ["%b64aGk=", "aGk=", "%25b64aGk=", "$binary"]
    assert len({detail["eventId"] for detail in found}) == 4
    keys = {route(keyed_by(key), "p", catalogue).key for key in ({"B": "aGk="}, {"S": "aGk="})}
    assert keys == {b'["","orders",{"$binary":"aGk="}]', b'["","orders","aGk="]'}


def test_the_same_bytes_are_one_key_however_their_base64_ends(tmp_path: Path) -> None:
    catalogue = catalogue_of(tmp_path, "  - {table: orders, entity: order, key: [order_id]}\n")
    assert {route(keyed_by({"B": text}), "p", catalogue).key for text in ("aGk=", "aGl=")} == {
        b'["","orders",{"$binary":"aGk="}]'
    }


def test_a_record_is_routed_by_the_key_of_its_row(worker: Worker) -> None:
    record = json.dumps(event("MODIFY", {"a": 1}, {"a": 0})).encode()
    for adapter in (None, "dynamodb"):
        found = Router(worker.catalogue, adapter).route(record, "p")
        assert (found.key, found.adapter, found.table) == (b'["","orders",7]', "dynamodb", "orders")
        assert found == route(record, "p", worker.catalogue, adapter)
    assert Router(worker.catalogue, "dms").route(record, "p").key == b"p"
