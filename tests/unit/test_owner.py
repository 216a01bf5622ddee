"""Owners: found in the record, before it, in memory or in a lookup; never guessed."""

from pathlib import Path

import pytest

from models.outcome import Dead, Failure, Miss, Ok
from tests.unit.changes import USER, Worker, catalogue_of, dms

GROUP = {"ID": 21, "OrgID": 3, "Name": "Support", "Type": "QUEUE"}
MAPPED = {"ID": 9, "GroupID": 21, "UserID": 7, "Action": "ADD"}

CHANNELS = """
  - table: channels
    entity: channel
    key: [ID]
    unknown_columns: publish
    on_missing_owner: publish
    owner:
      org:
        - {lookup: users, by: OwnerID, when: {OwnerType: User}}
        - {lookup: groups, by: OwnerID, when: {OwnerType: Group}}
      user: [{column: OwnerID, when: {OwnerType: User}}]
"""


def owner(detail: dict[str, object]) -> tuple[object, object, object]:
    metadata = detail["metadata"]
    assert isinstance(metadata, dict)
    return detail.get("orgId"), detail.get("userId"), metadata["enrichment"]["source"]


def test_the_owner_of_a_user_stands_in_its_record() -> None:
    assert owner(Worker().event(dms("insert", USER))) == ("3", "7", "record")


@pytest.mark.parametrize("org", [3, 3.0, "3"])
def test_owner_ids_are_text_whatever_the_source_sends(org: object) -> None:
    assert owner(Worker().event(dms("insert", {**USER, "HomeOrgID": org})))[0] == "3"


def test_the_owner_may_stand_in_the_before_image_only() -> None:
    detail = Worker().event(dms("update", {"ID": 7, "Email": "b@x"}, before={"ID": 7, "HomeOrgID": 3, "Email": "a@x"}))
    assert owner(detail) == ("3", "7", "before")


def test_a_deleted_user_is_owned_by_what_it_was() -> None:
    assert owner(Worker().event(dms("delete", USER))) == ("3", "7", "before")


@pytest.mark.parametrize("rest", [{}, {"HomeOrgID": None, "Email": None}])
def test_a_delete_with_only_the_key_finds_its_owner_in_memory(rest: dict[str, None]) -> None:
    worker = Worker()
    worker.feed(dms("load", USER))
    assert owner(worker.event(dms("delete", {"ID": 7, **rest}))) == ("3", "7", "memory")


def test_a_delete_of_a_row_never_seen_has_no_owner() -> None:
    detail = Worker().event(dms("delete", {"ID": 7}))
    assert owner(detail) == (None, "7", "missing")


def test_an_owner_set_to_null_is_no_owner_and_memory_does_not_bring_it_back() -> None:
    worker = Worker()
    worker.feed(dms("insert", USER))
    assert owner(worker.event(dms("update", {**USER, "HomeOrgID": None}))) == (None, "7", "record")


def test_a_partial_update_is_owned_by_the_last_known_owner() -> None:
    worker = Worker()
    worker.feed(dms("insert", USER))
    assert owner(worker.event(dms("update", {"ID": 7, "Email": "b@x"}))) == ("3", "7", "memory")


@pytest.mark.parametrize("operation", ["load", "insert", "update"])
def test_a_lookup_is_fed_by_every_kind_of_record(operation: str) -> None:
    worker = Worker()
    worker.feed(dms(operation, GROUP, table="groups"))
    assert owner(worker.event(dms("insert", MAPPED, table="group_maps_log"))) == ("3", "7", "table")


def test_a_lookup_finds_rows_however_the_reference_is_spelled() -> None:
    worker = Worker()
    worker.feed(dms("load", GROUP, table="groups"))
    assert owner(worker.event(dms("insert", {**MAPPED, "GroupID": "21"}, table="group_maps_log")))[0] == "3"


def test_a_deleted_row_is_gone_from_its_lookup() -> None:
    worker = Worker()
    worker.feed(dms("load", GROUP, table="groups"))
    worker.feed(dms("delete", {"ID": 21}, table="groups"))
    assert owner(worker.event(dms("insert", MAPPED, table="group_maps_log")))[2] == "missing"


