"""What becomes of DynamoDB's records: from the bytes to the event."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enrichers.routing import Router, route
from tests.unit.changes import Worker, catalogue_of
from tests.unit.test_dynamodb import CREATED_US, event
from tests.unit.test_late_records import ORDERS

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


KEYS: st.SearchStrategy[Any] = st.one_of(
    st.fixed_dictionaries(
        {}, optional={
            "order_id": st.sampled_from([
                {"N": "7"}, {"N": "7.0"}, {"N": "x"}, {"N": 7}, {"S": "a"}, {"S": ""}, {"S": "7"}, {"S": None},
                {"B": "aGk="}, {"B": "aGl="}, {"B": "!"}, {}, {"S": "a", "N": "7"}, {"BOOL": True}, {"SS": ["a"]}, 7,
            ]),
            "other": st.just({"S": "x"}),
        },
    ),
    st.sampled_from([None, [], "x"]),
)  # fmt: skip
RECORDS = st.fixed_dictionaries(
    {"eventSource": st.sampled_from(["aws:dynamodb", "aws:s3", None]),
     "eventName": st.sampled_from(["INSERT", "MODIFY", "REMOVE", "x", None]),
     "tableName": st.sampled_from(["orders", "Orders", "unknown", "", None])},
    optional={
        "metadata": st.sampled_from([{}, None, {"table-name": "orders", "operation": "insert"}]),
        "dynamodb": st.fixed_dictionaries({"Keys": KEYS}, optional={
            "NewImage": st.sampled_from([{"a": {"S": "x"}}, {}, None, {"order_id": {"N": "8"}}]),
            "OldImage": st.sampled_from([{"a": {"S": "x"}}, {}, None]),
            "ApproximateCreationDateTime": st.just(CREATED_US),
        }),
    },
)  # fmt: skip


@given(RECORDS, st.sampled_from([None, 1]), st.sampled_from([None, "dynamodb"]))
@settings(max_examples=500)
def test_the_short_way_finds_the_key_that_the_decoder_finds(
    document: dict[str, Any], indent: int | None, adapter: str | None
) -> None:
    value = json.dumps(document, indent=indent).encode()
    short, whole = Router(ORDERS, adapter).route(value, "p"), route(value, "p", ORDERS, adapter)
    # Of what no decoder takes it may name the row, where the decoder finds none.
    assert short == whole or (whole.key == b"p" and short.table == "orders")


def test_an_ordinary_change_goes_the_short_way(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    router = Router(worker.catalogue)
    monkeypatch.setattr("enrichers.routing.route", None)
    for name, images in (("INSERT", ({"a": 1}, None)), ("MODIFY", ({"a": 2}, {"a": 1})), ("REMOVE", (None, {"a": 2}))):
        for _ in range(2):
            found = router.route(json.dumps(event(name, *images)).encode(), "p")
            assert (found.key, found.table, found.retired_key) == (b'["","orders",7]', "orders", None)
