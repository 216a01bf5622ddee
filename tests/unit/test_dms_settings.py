"""Every setting of a DMS target and of its task, on and off, from the record to the event.

The settings are those of `KinesisSettings`, `BeforeImageSettings`, `LobMaxSize` and the transformation rules; what each
does to a record is in the DMS user guide ("Using Amazon Kinesis Data Streams as a target").
"""

import json
from pathlib import Path
from typing import Any

import pytest

from enrichers.pipeline import PipelineOptions
from enrichers.routing import route
from models.sources.reading import PLAIN, Reading
from tests.unit.changes import COMMIT, KEY, Worker, catalogue_of, dms

TABLE = (
    "  - {table: t, entity: t, key: [ID], columns: {ID: int, Big: int}, unknown_columns: publish, images: [after]%s}\n"
)
BEFORE = {"ID": 7, "A": 1, "B": "x"}
AFTER = {"ID": 7, "A": 2, "B": "x"}
CHANGED = {"A": {"old": 1, "new": 2}}


def worker(tmp_path: Path, more: str = "", reading: Reading = PLAIN, zone: str = "UTC") -> Worker:
    options = PipelineOptions(redaction_key=KEY, readings={"core": reading}, time_zone=zone)
    return Worker(catalogue_of(tmp_path, TABLE % more), options)


def update(after: dict[str, Any] = AFTER, before: Any = BEFORE, **more: Any) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(dms("update", after, table="t", before=before, **more))
    return document


def written(document: dict[str, Any], **layout: Any) -> bytes:
    return json.dumps(document, **layout).encode()


TRANSACTION = {
    "transaction-id": 87978110091475, "transaction-record-id": 3, "prev-transaction-id": 87978110091474,
    "prev-transaction-record-id": 1, "stream-position": "mysql-bin-changelog.000042.154.17.0.1234",
}  # fmt: skip


@pytest.mark.parametrize(
    ("metadata", "layout"),
    [
        ({}, {"indent": "\t"}),  # MessageFormat json
        ({}, {"separators": (",", ":")}),  # MessageFormat json-unformatted
        (TRANSACTION, {}),  # IncludeTransactionDetails
        ({"transaction-id": 1139}, {}),  # without it, as some versions send it
        ({"partition-key-type": "primary-key", "partition-key-value": "7"}, {}),  # IncludePartitionValue
        ({"partition-key-type": "primary-key", "partition-key-value": "core.t.7"}, {}),  # PartitionIncludeSchemaTable
        ({"partition-key-type": "transaction-id", "partition-key-value": "1139"}, {}),
        ({"partition-key-type": "constant", "partition-key-value": "all"}, {}),
        ({"partition-key-type": "attribute-name", "partition-key-value": "x"}, {}),
        ({"prev-transaction-id": 5}, {}),  # the very first change has none
    ],
)
def test_a_change_is_the_same_change_however_the_target_is_set(
    tmp_path: Path, metadata: dict[str, Any], layout: dict[str, Any]
) -> None:
    value = written(update(metadata=metadata), **layout) + b"\n"
    found = worker(tmp_path).event(value)
    assert (found["changes"], found["keys"], found["timestamp"]) == (CHANGED, {"ID": 7}, COMMIT)
    assert found["metadata"].get("transactionId") == (
        str(metadata["transaction-id"]) if "transaction-id" in metadata else None
    )
    assert route(value, "p", worker(tmp_path).catalogue).key == b'["core","t",7]'


def test_without_transaction_details_the_time_is_that_of_the_message(tmp_path: Path) -> None:
    document = update()
    del document["metadata"]["commit-timestamp"]
    assert worker(tmp_path).event(written(document))["timestamp"] == "2026-01-15T10:31:00.500000Z"