def test_a_partial_update_does_not_take_the_organisation_out_of_the_lookup() -> None:
    worker = Worker()
    worker.feed(dms("load", GROUP, table="groups"))
    worker.feed(dms("update", {"ID": 21, "Name": "Sales"}, table="groups"))
    assert owner(worker.event(dms("insert", MAPPED, table="group_maps_log")))[0] == "3"


def test_a_patient_pipeline_asks_to_wait_for_the_lookup_and_changes_nothing() -> None:
    worker = Worker(patient=True)
    result = worker.feed(dms("insert", MAPPED, table="group_maps_log"))
    assert result.outcome == Miss("groups", "21", 5.0)
    assert result.effects == ()


def test_an_impatient_pipeline_publishes_without_owner() -> None:
    assert owner(Worker().event(dms("insert", MAPPED, table="group_maps_log"))) == (None, "7", "missing")


def test_a_table_may_want_unowned_changes_dead(tmp_path: Path) -> None:
    entry = "  - {table: group_maps_log, on_missing_owner: 'wait:30s,dead'}\n"
    worker = Worker(catalogue_of(tmp_path, entry, builtin="telephony"), patient=True)
    value = dms("insert", MAPPED, table="group_maps_log")
    assert worker.feed(value).outcome == Miss("groups", "21", 30.0)
    worker.patient = False
    assert worker.feed(value).outcome == Dead(Failure.ENRICHMENT_ERROR, "no owner found")


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"OwnerType": "User", "OwnerID": 7}, ("3", "7", "table")),
        ({"OwnerType": "Group", "OwnerID": 21}, ("4", None, "table")),
        ({"OwnerType": "Carrier", "OwnerID": 21}, (None, None, "record")),
    ],
)
def test_conditions_choose_the_case(tmp_path: Path, row: dict[str, object], expected: tuple[object, ...]) -> None:
    worker = Worker(catalogue_of(tmp_path, CHANNELS, builtin="telephony"))
    worker.feed(dms("load", USER))
    worker.feed(dms("load", {**GROUP, "OrgID": 4}, table="groups"))
    assert owner(worker.event(dms("insert", {"ID": 1, **row}, table="channels"))) == expected


def test_a_moved_reference_is_owned_by_where_it_points_now(tmp_path: Path) -> None:
    worker = Worker(catalogue_of(tmp_path, CHANNELS, builtin="telephony"))
    worker.feed(dms("load", USER))
    worker.feed(dms("load", {**GROUP, "OrgID": 4}, table="groups"))
    worker.feed(dms("insert", {"ID": 1, "OwnerType": "User", "OwnerID": 7}, table="channels"))
    moved = worker.event(dms("update", {"ID": 1, "OwnerType": "Group", "OwnerID": 21}, table="channels"))
    assert owner(moved) == ("4", None, "table")
    assert owner(worker.event(dms("delete", {"ID": 1}, table="channels")))[0] == "4"


def test_an_entry_younger_than_the_change_is_marked_stale() -> None:
    worker = Worker()
    worker.feed(dms("load", GROUP, table="groups", metadata={"commit-timestamp": "2026-01-16T00:00:00Z"}))
    detail = worker.event(dms("insert", MAPPED, table="group_maps_log"))
    assert detail["metadata"]["enrichment"] == {"source": "table", "stale": True}


def test_a_changed_key_moves_lookup_and_memory_to_the_new_row() -> None:
    worker = Worker()
    worker.feed(dms("load", {**GROUP, "ID": 20}, table="groups"))
    worker.feed(dms("update", {"ID": 21, "Name": "Support"}, before={"ID": 20}, table="groups"))
    assert owner(worker.event(dms("insert", MAPPED, table="group_maps_log")))[0] == "3"


def test_a_retired_key_leaves_nothing_behind() -> None:
    worker = Worker()
    worker.feed(dms("insert", USER, transaction=1))
    result = worker.retire(b'["core","users",7]')
    assert str(result.outcome) == "Drop(reason='key_moved')"
    assert not worker.state.lookups
    assert not worker.state.memories


