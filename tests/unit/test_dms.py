"""DMS records in every shape a source sends them."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.change import Control, Operation, SourceRow
from models.outcome import Dead, Failure
from models.sources.dms import decode
from models.strict_json import JsonError
from models.strict_json import decode as decode_json
from tests.unit.changes import USER, Worker, dms

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def read(value: bytes) -> SourceRow:
    found = decode(decode_json(value))
    assert isinstance(found, SourceRow), found
    return found


@pytest.mark.parametrize(
    ("word", "operation", "snapshot"),
    [
        ("load", Operation.CREATE, True),
        ("read", Operation.CREATE, True),
        ("insert", Operation.CREATE, False),
        ("create", Operation.CREATE, False),
        ("update", Operation.UPDATE, False),
        ("delete", Operation.DELETE, False),
        ("INSERT", Operation.CREATE, False),
        ("merge", Operation.UNKNOWN, False),
    ],
)
def test_every_data_operation_is_known_or_unknown(word: str, operation: Operation, snapshot: bool) -> None:
    row = read(dms(word, USER))
    assert (row.operation, row.snapshot) == (operation, snapshot)


@pytest.mark.parametrize(
    "word", ["create-table", "drop-table", "rename-table", "add-column", "drop-column", "rename-column",
             "change-columns", "column-type-change", "truncate-table", "TruncateTable", "DropTable"],
)  # fmt: skip
@pytest.mark.parametrize("typed", [True, False])
def test_control_records_are_seen_with_and_without_a_record_type(word: str, typed: bool) -> None:
    document = json.loads(dms(word, None, table="awsdms_apply_exceptions", schema=""))
    document["metadata"]["record-type"] = "control"
    if not typed:
        del document["metadata"]["record-type"]
    assert isinstance(decode(document), Control)
    assert Worker().drop(json.dumps(document).encode()) == "control"


def test_pretty_printed_and_unformatted_records_are_the_same_change() -> None:
    compact = dms("insert", USER)
    pretty = json.dumps(json.loads(compact), indent="\t").encode() + b"\n"
    assert read(compact) == read(pretty)


def test_the_before_image_is_found_under_any_field_name() -> None:
    document = json.loads(dms("update", USER, before={"ID": 7, "Email": "old@x.test"}))
    document["was"] = document.pop("before-image")
    found = decode(document)
    assert isinstance(found, SourceRow)
    assert found.before == {"ID": 7, "Email": "old@x.test"}


def test_before_columns_inside_data_become_the_before_image() -> None:
    row = read(dms("update", {"ID": 7, "BI_ID": 6, "Email": "new@x.test", "BI_Email": "old@x.test"}))
    assert row.row == {"ID": 7, "Email": "new@x.test"}
    assert row.before == {"ID": 6, "Email": "old@x.test"}


def test_a_column_that_only_looks_like_a_before_column_stays_a_column() -> None:
    assert read(dms("update", {"ID": 7, "BI_Score": 3})).row == {"ID": 7, "BI_Score": 3}
    assert read(dms("insert", {"ID": 7, "Score": 1, "BI_Score": 3})).before is None


def test_a_row_nested_by_map_record_to_document_is_read_flat() -> None:
    assert read(dms("insert", {"ID": 7, "_doc": {"HomeOrgID": 3}})).row == {"ID": 7, "HomeOrgID": 3}


def test_a_change_has_an_identity_only_if_all_three_parts_are_there() -> None:
    assert read(dms("insert", USER, transaction=5)).identity == ("mysql-bin-changelog.000042.5", "5", "1")
    assert read(dms("insert", USER, metadata={"transaction-id": 5})).identity is None


def test_the_transaction_id_is_text_of_any_size() -> None:
    assert read(dms("insert", USER, metadata={"transaction-id": 2**70})).transaction_id == str(2**70)


@pytest.mark.parametrize(
    ("change", "failure"),
    [
        (lambda d: d.pop("metadata"), Failure.PARSE_ERROR),
        (lambda d: d.update(metadata=[]), Failure.PARSE_ERROR),
        (lambda d: d.update(data=[1]), Failure.VALIDATION_ERROR),
        (lambda d: d.pop("data"), Failure.VALIDATION_ERROR),
        (lambda d: d["metadata"].update(operation=5), Failure.VALIDATION_ERROR),
        (lambda d: d["metadata"].update(operation="merge"), Failure.VALIDATION_ERROR),
        (lambda d: d["metadata"].pop("table-name"), Failure.VALIDATION_ERROR),
        (lambda d: d["metadata"].update({"commit-timestamp": 5}), Failure.VALIDATION_ERROR),
        (lambda d: d["metadata"].update({"commit-timestamp": "yesterday"}), Failure.VALIDATION_ERROR),
        (lambda d: d["metadata"].update({"commit-timestamp": "0001-01-01T00:00:00+14:00"}), Failure.VALIDATION_ERROR),
        (lambda d: d["metadata"].update({"commit-timestamp": "1969-12-31T23:59:59Z"}), Failure.VALIDATION_ERROR),
        (lambda d: d["data"].pop("ID"), Failure.VALIDATION_ERROR),
        (lambda d: d["data"].update(ID=None), Failure.VALIDATION_ERROR),
        (lambda d: d["data"].update(ID=[7]), Failure.VALIDATION_ERROR),
        (lambda d: d["data"].update(ID="seven"), Failure.VALIDATION_ERROR),
        (lambda d: d["data"].update(Email=[5]), Failure.VALIDATION_ERROR),
        (lambda d: d["data"].pop("HomeOrgID"), Failure.VALIDATION_ERROR),
    ],
)
def test_what_a_source_gets_wrong_is_a_dead_letter_of_its_kind(change: Any, failure: Failure) -> None:
    document = json.loads(dms("insert", USER))
    change(document)
    assert Worker().dead(json.dumps(document).encode()).failure is failure


@given(JSON, st.sampled_from(["data", "metadata", "before-image", "operation", "table-name", "schema-name", "control"]))
def test_the_decoder_answers_any_document_without_raising(value: Any, place: str) -> None:
    document = json.loads(dms("update", USER, before={"ID": 7}))
    (document if place in ("data", "metadata", "before-image", "control") else document["metadata"])[place] = value
    assert isinstance(decode(document), SourceRow | Control | Dead)
    Worker().feed(json.dumps(document).encode())


@given(st.binary(max_size=100))
def test_any_bytes_end_in_an_outcome(value: bytes) -> None:
    try:
        decode_json(value)
    except JsonError:
        assert Worker().dead(value).failure is Failure.PARSE_ERROR
    else:
        Worker().feed(value)