def test_with_transaction_details_a_change_keeps_its_id_wherever_it_comes_again(tmp_path: Path) -> None:
    for metadata, ids in ((TRANSACTION, 1), ({"transaction-id": 1139}, 2)):
        value = written(update(metadata=metadata))
        found = {worker(tmp_path).event(value, sequence=sequence)["eventId"] for sequence in ("1", "2")}
        assert len(found) == ids


CONTROL_BODIES: list[dict[str, Any]] = [
    {}, {"control": {}},  # IncludeControlDetails off
    {"control": {"table-def": {"columns": {"ID": {"type": "INT32", "nullable": False}}, "primary-key": ["ID"]}}},
    {"control": {"table-def": {"columns": {"ID": {"type": "A TYPE OF LATER"}}}}},
]  # fmt: skip


@pytest.mark.parametrize("body", CONTROL_BODIES)
@pytest.mark.parametrize(
    "word", ["create-table", "drop-table", "rename-table", "truncate-table", "add-column", "drop-column",
             "rename-column", "change-columns", "column-type-change", "DropTable", "TruncateTable", "one-of-later"],
)  # fmt: skip
def test_a_control_record_of_any_kind_is_no_event_and_no_dead_letter(
    tmp_path: Path, word: str, body: dict[str, Any]
) -> None:
    metadata = {
        "timestamp": "2026-01-15T10:29:00Z", "record-type": "control", "operation": word, "schema-name": "core",
        "partition-key-type": "task-id", "partition-key-value": "DZ6OKLFYA5", "table-name": "t",
    }  # fmt: skip
    assert worker(tmp_path).drop(written(body | {"metadata": metadata})) == "control"
    assert worker(tmp_path).drop(written(body | {"metadata": metadata | {"schema-name": ""}})) == "control"


def test_a_change_with_a_control_object_is_still_a_change(tmp_path: Path) -> None:
    document = update() | {"control": {}}
    del document["metadata"]["record-type"]
    assert worker(tmp_path).event(written(document))["changes"] == CHANGED


@pytest.mark.parametrize(
    ("absent_of_table", "absent_of_source", "changes"),
    [
        ("", None, {"A": {"old": 1, "new": 2}}),
        ("", "null", {"A": {"old": 1, "new": 2}, "B": {"old": "x", "new": None}, "C": {"old": None, "new": 5}}),
        (", absent_columns: 'null'", None,
         {"A": {"old": 1, "new": 2}, "B": {"old": "x", "new": None}, "C": {"old": None, "new": 5}}),
        (", absent_columns: unchanged", "null", {"A": {"old": 1, "new": 2}}),
    ],
)  # fmt: skip
def test_without_null_and_empty_columns_a_gap_is_what_table_or_source_say(
    tmp_path: Path, absent_of_table: str, absent_of_source: Any, changes: dict[str, Any]
) -> None:
    ours = worker(tmp_path, absent_of_table, Reading(absent_columns=absent_of_source))
    assert ours.event(written(update({"ID": 7, "A": 2, "C": 5})))["changes"] == changes


def test_with_null_and_empty_columns_null_and_empty_are_values_of_their_own(tmp_path: Path) -> None:
    found = worker(tmp_path).event(written(update(AFTER | {"A": None, "B": ""})))
    assert found["changes"] == {"A": {"old": 1, "new": None}, "B": {"old": "x", "new": ""}}


@pytest.mark.parametrize("digits", ["0x00ff", "00ff"])
def test_hexadecimal_bytes_are_published_as_they_come_with_and_without_their_prefix(
    tmp_path: Path, digits: str
) -> None:
    found = worker(tmp_path).event(written(update(AFTER | {"B": digits})))
    assert found["changes"]["B"] == {"old": "x", "new": digits}