def test_append_only_tables_keep_no_memory() -> None:
    worker = Worker()
    worker.feed(dms("insert", MAPPED, table="group_maps_log", transaction=1))
    assert not worker.state.memories


def test_a_table_without_a_schema_serves_the_first_schema_only() -> None:
    worker = Worker()
    assert isinstance(worker.feed(dms("insert", USER)).outcome, Ok)
    assert worker.drop(dms("insert", USER, schema="archive")) == "unknown_table"


def test_an_upper_case_source_of_a_table_with_a_schema_feeds_its_lookup(tmp_path: Path) -> None:
    entries = "  - {table: groups, schema: core}\n"
    worker = Worker(catalogue_of(tmp_path, entries, builtin="telephony"))
    worker.feed(dms("load", GROUP, table="GROUPS", schema="CORE"))
    assert owner(worker.event(dms("insert", MAPPED, table="GROUP_MAPS_LOG", schema="CORE")))[0] == "3"


OF_USER = {"OwnerType": "User", "OwnerID": 7, "Type": "SMS", "Address": "+41446681800", "Status": "ON"}
OF_GROUP = OF_USER | {"OwnerType": "Group", "OwnerID": 21}
PROFILE = {"Name": "ring", "ProfileKey": "k"}
CALL = {"OrgID": 3, "UserID": 7, "Direction": "IN", "State": "UP", "StartedAt": "2026-01-15T10:31:00Z"}


@pytest.mark.parametrize(
    ("table", "row", "expected"),
    [
        ("user_scopes", {"OrgID": 3, "UserID": 7, "Scope": "billing"}, ("3", "7", "record")),
        ("pool", {"OrgID": 3, "UserID": 7, "Number": "+41446681800", "Status": "USED"}, ("3", "7", "record")),
        ("pool", {"OrgID": None, "UserID": None, "Number": "+41446681800", "Status": "FREE"}, (None, None, "record")),
        ("call_status", CALL, ("3", "7", "record")),
        ("call_status", CALL | {"UserID": None}, ("3", None, "record")),
        ("call_center_queues", {"OrgID": 3, "Name": "q", "CallbackEnabled": 1, "UserID": 7}, ("3", None, "record")),
        ("channels", OF_USER, ("3", "7", "table")),
        ("channels", OF_GROUP, ("4", None, "table")),
        ("channels", OF_USER | {"OwnerType": None, "OwnerID": None}, (None, None, "record")),
        ("profiles", PROFILE | {"ScopeType": "ORG", "ScopeID": 3}, ("3", None, "record")),
        ("profiles", PROFILE | {"ScopeType": "USER", "ScopeID": 7}, ("3", "7", "table")),
        ("profiles", PROFILE | {"ScopeType": "GROUP", "ScopeID": 21}, ("4", None, "table")),
        ("profiles", PROFILE | {"ScopeType": "GLOBAL", "ScopeID": None}, (None, None, "record")),
    ],
)
def test_every_built_in_table_finds_its_owner_by_its_own_rule(
    table: str, row: dict[str, object], expected: tuple[object, object, object]
) -> None:
    worker = Worker()
    worker.feed(dms("load", USER))
    worker.feed(dms("load", GROUP | {"OrgID": 4}, table="groups"))
    key = {"CallID": "c:1"} if table == "call_status" else {"ID": 1}
    assert owner(worker.event(dms("insert", key | row, table=table))) == expected


def test_what_is_secret_about_channels_calls_and_numbers_leaves_no_trace() -> None:
    secret = {"Config": '{"token": "abracadabra"}', "Secret": "abracadabra"}
    channel = str(Worker().event(dms("insert", {"ID": 1} | OF_USER | secret, table="channels")))
    assert "abracadabra" not in channel
    assert "+41446681800" not in channel
    uris = {"FromURI": "sip:greta@example.org", "ToURI": "sip:john@example.org", "CallerNumber": "+41446681800"}
    call = str(Worker().event(dms("insert", {"CallID": "c:1"} | CALL | uris, table="call_status")))
    assert not [text for text in ("greta", "john", "446681800") if text in call]
    number = str(Worker().event(dms("insert", {"ID": 1, "Number": "+41446681800", "Status": "FREE"}, table="pool")))
    assert "446681800" not in number
