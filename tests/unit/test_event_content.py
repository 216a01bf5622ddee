"""What an event says: ids, order, times, changes. Nothing in it depends on the clock or on the run."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enrichers.diff import same
from enrichers.pipeline import PipelineOptions
from enrichers.state import Memorize
from models.event import read_envelope
from models.outcome import Dead, Failure, Ok
from tests.unit.changes import COMMIT, KEY, USER, Worker, catalogue_of, dms

BEFORE = {"ID": 7, "Email": "b@x.test"}
PLAIN = "  - {table: t, entity: t, key: [ID], unknown_columns: publish%s}\n"


def plain(tmp_path: Path, more: str = "") -> Worker:
    return Worker(catalogue_of(tmp_path, PLAIN % (f", {more}" if more else "")))


def test_an_update_has_the_shape_of_the_contract() -> None:
    detail = Worker().event(dms("update", USER, before=BEFORE, transaction=87978110091475), sequence="4966")
    digest = detail["eventId"].removeprefix("evt_1768473060000_")
    assert len(digest) == 20
    assert detail == {
        "eventId": f"evt_1768473060000_{digest}",
        "eventType": "user.updated",
        "entityType": "users",
        "entityId": "7",
        "operation": "UPDATE",
        "timestamp": COMMIT,
        "orgId": "3",
        "userId": "7",
        "keys": {"ID": 7},
        "changes": {"Email": {"old": "b**@x.test", "new": "a**@x.test"}},
        "changedFields": ["Email"],
        "metadata": {
            "service": "cdc-pipeline",
            "environment": "PRD",
            "version": "1.0",
            "source": "dms",
            "sourceSchema": "core",
            "sourceTable": "users",
            "sequenceNumber": "4966",
            "shardId": "shardId-000000000002",
            "sequence": "0001-00000000000000000001",
            "transactionId": "87978110091475",
            "correlationId": digest,
            "processedAt": "2026-01-15T10:31:00.412Z",
            "snapshot": False,
            "redactedFields": ["Email"],
            "enrichment": {"source": "record", "stale": False},
        },
    }


def test_the_bytes_are_compact_sorted_and_utf8() -> None:
    outcome = Worker().feed(dms("insert", {**USER, "FirstName": "Zoë"})).outcome
    assert isinstance(outcome, Ok)
    value = outcome.value.value
    expected = json.dumps(json.loads(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert value == expected.encode()


def test_the_publisher_reads_the_envelope_back() -> None:
    outcome = Worker().feed(dms("insert", USER)).outcome
    assert isinstance(outcome, Ok)
    event = outcome.value
    envelope = read_envelope(event.value)
    assert (envelope.event_id, envelope.event_type) == (event.event_id, "user.created")
    assert (envelope.entity_type, envelope.time) == ("users", datetime.fromisoformat(COMMIT))
    assert event.key == b"users:7"


@pytest.mark.parametrize("value", [b"", b"{}", b"[]", b"\xff", b'{"eventId":"a","eventType":"b","entityType":"c"}'])
def test_what_is_no_event_is_a_value_error(value: bytes) -> None:
    with pytest.raises(ValueError, match="not an event"):
        read_envelope(value)


@given(st.integers(1, 10**9), st.sampled_from(["insert", "update", "delete"]))
def test_one_change_delivered_twice_has_one_id(transaction: int, operation: str) -> None:
    value = dms(operation, USER, transaction=transaction)
    one, two = Worker().event(value, sequence="1"), Worker().event(value, sequence="2")
    assert one["eventId"] == two["eventId"]


def test_without_an_identity_the_position_names_the_change() -> None:
    value = dms("insert", USER)
    one, again, other = (Worker().event(value, sequence=sequence)["eventId"] for sequence in ("1", "1", "2"))
    assert one == again != other


def test_two_rows_of_one_transaction_have_two_ids() -> None:
    worker = Worker()
    assert (
        worker.event(dms("insert", USER, transaction=1))["eventId"]
        != worker.event(dms("insert", {**USER, "ID": 8}, transaction=1))["eventId"]
    )


def test_a_change_sent_again_is_dropped_but_not_when_replayed() -> None:
    worker = Worker()
    value = dms("update", USER, before=BEFORE, transaction=1)
    first = worker.event(value)
    assert worker.drop(value) == "resent"
    replayed = worker.event(value, replay=2)
    assert replayed["eventId"] == first["eventId"]
    assert replayed["metadata"]["replay"] == 2


def test_without_an_identity_nothing_counts_as_resent() -> None:
    worker = Worker()
    worker.event(dms("insert", USER), sequence="1")
    worker.event(dms("insert", USER), sequence="1")


def test_a_table_may_let_duplicates_pass(tmp_path: Path) -> None:
    worker = plain(tmp_path, "duplicates: pass")
    for _ in range(2):
        worker.event(dms("insert", {"ID": 1}, table="t", transaction=1))


def test_the_last_sixteen_changes_of_a_row_are_remembered() -> None:
    worker = Worker()
    for transaction in range(20):
        worker.event(dms("update", USER, transaction=transaction))
    worker.state.recent.clear()  # other rows have changed since, more often than a slot remembers
    assert worker.drop(dms("update", USER, transaction=4)) == "resent"
    worker.event(dms("update", USER, transaction=3))
    assert len(next(iter(worker.state.memories.values())).changes) == 16


def test_a_replayed_old_change_does_not_overwrite_newer_owners() -> None:
    worker = Worker()
    worker.event(dms("update", {**USER, "HomeOrgID": 4}, metadata={"commit-timestamp": "2026-01-16T00:00:00Z"}))
    worker.event(dms("update", USER), replay=1)
    assert {entry.org_id for entry in worker.state.lookups.values()} == {"4"}
    assert {memory.org_id for memory in worker.state.memories.values()} == {"4"}


def test_an_unchanged_memory_is_not_written_again() -> None:
    worker = Worker()
    worker.feed(dms("insert", USER))
    assert not any(isinstance(effect, Memorize) for effect in worker.feed(dms("update", USER)).effects)


def test_the_trace_of_the_record_is_the_correlation_id() -> None:
    assert Worker().event(dms("insert", USER), trace="abc")["metadata"]["correlationId"] == "abc"


def test_the_time_of_a_change_without_commit_time_is_that_of_the_message() -> None:
    detail = Worker().event(dms("insert", USER, metadata={"commit-timestamp": None}))
    assert detail["timestamp"] == "2026-01-15T10:31:00.500000Z"


def test_composite_keys_are_joined_and_escaped(tmp_path: Path) -> None:
    worker = Worker(catalogue_of(tmp_path, "  - {table: t, entity: t, key: [A, B]}\n"))
    assert worker.event(dms("insert", {"A": "x:y%", "B": 2}, table="t"))["entityId"] == "x%3Ay%25:2"


def test_a_changed_key_is_one_update_with_both_keys() -> None:
    detail = Worker().event(dms("update", USER, before={"ID": 6}))
    assert (detail["keys"], detail["previousKeys"], detail["entityId"]) == ({"ID": 7}, {"ID": 6}, "7")
    assert detail["changes"]["ID"] == {"old": 6, "new": 7}


def test_without_a_before_image_every_column_is_listed_with_its_new_value(tmp_path: Path) -> None:
    for before in (None, {}, {"ID": 1}):
        detail = plain(tmp_path).event(dms("update", {"ID": 1, "A": 1, "B": None}, table="t", before=before))
        assert detail["changes"] == {"A": {"new": 1}, "B": {"new": None}}
        assert detail["metadata"]["diff"] == "none"


def test_an_absent_column_counts_as_unchanged(tmp_path: Path) -> None:
    detail = plain(tmp_path).event(dms("update", {"ID": 1, "A": 2, "C": 5}, table="t", before={"A": 1, "B": 3}))
    assert detail["changes"] == {"A": {"old": 1, "new": 2}}


def test_a_before_image_of_the_key_alone_says_nothing_of_the_other_columns(tmp_path: Path) -> None:
    worker = plain(tmp_path, "absent_columns: 'null'")
    detail = worker.event(dms("update", {"ID": 1, "A": 2, "B": None}, table="t", before={"ID": 1}))
    assert detail["changes"] == {"A": {"new": 2}, "B": {"new": None}}
    assert detail["metadata"]["diff"] == "none"


def test_an_absent_column_is_null_where_the_table_says_so(tmp_path: Path) -> None:
    worker = plain(tmp_path, "absent_columns: 'null'")
    detail = worker.event(dms("update", {"ID": 1, "A": 2, "C": 5}, table="t", before={"ID": 1, "A": 1, "B": 3}))
    assert detail["changes"] == {
        "A": {"old": 1, "new": 2},
        "B": {"old": 3, "new": None},
        "C": {"old": None, "new": 5},
    }


def test_a_delete_lists_what_is_known_of_the_row(tmp_path: Path) -> None:
    detail = plain(tmp_path).event(dms("delete", {"ID": 1, "A": 2, "B": None}, table="t"))
    assert detail["changes"] == {"ID": {"old": 1}, "A": {"old": 2}}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=8,
)


@given(JSON)
def test_a_value_is_the_same_as_itself_in_any_spelling(value: Any) -> None:
    assert same(value, json.loads(json.dumps(value)))
    assert same(json.dumps(value), json.dumps(value, indent=2), is_json=True)


def test_numbers_are_compared_by_value_and_types_are_not_mixed(tmp_path: Path) -> None:
    worker = plain(tmp_path)
    before = b'{"N":3.0,"M":{"x":[1,2.50]},"T":"3","B":1}'
    value = dms("update", {"ID": 1, "N": 3, "M": {"x": [1.0, 2.5]}, "T": 3, "B": True}, table="t", before={})
    value = value.replace(b'"before-image": {}', b'"before-image": ' + before)
    assert worker.event(value)["changedFields"] == ["B", "T"]


def test_numbers_leave_exact(tmp_path: Path) -> None:
    value = dms("insert", {"ID": 1, "N": 0}, table="t")
    for sent, published in (
        (b"9223372036854775807", 2**63 - 1),
        (b"9223372036854775808", "9223372036854775808"),
        (b"0.1000000000000000000000001", "0.1000000000000000000000001"),
        (b"1.50", "1.50"),
    ):
        detail = plain(tmp_path).event(value.replace(b'"N": 0', b'"N": ' + sent))
        assert detail["changes"]["N"] == {"new": published}


@pytest.mark.parametrize(
    ("rule", "sent", "published"),
    [
        ("ISO_DATE", "2026-01-15 10:30:00", "2026-01-15T10:30:00.000000Z"),
        ("ISO_DATE", "2026-01-15T10:30:00.5+02:00", "2026-01-15T08:30:00.500000Z"),
        ("ISO_DATE", "2026-01-15", "2026-01-15T00:00:00.000000Z"),
        ("ISO_DATE", 1768473060, "2026-01-15T10:31:00.000000Z"),
        ("ISO_DATE", 1768473060412, "2026-01-15T10:31:00.412000Z"),
        ("ISO_DATE", 1768473060412345, "2026-01-15T10:31:00.412345Z"),
        ("DECIMAL", "2.675", "2.68"),
        ("DECIMAL", "-2.675", "-2.68"),
        ("DECIMAL", 3, "3.00"),
        ("UPPERCASE", "abc", "ABC"),
        ("LOWERCASE", "ABC", "abc"),
        ("DECIMAL", None, None),
    ],
)
def test_transformations_change_the_form_everywhere(tmp_path: Path, rule: str, sent: object, published: object) -> None:
    worker = plain(tmp_path, f"transform: {{V: {rule}}}, images: [after]")
    detail = worker.event(dms("insert", {"ID": 1, "V": sent}, table="t"))
    assert detail["changes"]["V"]["new"] == published
    assert detail["after"]["V"] == published


@pytest.mark.parametrize(
    ("rule", "value"),
    [("ISO_DATE", "soon"), ("ISO_DATE", True), ("ISO_DATE", 10**30), ("DECIMAL", "a"), ("UPPERCASE", 1)],
)
def test_a_value_without_the_form_is_a_transformation_error(tmp_path: Path, rule: str, value: object) -> None:
    dead = plain(tmp_path, f"transform: {{V: {rule}}}").dead(dms("insert", {"ID": 1, "V": value}, table="t"))
    assert dead == Dead(Failure.TRANSFORMATION_ERROR, f"column V has no {rule} form")


def test_times_without_a_zone_are_of_the_configured_zone(tmp_path: Path) -> None:
    catalogue = catalogue_of(tmp_path, PLAIN % ", transform: {V: ISO_DATE}")
    worker = Worker(catalogue, PipelineOptions(redaction_key=KEY, time_zone="Europe/Zurich"))
    detail = worker.event(dms("insert", {"ID": 1, "V": "2026-01-15T10:30:00Z"}, table="t"))
    assert detail["changes"]["V"]["new"] == "2026-01-15T09:30:00.000000Z"


def test_only_the_listed_columns_are_published(tmp_path: Path) -> None:
    detail = plain(tmp_path, "include_fields: [A]").event(dms("insert", {"ID": 1, "A": 1, "B": 2}, table="t"))
    assert detail["changedFields"] == ["A", "ID"]


def test_snapshots_are_published_only_if_the_table_says_so(tmp_path: Path) -> None:
    assert Worker().drop(dms("load", USER)) == "snapshot"
    detail = plain(tmp_path, "publish_snapshots: true").event(dms("load", {"ID": 1}, table="t"))
    assert (detail["operation"], detail["eventType"], detail["metadata"]["snapshot"]) == ("INSERT", "t.created", True)


def test_operations_that_are_not_listed_are_dropped(tmp_path: Path) -> None:
    worker = plain(tmp_path, "operations: [INSERT], event_types: {INSERT: t.born}")
    assert worker.drop(dms("delete", {"ID": 1}, table="t")) == "operation_not_listed"
    assert worker.event(dms("insert", {"ID": 1}, table="t"))["eventType"] == "t.born"


def test_unknown_tables_are_dropped_or_dead_if_strict() -> None:
    value = dms("insert", {"ID": 1}, table="other")
    assert Worker().drop(value) == "unknown_table"
    assert Worker(options=PipelineOptions(strict_tables=True)).dead(value).failure is Failure.VALIDATION_ERROR


def test_upper_case_columns_are_published_under_the_names_of_the_table() -> None:
    detail = Worker().event(dms("insert", {name.upper(): value for name, value in USER.items()}, table="USERS"))
    assert detail["changedFields"] == sorted(USER)
    assert (detail["orgId"], detail["keys"]) == ("3", {"ID": 7})


def test_two_spellings_of_one_column_are_not_guessed_at() -> None:
    detail = Worker().event(dms("insert", {**USER, "EMAIL": "other@x.test"}))
    assert detail["changes"]["Email"] == {"new": "a**@x.test"}
    assert detail["changes"]["EMAIL"] == {"new": "***REDACTED***"}


def test_a_bug_in_a_step_is_a_dead_letter_without_values(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise KeyError("SECRET")

    monkeypatch.setattr("enrichers.pipeline.diff", broken)
    dead = Worker().dead(dms("insert", USER))
    assert dead.failure is Failure.TRANSFORMATION_ERROR
    assert "SECRET" not in dead.reason
