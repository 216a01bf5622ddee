"""`detail_type_style: table-change`: one detail type for all events of a table, and its rows in them."""

from pathlib import Path

import jsonschema
import pytest

from models.catalogue import Catalogue
from models.outcome import Ok
from models.yaml_nodes import InvalidFile
from tests.contract.test_event_schema import SCHEMA
from tests.unit.changes import TELEPHONY, USER, Worker, catalogue_of, dms
from workers.eventbridge.entry import Entry, EntryRules, entry_of

ENTRY = "  - {table: users, detail_type_style: table-change}\n"


def styled(directory: Path) -> Catalogue:
    return catalogue_of(directory, ENTRY, builtin="telephony")


def entry_made_of(catalogue: Catalogue, record: bytes) -> Entry:
    outcome = Worker(catalogue).feed(record).outcome
    assert isinstance(outcome, Ok)
    entry = entry_of(outcome.value.key, outcome.value.value, EntryRules("cdc-pipeline", 1 << 20))
    assert isinstance(entry, Entry)
    assert entry.detail == outcome.value.value
    return entry


@pytest.mark.parametrize("operation", ["insert", "update", "delete"])
def test_every_change_of_the_table_has_the_one_detail_type(tmp_path: Path, operation: str) -> None:
    entry = entry_made_of(styled(tmp_path), dms(operation, USER, before=USER if operation == "update" else None))
    assert (entry.detail_type, entry.source) == ("CDC.TableChange", "cdc-pipeline.users")


def test_other_tables_keep_their_own_detail_types(tmp_path: Path) -> None:
    record = dms("insert", {"ID": 3, "Name": "Acme", "Status": "ACTIVE"}, table="orgs")
    assert entry_made_of(styled(tmp_path), record).detail_type == "org.created"


def test_the_event_holds_both_rows_redacted_and_is_valid_under_the_event_schema(tmp_path: Path) -> None:
    before = {**USER, "Status": "NEW", "SSN": "078-05-1120"}
    detail = Worker(styled(tmp_path)).event(dms("update", USER, before=before, transaction=9))
    jsonschema.validate(detail, SCHEMA)
    assert detail["table"] == detail["metadata"]["sourceTable"] == "users"
    assert (detail["before"]["Status"], detail["after"]["Status"]) == ("NEW", "ACTIVE")
    assert detail["after"]["Email"] == "a**@x.test"
    assert "SSN" not in detail["before"]
    assert (detail["operation"], detail["keys"], detail["eventType"]) == ("UPDATE", {"ID": 7}, "user.updated")
    assert {"transactionId", "sequenceNumber"} <= detail["metadata"].keys()


def test_rows_in_an_event_hold_included_fields_alone(tmp_path: Path) -> None:
    entry = "  - {table: users, detail_type_style: table-change, include_fields: [Status]}\n"
    detail = Worker(catalogue_of(tmp_path, entry, builtin="telephony")).event(dms("insert", USER))
    assert detail["after"] == {"ID": 7, "Status": "ACTIVE"}


def test_the_file_can_say_it_for_all_tables_and_a_table_for_itself(tmp_path: Path) -> None:
    path = tmp_path / "tables.yaml"
    path.write_text(
        "version: 1\ndetail_type_style: table-change\n"
        "tables:\n  - {table: orgs, detail_type_style: event-type}\n  - {table: users, entity: person}\n",
        encoding="utf-8",
    )
    from models.catalogue import load_catalogue

    styles = {spec.name: spec.detail_type_style for spec in load_catalogue("telephony", path).specs}
    assert styles == {spec.name: "table-change" for spec in TELEPHONY.specs} | {"orgs": "event-type"}


def test_an_unknown_style_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(InvalidFile, match="did you mean table-change"):
        catalogue_of(tmp_path, "  - {table: users, detail_type_style: table-changes}\n", builtin="telephony")
