"""Why a change has its owner: the explanation finds what the search found, and says who knew it."""

from pathlib import Path
from typing import Any

import pytest

from enrichers.explain import Explanation, explain_owner
from enrichers.redact import Secret
from enrichers.routing import route
from enrichers.row_view import RowView
from enrichers.state import Answer
from enrichers.trace import Trace
from models.raw import Origin, RawRecord
from tests.unit.changes import KEY, TELEPHONY, USER, Worker, catalogue_of, dms

GROUP = {"ID": 21, "OrgID": 3, "Name": "Support", "Type": "QUEUE"}
MAPPED = {"ID": 9, "GroupID": 21, "UserID": 7, "Action": "ADD"}
MASKED = """
  - table: people
    entity: person
    key: [Phone]
    columns: {Phone: text}
    owner: {org: [{lookup: people, by: Boss}], user: [{column: Org}]}
    provides: {lookup: people, key: Phone, org: Org}
    redact: {Phone: HASH, Boss: HASH, Org: TOKENIZE}
"""


def explained(worker: Worker, value: bytes) -> tuple[Explanation, Explanation]:
    """What would be said of a record that is not fed yet."""
    routed = route(value, "source-key", worker.catalogue)
    record = RawRecord(
        value=value, key=routed.key, origin=Origin("s", "shardId-0", "1"), topic="cdc.raw.core", partition=1, offset=99,
        timestamp_ms=0, source="core", adapter=routed.adapter, table=routed.table,
    )  # fmt: skip
    trace = Trace()
    worker.pipeline.run(record, worker.state, patient=False, owner_only=True, trace=trace)
    change = trace.change
    assert change is not None
    spec = worker.catalogue.named(change.name)
    assert spec is not None
    view = RowView(worker.catalogue, secret=Secret(KEY))
    return explain_owner(change, spec, view, worker.state, worker.state.memory(routed.key))


CASES: list[tuple[str, list[bytes], bytes]] = [
    ("record", [], dms("insert", USER)),
    ("before", [], dms("update", {"ID": 7, "Email": "b@x"}, before={"ID": 7, "HomeOrgID": 3, "Email": "a@x"})),
    ("before", [], dms("delete", USER)),
    ("memory", [dms("insert", USER)], dms("update", {"ID": 7, "Email": "b@x"})),
    ("memory", [dms("load", USER)], dms("delete", {"ID": 7})),
    ("missing", [], dms("delete", {"ID": 7})),
    ("record", [dms("insert", USER)], dms("update", {**USER, "HomeOrgID": None})),
    ("table", [dms("insert", GROUP, table="groups")], dms("insert", MAPPED, table="group_maps_log")),
    ("missing", [], dms("insert", MAPPED, table="group_maps_log")),
]


@pytest.mark.parametrize(("source", "before", "value"), CASES)
def test_the_explanation_is_what_the_event_says(source: str, before: list[bytes], value: bytes) -> None:
    worker = Worker()
    for earlier in before:
        worker.feed(earlier)
    org, user = explained(worker, value)
    detail = worker.event(value)
    assert (org.value, user.value) == (detail.get("orgId"), detail.get("userId"))
    assert org.source == source == detail["metadata"]["enrichment"]["source"]
    assert [said.place for said in org.places if said.decided] == ([source] if source != "missing" else [])


def test_a_missing_entry_is_named_with_the_lookup_that_lacks_it() -> None:
    org, _ = explained(Worker(), dms("insert", MAPPED, table="group_maps_log"))
    said = {one.place: one.text for one in org.places}
    assert said["table"] == "groups has no entry for groups:21"
    assert said["database"] == "no database stands behind this lookup"
    assert "GroupID" in said["record"]


def test_a_database_that_is_not_asked_is_called_so(monkeypatch: pytest.MonkeyPatch) -> None:
    worker = Worker()
    monkeypatch.setattr(worker.state, "database", lambda *_: Answer.UNASKED)
    org, _ = explained(worker, dms("insert", MAPPED, table="group_maps_log"))
    said = {one.place: one.text for one in org.places}
    assert said["database"] == "not asked here; a worker asks it for what the lookup lacks"
    assert org.source == "missing"


def test_a_lookup_that_is_younger_than_the_change_is_called_so() -> None:
    worker = Worker()
    worker.feed(dms("insert", GROUP, table="groups", metadata={"commit-timestamp": "2026-02-15T10:31:00.000000Z"}))
    org, _ = explained(worker, dms("insert", MAPPED, table="group_maps_log"))
    assert (org.value, org.stale) == ("3", True)


def test_ids_and_rows_are_those_of_events(tmp_path: Path) -> None:
    worker = Worker(catalogue_of(tmp_path, MASKED))
    boss: dict[str, Any] = {"Phone": "CANARY1", "Org": "CANARY2", "Boss": None}
    worker.feed(dms("insert", boss, table="people"))
    org, user = explained(
        worker, dms("insert", {"Phone": "CANARY3", "Org": "CANARY4", "Boss": "CANARY1"}, table="people")
    )
    told = f"{org.document()} {user.document()}"
    assert "CANARY" not in told
    assert org.value is not None
    assert org.value.startswith("tok1_")
    assert "people:h1." in told


def test_a_table_without_a_rule_has_no_owner() -> None:
    rule = TELEPHONY.named("orgs")
    assert rule is not None
    _, user = explained(Worker(), dms("insert", {"ID": 3, "Name": "Acme"}, table="orgs"))
    assert (user.value, user.source) == (None, "no rule")
