"""Changes of columns are told by what records show: each once, whoever saw it first, and never by what a source just
left out."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from enrichers.enriched import Enriched
from enrichers.observe import read_history, read_seen
from enrichers.schema_memory import History, Seen, SeenColumn, history_key, report, seen_key, together, treatment
from enrichers.state import NewerFormatError, Observe
from models.change import Control
from models.outcome import Dead, Drop, Ok
from models.records.identity import USERS
from models.sources import dms as dms_source
from models.tables import ColumnType, TableSpec
from tests.unit.changes import TELEPHONY, USER, Worker, catalogue_of, dms
from workers.kafka.topics import PINS_TABLE
from workers.rebuild.image import is_readable

FREE = "  - {table: t, entity: t, key: [id], unknown_columns: publish}\n"


def at(minute: int) -> dict[str, Any]:
    return {"commit-timestamp": f"2026-01-15T10:{minute:02d}:00Z", "timestamp": f"2026-01-15T10:{minute:02d}:00Z"}


def control(operation: str, body: dict[str, Any] | None, minute: int, table: str = "users") -> bytes:
    metadata = {"record-type": "control", "operation": operation, "schema-name": "core", "table-name": table}
    return json.dumps({"metadata": metadata | at(minute)} | ({} if body is None else {"control": body})).encode()


def debezium(op: str, row: dict[str, Any], minute: int, fields: dict[str, str] | None = None) -> bytes:
    milliseconds = 1768473000000 + minute * 60_000
    payload = {
        "before": None, "after": row, "op": op,
        "source": {"connector": "mysql", "name": "s", "db": "core", "table": "t", "ts_ms": milliseconds,
                   "file": "b", "pos": minute, "row": 0},
    }  # fmt: skip
    if fields is None:
        return json.dumps(payload).encode()
    described = [{"field": name, "type": kind} for name, kind in fields.items()]
    schema = {"type": "struct", "fields": [{"field": "after", "type": "struct", "fields": described}]}
    return json.dumps({"schema": schema, "payload": payload}).encode()


def seen(worker: Worker, name: str = "users") -> Seen:
    return read_seen(worker.state.schemas[name])


def told(worker: Worker, name: str = "users", known: History | None = None) -> list[tuple[str, str, str, str]]:
    spec = worker.catalogue.named(name)
    assert spec is not None
    found = report(spec, known, seen(worker, name))
    return [(change.change, change.column, change.was, change.now) for change in found.changes]


def observes(result: Enriched) -> bool:
    return any(isinstance(effect, Observe) for effect in result.effects)


def free(tmp_path: Path) -> Worker:
    return Worker(catalogue_of(tmp_path, FREE))


def test_columns_the_configuration_names_are_no_change() -> None:
    worker = Worker()
    worker.feed(dms("insert", USER))
    assert set(seen(worker).columns) == set(USER)
    assert told(worker) == []


def test_an_ordinary_record_shows_nothing_new() -> None:
    worker = Worker()
    assert observes(worker.feed(dms("insert", USER)))
    assert not any(observes(worker.feed(dms("update", {**USER, "ID": n}))) for n in range(20))


def test_a_column_nobody_named_is_new() -> None:
    worker = Worker()
    worker.feed(dms("insert", {**USER, "ShoeSize": 42}))
    assert told(worker) == [("new", "ShoeSize", "", "number")]


def test_a_column_in_another_spelling_is_the_one_that_is_named() -> None:
    worker = Worker()
    worker.feed(dms("insert", {**{name: USER[name] for name in USER if name != "HomeOrgID"}, "home_org_id": 3}))
    assert told(worker) == []
    assert "HomeOrgID" in seen(worker).columns


def test_without_declared_columns_the_first_record_is_the_base(tmp_path: Path) -> None:
    worker = free(tmp_path)
    worker.feed(dms("insert", {"id": 1, "a": "x"}, table="t", metadata=at(1)))
    assert told(worker, "t") == []
    worker.feed(dms("insert", {"id": 2, "a": "x", "b": True}, table="t", metadata=at(2)))
    assert told(worker, "t") == [("new", "b", "", "boolean")]


def test_columns_left_out_by_dms_have_not_vanished() -> None:
    worker = Worker()
    worker.feed(dms("insert", {**USER, "Phone": "+41446681800"}, metadata=at(1)))
    for minute in range(2, 20):
        worker.feed(dms("insert", USER, metadata=at(minute)))
    assert told(worker) == []


def test_a_dropped_column_has_vanished() -> None:
    worker = Worker()
    worker.feed(dms("insert", {**USER, "Phone": "+41446681800"}, metadata=at(1)))
    worker.feed(control("drop-column", {"column-name": "Phone"}, 2))
    assert told(worker) == [("vanished", "Phone", "", "")]


def test_a_definition_without_a_column_says_that_it_has_vanished_and_what_the_others_are() -> None:
    worker = Worker()
    worker.feed(dms("insert", {**USER, "Phone": "1"}, metadata=at(1)))
    columns = {name: {"type": "STRING", "length": 255} for name in USER}
    worker.feed(control("create-table", {"table-def": {"columns": columns, "primary-key": ["ID"]}}, 2))
    assert told(worker) == [("vanished", "Phone", "", "")]
    assert seen(worker).columns["Email"].types[0][1] == "STRING(255)"


def test_a_type_that_is_told_anew_is_a_change() -> None:
    worker = Worker()
    for minute, kind in ((1, "INT32"), (2, "INT64")):
        worker.feed(control("create-table", {"table-def": {"columns": {"ID": {"type": kind}}}}, minute))
    assert told(worker) == [("retyped", "ID", "INT32", "INT64")]


def test_a_row_committed_before_the_column_was_dropped_does_not_bring_it_back() -> None:
    worker = Worker()
    worker.feed(dms("insert", {**USER, "Phone": "1"}, metadata=at(1)))
    worker.feed(control("drop-column", {"column-name": "Phone"}, 5))
    worker.feed(dms("insert", {**USER, "Phone": "1"}, metadata=at(4)))
    assert not seen(worker).columns["Phone"].present
    worker.feed(dms("insert", {**USER, "Phone": "1"}, metadata=at(6)))
    assert seen(worker).columns["Phone"].present


ODD_COLUMNS: list[Any] = [5, {"ID": {"type": 7}}, {"ID": {"type": "NO_SUCH_TYPE", "length": "x"}}, {"ID": 5}, []]


@pytest.mark.parametrize(
    "body", [None, {}, [], {"table-def": 5}, *({"table-def": {"columns": c}} for c in ODD_COLUMNS)]
)
def test_a_control_record_never_fails(body: Any) -> None:
    worker = Worker()
    result = worker.feed(control("create-table", body, 1))
    assert result.outcome == Drop("control")


def test_a_control_record_carries_the_definition_of_its_table() -> None:
    definition = {"columns": {"ID": {"type": "NUMERIC", "precision": 10, "scale": 2}}, "primary-key": ["ID"]}
    found = dms_source.decode(json.loads(control("create-table", {"table-def": definition}, 1)))
    assert isinstance(found, Control)
    assert (found.columns, found.primary_key, found.whole) == ({"ID": "NUMERIC(10,2)"}, ("ID",), True)


def test_another_primary_key_than_the_configured_one_is_told_once() -> None:
    worker = Worker()
    for minute, key in ((1, ["ID"]), (2, ["HomeOrgID", "ID"]), (3, ["ID", "HomeOrgID"])):
        worker.feed(control("create-table", {"table-def": {"columns": {}, "primary-key": key}}, minute))
    assert told(worker) == [("rekeyed", "ID,HomeOrgID", "ID", "ID,HomeOrgID")]
    first = report(USERS, None, seen(worker))
    assert report(USERS, first, seen(worker)) == first
    assert treatment(USERS, first.changes[0]) == "rows are told apart by ID, as configured"


def test_a_new_row_of_debezium_without_a_column_says_that_it_has_vanished(tmp_path: Path) -> None:
    worker = free(tmp_path)
    worker.feed(debezium("c", {"id": 1, "a": "x", "b": 1}, 1))
    worker.feed(debezium("u", {"id": 1, "a": "y"}, 2))
    assert told(worker, "t") == []
    worker.feed(debezium("c", {"id": 2, "a": "x"}, 3))
    assert told(worker, "t") == [("vanished", "b", "", "")]


def test_a_flat_row_of_debezium_may_be_a_document_and_lack_what_others_have(tmp_path: Path) -> None:
    worker = free(tmp_path)
    for minute, row in enumerate(({"id": 1, "a": "x", "b": 1}, {"id": 2, "a": "x"}), start=1):
        flat = row | {"__op": "c", "__table": "t", "__db": "core", "__source_ts_ms": 1768473000000 + minute * 60_000}
        assert isinstance(worker.feed(json.dumps(flat).encode()).outcome, Ok)
    assert told(worker, "t") == []


def test_the_schema_of_a_debezium_record_tells_types_and_what_is_gone(tmp_path: Path) -> None:
    worker = free(tmp_path)
    worker.feed(debezium("u", {"id": 1, "a": "x"}, 1, {"id": "int32", "a": "string", "b": "string"}))
    worker.feed(debezium("u", {"id": 1, "a": "x"}, 2, {"id": "int64", "a": "string"}))
    assert told(worker, "t") == [("vanished", "b", "string", ""), ("retyped", "id", "int32", "int64")]


def test_a_value_that_was_put_right_is_counted_and_told() -> None:
    worker = Worker()
    result = worker.feed(dms("insert", {**USER, "HomeOrgID": "3"}))
    assert isinstance(result.outcome, Ok)
    assert result.retyped == 1
    assert told(worker) == [("retyped", "HomeOrgID", "int", "text")]


def test_a_value_that_cannot_be_put_right_is_told_beside_its_dead_letter() -> None:
    worker = Worker()
    result = worker.feed(dms("insert", {**USER, "HomeOrgID": "three"}))
    assert isinstance(result.outcome, Dead)
    changes = report(USERS, None, seen(worker)).changes
    assert [(change.column, change.refused) for change in changes] == [("HomeOrgID", True)]
    assert treatment(USERS, changes[0]) == "dead letter VALIDATION_ERROR"


def test_a_column_without_type_that_changes_its_kind_is_retyped(tmp_path: Path) -> None:
    worker = free(tmp_path)
    for n, value in enumerate((3, "x", 3.5, None, "y", 4)):
        worker.feed(dms("insert", {"id": n, "a": value}, table="t", metadata=at(n + 1)))
    assert told(worker, "t") == [("retyped", "a", "number", "text")]


def test_what_was_reported_is_not_reported_again() -> None:
    worker = Worker()
    worker.feed(dms("insert", {**USER, "ShoeSize": 42, "HomeOrgID": "3"}))
    first = report(USERS, None, seen(worker))
    assert report(USERS, read_history(first.encode()), seen(worker)) == first
    worker.feed(dms("insert", {**USER, "ShoeSize": 43, "Hat": "L"}))
    second = report(USERS, first, seen(worker))
    assert [change.column for change in second.changes if change.version == 3] == ["Hat"]
    assert second.counts == {"new": 2, "retyped": 1}


def test_a_column_that_comes_back_is_a_change_of_its_own() -> None:
    def of(last_ms: int, gone_ms: int) -> Seen:
        return Seen(since_ms=1, columns={"Phone": SeenColumn(first_ms=1, last_ms=last_ms, gone_ms=gone_ms)})

    gone = report(USERS, None, of(1, 5))
    back = report(USERS, gone, of(9, 5))
    assert [change.change for change in back.changes] == ["vanished", "new"]


def test_the_order_of_the_partitions_does_not_matter() -> None:
    one = Seen(since_ms=1, columns={"a": SeenColumn(first_ms=3, last_ms=9, types=[(3, "INT32")], kinds={"text": 3})})
    other = Seen(since_ms=2, columns={"a": SeenColumn(first_ms=2, last_ms=4, types=[(4, "INT64")], kinds={"text": 2})})
    assert together([one, other]) == together([other, one])
    assert together([one, other]).columns["a"].kinds == {"text": 2}


def test_what_a_unit_wrote_that_aborted_is_seen_again() -> None:
    worker = Worker()
    worker.feed(dms("insert", USER))
    kept = worker.state.schemas["users"]
    for _ in range(2):
        assert observes(worker.feed(dms("insert", {**USER, "ShoeSize": 42})))
        assert not observes(worker.feed(dms("insert", {**USER, "ShoeSize": 42})))
        worker.state.schemas["users"] = kept


def test_an_entry_of_a_later_release_stops_the_worker_instead_of_being_overwritten() -> None:
    worker = Worker()
    worker.state.schemas["users"] = b'{"v":99}'
    with pytest.raises(NewerFormatError):
        worker.feed(dms("insert", USER))


def test_a_damaged_entry_is_found_by_what_its_key_says_it_is() -> None:
    for key in (seen_key("users"), history_key("users")):
        assert is_readable(PINS_TABLE, key, b'{"v":1}')
        assert not is_readable(PINS_TABLE, key, b"core")
        with pytest.raises(NewerFormatError):
            is_readable(PINS_TABLE, key, b'{"v":99}')
    assert is_readable(PINS_TABLE, b"users", b"core")
    assert not is_readable(PINS_TABLE, b"users", b"\xff")


def test_an_entry_holds_names_and_types_and_no_value() -> None:
    worker = Worker()
    worker.feed(dms("insert", {**USER, "HomeOrgID": "731731", "Secret": "canary@x.test"}))
    entry = worker.state.schemas["users"] + report(USERS, None, seen(worker)).encode()
    assert b"731731" not in entry
    assert b"canary" not in entry


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"unknown_columns": "mask"}, "masked by unknown_columns"),
        ({"unknown_columns": "publish"}, "published by unknown_columns"),
        ({"unknown_columns": "drop"}, "dropped by unknown_columns"),
        ({"include_fields": ("Email",)}, "left out by include_fields"),
    ],
)
def test_how_a_new_column_is_treated_is_told(options: dict[str, Any], expected: str) -> None:
    worker = Worker()
    worker.feed(dms("insert", {**USER, "ShoeSize": 42}))
    spec = replace(USERS, **options)
    assert treatment(spec, report(spec, None, seen(worker)).changes[0]) == expected


def test_the_columns_of_every_built_in_table_are_declared() -> None:
    assert all(kind is not ColumnType.ANY for spec in TELEPHONY.specs for kind in spec.columns.values())
    assert all(isinstance(spec, TableSpec) and spec.columns for spec in TELEPHONY.specs)