@pytest.mark.parametrize(
    ("sent", "published", "lost"),
    [
        (b"123456789012345678", 123456789012345678, False),  # UseLargeIntegerValue
        (b"1.2345678901234568E17", 123456789012345680, True),
        (b"123456789012345680.0", 123456789012345680, True),
        (b"-9007199254740994.0", -9007199254740994, True),
        (b"9007199254740992.0", 9007199254740992, False),
        (b"3.0", 3, False),
        (b"1E20", "100000000000000000000", True),
    ],
)
def test_an_integer_that_came_as_a_double_is_one_and_says_if_it_may_have_lost_digits(
    tmp_path: Path, sent: bytes, published: Any, lost: bool
) -> None:
    value = written(update(AFTER | {"Big": "?"})).replace(b'"?"', sent)
    found = worker(tmp_path).event(value)
    assert (found["after"]["Big"], found["metadata"].get("precisionLoss")) == (published, ["Big"] if lost else None)


def test_a_rounded_number_in_the_before_image_is_told_too(tmp_path: Path) -> None:
    value = written(update(before=BEFORE | {"Big": "?"})).replace(b'"?"', b"1E18")
    assert worker(tmp_path).event(value)["metadata"]["precisionLoss"] == ["Big"]


def test_a_fraction_in_an_integer_column_is_a_dead_letter(tmp_path: Path) -> None:
    value = written(update(AFTER | {"Big": "?"})).replace(b'"?"', b"1.5")
    assert worker(tmp_path).dead(value).reason == "column Big is not of type int"


@pytest.mark.parametrize(
    ("reading", "change", "changes"),
    [
        (Reading(), {}, CHANGED),
        (Reading(before_image="was"), {"was": BEFORE}, CHANGED),
        (Reading(), {"was": BEFORE}, CHANGED),  # nobody said so, but it looks like the row
        (Reading(), {"kinesis": {"shard": "s", "ts": 5}, "was": BEFORE}, CHANGED),
    ],
)
def test_the_before_image_stands_under_the_name_that_the_task_gives_it(
    tmp_path: Path, reading: Reading, change: dict[str, Any], changes: dict[str, Any]
) -> None:
    ours = worker(tmp_path, reading=reading)
    document = update(before=None if change else BEFORE) | change
    assert ours.event(written(document))["changes"] == changes


@pytest.mark.parametrize(
    ("reading", "beside"),
    [
        (Reading(before_image="was"), {"was2": BEFORE}),
        (Reading(), {"kinesis": {"shard": "s", "sequence": "5", "ts": 1}}),
        (Reading(), {"one": BEFORE, "two": BEFORE}),
    ],
)
def test_an_object_that_is_no_before_image_is_none(tmp_path: Path, reading: Reading, beside: dict[str, Any]) -> None:
    found = worker(tmp_path, reading=reading).event(written(update(before=None) | beside))
    assert (found["metadata"]["diff"], found["changes"]["A"]) == ("none", {"new": 2})


@pytest.mark.parametrize(
    ("reading", "name"),
    [
        (Reading(), "BI_%s"),
        (Reading(before_prefix="old_"), "old_%s"),
        (Reading(before_prefix="", before_suffix="_BEFORE"), "%s_BEFORE"),
        (Reading(before_prefix="b$", before_suffix="#"), "b$%s#"),
    ],
)
def test_before_columns_have_the_prefix_or_suffix_that_the_rule_gives_them(
    tmp_path: Path, reading: Reading, name: str
) -> None:
    row = AFTER | {name % column: value for column, value in BEFORE.items()}
    found = worker(tmp_path, reading=reading).event(written(update(row, None)))
    assert (found["changes"], found["after"]) == (CHANGED, AFTER)


def test_without_such_a_rule_columns_of_that_name_are_columns(tmp_path: Path) -> None:
    row = AFTER | {"BI_A": 1}
    found = worker(tmp_path, reading=Reading(before_prefix="")).event(written(update(row, None)))
    assert found["after"] == row


def test_a_before_image_of_the_key_alone_or_of_nothing_tells_no_former_values(tmp_path: Path) -> None:
    for before in ({}, {"ID": 7}):
        found = worker(tmp_path).event(written(update(before=before)))
        assert (found["metadata"]["diff"], found["changes"]) == ("none", {"A": {"new": 2}, "B": {"new": "x"}})


