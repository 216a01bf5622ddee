"""What becomes of Debezium's and Aurora DSQL's records: from the bytes to the event."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from enrichers.routing import Router, route
from models.change import Control
from models.outcome import Failure
from models.sources import adapters
from models.sources.debezium import UNAVAILABLE
from tests.unit.changes import Worker, catalogue_of
from tests.unit.test_debezium import DECIMAL, DSQL, FLAT, SOURCE, column, envelope, packed

TABLES = """
  - table: users
    entity: user
    key: [id]
    columns: {id: int, balance: decimal}
    owner: {org: [{column: home_org_id}], user: [{column: id}]}
    unknown_columns: publish
"""


@pytest.fixture
def worker(tmp_path: Path) -> Worker:
    return Worker(catalogue_of(tmp_path, TABLES))


def test_an_envelope_becomes_an_event_and_comes_again_as_nothing(worker: Worker) -> None:
    row = {"id": 7, "home_org_id": 3, "balance": 1}
    record = json.dumps(envelope("u", row, row | {"balance": 2})).encode()
    found = worker.event(record)
    assert (found["eventType"], found["changedFields"], found["orgId"]) == ("user.updated", ["balance"], "3")
    assert (found["metadata"]["source"], found["metadata"]["sourceSchema"]) == ("debezium", "public")
    assert worker.drop(record) == "resent"


def test_a_flat_row_has_no_before_image_and_its_event_says_so(worker: Worker) -> None:
    found = worker.event(json.dumps(FLAT).encode())
    assert found["metadata"]["diff"] == "none"
    assert found["changes"] == {"home_org_id": {"new": 3}}


def test_records_are_routed_by_the_key_of_their_row(worker: Worker) -> None:
    for document, schema in ((envelope("c", None, {"id": 7}), "public"), (FLAT, ""), (DSQL, "public")):
        record = json.dumps(document).encode()
        found = Router(worker.catalogue).route(record, "p")
        assert (found.key, found.table) == (f'["{schema}","users",7]'.encode(), "users")
        assert found == route(record, "p", worker.catalogue)


def test_an_empty_record_is_a_tombstone_only_where_the_source_is_debezium() -> None:
    assert adapters.is_tombstone(b"", "debezium")
    assert adapters.is_tombstone(b"", "debezium-flat")
    assert not adapters.is_tombstone(b"", "dms")
    assert not adapters.is_tombstone(b"", None)
    assert not adapters.is_tombstone(b"{}", "debezium")


@pytest.mark.parametrize(
    ("sent", "schema", "published"),
    [
        (
            base64.b64encode((12_345).to_bytes(2, "big")).decode(),
            column("balance", "bytes", DECIMAL, parameters={"scale": "2"}),
            "123.45",
        ),  # precise
        (packed(2**70, 9), column("balance", "bytes", DECIMAL, parameters={"scale": "0"}), str(2**70)),
        (123.45, column("balance", "double"), "123.45"),  # double
        ("123.45", column("balance", "string"), "123.45"),  # string
        (None, column("balance", "bytes", DECIMAL, parameters={"scale": "2"}), None),
    ],
)
def test_a_decimal_reaches_the_event_exactly_in_every_mode_of_the_connector(
    worker: Worker, sent: Any, schema: dict[str, Any], published: Any
) -> None:
    fields = [{"field": "after", "type": "struct", "fields": [column("id", "int32"), schema]}]
    record = {
        "schema": {"type": "struct", "fields": fields},
        "payload": envelope("c", None, {"id": 7, "balance": sent}),
    }
    assert worker.event(json.dumps(record).encode())["changes"]["balance"] == {"new": published}


def test_a_large_column_that_did_not_change_is_no_change_in_the_event(worker: Worker) -> None:
    row = {"id": 7, "home_org_id": 3, "note": UNAVAILABLE}
    full = json.dumps(envelope("u", row | {"balance": 1}, row | {"balance": 2})).encode()
    assert worker.event(full)["changes"] == {"balance": {"old": 1, "new": 2}}
    bare = json.dumps(envelope("u", None, row | {"balance": 3}, SOURCE | {"lsn": 9})).encode()
    found = worker.event(bare)
    assert (found["changes"], found["metadata"]["diff"]) == (
        {"home_org_id": {"new": 3}, "balance": {"new": 3}}, "none",
    )  # fmt: skip
    assert UNAVAILABLE not in json.dumps(found)


def test_a_delete_and_its_tombstone_are_one_event(worker: Worker) -> None:
    found = worker.event(json.dumps(envelope("d", {"id": 7, "home_org_id": 3})).encode())
    assert (found["operation"], found["orgId"]) == ("DELETE", "3")
    for adapter in ("debezium", "debezium-flat"):
        assert adapters.is_tombstone(b"", adapter)
        assert Router(worker.catalogue, adapter).route(b"", "p").key == b"p"
    assert not adapters.is_tombstone(b"", None)


def test_rows_of_one_entry_of_the_log_are_events_of_their_own_although_their_keys_are_redacted(tmp_path: Path) -> None:
    table = "  - {table: users, entity: user, key: [phone], redact: {phone: HASH}}\n"
    worker = Worker(catalogue_of(tmp_path, table))
    copied = [json.dumps(envelope("c", None, {"phone": number})).encode() for number in ("1", "2")]
    one, two = (worker.event(record) for record in copied)
    assert one["eventId"] != two["eventId"]


def test_bytes_of_a_column_are_a_key_of_their_own(tmp_path: Path) -> None:
    ours = Worker(catalogue_of(tmp_path, "  - {table: users, entity: user, key: [id]}\n"))
    fields = [{"field": "after", "type": "struct", "fields": [column("id", "bytes")]}]
    record = {"schema": {"type": "struct", "fields": fields}, "payload": envelope("c", None, {"id": "aGk="})}
    assert ours.event(json.dumps(record).encode())["entityId"] == "%b64aGk="


def test_with_and_without_schemas_a_plain_row_is_the_same_event(tmp_path: Path) -> None:
    plain = envelope("u", {"id": 7, "home_org_id": 3, "balance": 1}, {"id": 7, "home_org_id": 3, "balance": 2})
    fields = [
        {"field": image, "type": "struct", "fields": [column(name, "int64") for name in ("id", "home_org_id")]}
        for image in ("before", "after")
    ]
    wrapped = {"schema": {"type": "struct", "fields": fields}, "payload": plain}
    events = [
        Worker(catalogue_of(tmp_path, TABLES)).event(json.dumps(document).encode(), sequence="1")
        for document in (plain, wrapped)
    ]
    assert events[0] == events[1]


def test_a_piece_of_a_split_record_of_dsql_is_a_dead_letter_and_its_neighbours_go_on(worker: Worker) -> None:
    dead = worker.dead(json.dumps(DSQL | {"type": "chunked", "after": None}).encode())
    assert dead.failure is Failure.VALIDATION_ERROR
    assert "split for its size" in dead.reason
    assert worker.event(json.dumps(DSQL).encode())["entityId"] == "7"


@pytest.mark.parametrize(
    ("payload", "operation"),
    [
        ({"ts_ms": 1_768_473_060_000}, "heartbeat"),
        ({"status": "BEGIN", "id": "571", "ts_ms": 5, "event_count": None, "data_collections": None}, "transaction"),
        ({"status": "END", "id": "571", "event_count": 1, "data_collections": [{}]}, "transaction"),
        ({"source": {"connector": "mysql"}, "databaseName": "core", "schemaName": None, "ddl": "ALTER TABLE users …",
          "tableChanges": [], "ts_ms": 5}, "schema-change"),
    ],
)  # fmt: skip
def test_what_a_connector_writes_beside_its_changes_is_no_dead_letter(
    worker: Worker, payload: dict[str, Any], operation: str
) -> None:
    for document in (payload, {"schema": {"type": "struct"}, "payload": payload}):
        for adapter in (None, "debezium", "debezium-flat"):
            found = adapters.decode(document, adapter)
            assert isinstance(found, Control)
            assert found.operation == operation
        assert worker.drop(json.dumps(document).encode()) == "control"


def test_a_row_with_such_columns_is_still_a_row(worker: Worker) -> None:
    row = {"id": 7, "home_org_id": 3, "status": "BEGIN", "ts_ms": 5, "ddl": "x", "databaseName": "y"}
    assert worker.event(json.dumps(envelope("c", None, row)).encode())["changes"]["status"] == {"new": "BEGIN"}
    flat = row | {"__op": "c", "__table": "users", "__source_ts_ms": 1_768_473_060_000, "__db": "public"}
    assert worker.event(json.dumps(flat).encode())["changes"]["status"] == {"new": "BEGIN"}