def test_a_changed_key_is_seen_in_the_before_image_and_in_its_columns(tmp_path: Path) -> None:
    for document in (update(before=BEFORE | {"ID": 6}), update(AFTER | {"BI_ID": 6}, None)):
        found = worker(tmp_path).event(written(document))
        assert (found["keys"], found["previousKeys"]) == ({"ID": 7}, {"ID": 6})
        assert route(written(document), "p", worker(tmp_path).catalogue).retired_key == b'["core","t",6]'


def test_a_delete_may_carry_its_key_alone(tmp_path: Path) -> None:
    for row in ({"ID": 7}, {"ID": 7, "A": None, "B": None}):
        found = worker(tmp_path).event(dms("delete", row, table="t"))
        assert (found["operation"], found["changes"]) == ("DELETE", {"ID": {"old": 7}})


def test_a_row_mapped_to_a_document_is_read_with_its_before_image(tmp_path: Path) -> None:
    found = worker(tmp_path).event(written(update({"ID": 7, "_doc": AFTER}, {"_doc": BEFORE})))
    assert (found["changes"], found["after"]) == (CHANGED, AFTER)


@pytest.mark.parametrize(
    ("size", "value", "cut"),
    [
        (None, "x" * 1024, False),
        (1, "x" * 1024, True),
        (1, "x" * 1023, False),
        (1, "x" * 1025, False),
        (1, "ä" * 512, True),
        (1, "ä" * 1024, True),
        (1, "0x" + "ff" * 1024, True),
        (1, "FF" * 1024, True),
        (1, "zz" * 1024, False),
        (2, "x" * 1024, False),
        (1, 5, False),
    ],
)
def test_a_value_as_long_as_lobs_may_be_is_told_as_cut_off_by_the_name_of_its_column(
    tmp_path: Path, size: int | None, value: Any, cut: bool
) -> None:
    found = worker(tmp_path, reading=Reading(lob_max_size=size)).event(written(update(AFTER | {"B": value})))
    assert found["metadata"].get("truncatedFields") == (["B"] if cut else None)
    assert found["changes"]["B"]["new"] == value


@pytest.mark.parametrize("more", ["include_fields: [A]", "unknown_columns: drop, columns: {A: int}"])
def test_what_a_table_does_not_let_out_is_not_named_either(tmp_path: Path, more: str) -> None:
    catalogue = catalogue_of(tmp_path, f"  - {{table: t, entity: t, key: [ID], {more}}}\n")
    ours = Worker(catalogue, PipelineOptions(redaction_key=KEY, readings={"core": Reading(lob_max_size=1)}))
    assert "truncatedFields" not in ours.event(written(update(AFTER | {"B": "x" * 1024})))["metadata"]


@pytest.mark.parametrize(
    ("zone", "given", "committed"),
    [
        ("UTC", "2026-01-15T10:31:00.000000Z", "2026-01-15T10:31:00.000000Z"),
        ("UTC", "2026-01-15 10:31:00", "2026-01-15T10:31:00.000000Z"),
        ("Europe/Zurich", "2026-01-15T10:31:00.5", "2026-01-15T09:31:00.500000Z"),
        ("Europe/Zurich", "2026-07-15T10:31:00", "2026-07-15T08:31:00.000000Z"),
        ("Europe/Zurich", "2026-01-15T10:31:00Z", "2026-01-15T10:31:00.000000Z"),
        ("Europe/Zurich", "2026-01-15T10:31:00+05:00", "2026-01-15T05:31:00.000000Z"),
    ],
)
def test_a_commit_time_without_a_zone_is_of_the_configured_one(
    tmp_path: Path, zone: str, given: str, committed: str
) -> None:
    value = written(update(metadata={"commit-timestamp": given}))
    assert worker(tmp_path, zone=zone).event(value)["timestamp"] == committed
