"""Rules with `unless`: a value is left alone only where its own row image says so, and in doubt it is redacted (P6)."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enrichers.pipeline import PipelineOptions
from models.outcome import Ok
from models.yaml_nodes import InvalidFile
from tests.unit.changes import Worker, catalogue_of, dms

AGENT = {"ID": 3, "OrgID": 3, "AgentType": "USER", "AgentRef": "7", "Status": "ON"}
OUTSIDE = {**AGENT, "AgentType": "EXTERNAL", "AgentRef": "+41446681800"}
TABLE = "  - {{table: t, entity: t, key: [ID], unknown_columns: publish, redact: {{V: {rule}}}}}\n"


def agent(operation: str, row: dict[str, Any] | None, before: dict[str, Any] | None = None) -> dict[str, Any]:
    return Worker().event(dms(operation, row, table="call_center_agents", before=before))


def test_an_agent_who_is_a_user_is_owned_by_that_user() -> None:
    detail = agent("insert", AGENT)
    assert (detail["orgId"], detail["userId"]) == ("3", "7")
    assert detail["changes"]["AgentRef"] == {"new": "7"}
    assert detail["metadata"]["redactedFields"] == []


@pytest.mark.parametrize("kind", ["EXTERNAL", "SHARED", "user", "ROBOT", ""])
def test_any_other_agent_has_no_user_and_a_masked_reference(kind: str) -> None:
    detail = agent("insert", {**OUTSIDE, "AgentType": kind})
    assert "userId" not in detail
    assert detail["changes"]["AgentRef"]["new"].startswith("+41***")
    assert detail["metadata"]["redactedFields"] == ["AgentRef"]
    assert "446681800" not in json.dumps(detail)


def test_each_side_of_a_change_is_redacted_as_its_own_image_demands() -> None:
    became_user = agent("update", AGENT, before=OUTSIDE)
    assert became_user["changes"]["AgentRef"] == {"old": "+41*********", "new": "7"}
    assert became_user["userId"] == "7"
    left = agent("update", OUTSIDE, before=AGENT)
    assert left["changes"]["AgentRef"] == {"old": "7", "new": "+41*********"}
    assert "userId" not in left


def test_an_image_that_lacks_the_condition_is_redacted() -> None:
    before = {"ID": 3, "AgentRef": "+41446681800"}
    assert agent("update", AGENT, before=before)["changes"]["AgentRef"]["old"] == "+41*********"
    after = {"ID": 3, "OrgID": 3, "AgentRef": "8", "AgentType": None}
    detail = agent("update", after, before=AGENT)
    assert detail["changes"]["AgentRef"]["new"] == "*"
    assert "userId" not in detail


def test_a_user_id_is_never_a_reference_that_its_image_masks() -> None:
    detail = agent("update", {"ID": 3, "OrgID": 3, "AgentRef": "+41446681800"}, before=AGENT)
    assert "userId" not in detail
    assert "446681800" not in json.dumps(detail)


def test_a_deleted_agent_is_owned_by_the_user_it_was() -> None:
    worker = Worker()
    worker.feed(dms("insert", AGENT, table="call_center_agents"))
    assert worker.event(dms("delete", {"ID": 3}, table="call_center_agents"))["userId"] == "7"


def test_without_redaction_nothing_is_masked() -> None:
    worker = Worker(options=PipelineOptions(redaction_enabled=False))
    detail = worker.event(dms("insert", OUTSIDE, table="call_center_agents"))
    assert detail["changes"]["AgentRef"] == {"new": "+41446681800"}
    assert "userId" not in detail


def test_all_columns_of_a_condition_must_agree(tmp_path: Path) -> None:
    rule = "{action: REMOVE, unless: {Kind: [A, B], Public: true}}"
    catalogue = catalogue_of(tmp_path, TABLE.format(rule=rule))
    for kind, public, published in (("A", True, True), ("B", True, True), ("C", True, False), ("A", False, False)):
        row = {"ID": 1, "V": "v", "Kind": kind, "Public": public}
        assert ("V" in Worker(catalogue).event(dms("insert", row, table="t"))["changes"]) is published


CANARY = "CANARYcanary0123456789"


@given(
    st.sampled_from(["USER", "EXTERNAL", "SHARED", None, "absent", 7]),
    st.sampled_from(["USER", "EXTERNAL", None, "absent"]),
    st.sampled_from(["insert", "update", "delete"]),
    st.booleans(),
)
def test_no_value_of_an_image_that_is_not_spared_appears_anywhere(
    tmp_path_factory: pytest.TempPathFactory, after: Any, before: Any, operation: str, known: bool
) -> None:
    entry = """
  - table: t
    entity: t
    key: [ID]
    images: [before, after]
    owner: {user: [{column: V, when: {Kind: USER}}]}
    redact: {V: {action: FULL_MASK, unless: {Kind: USER}}}
"""
    worker = Worker(catalogue_of(tmp_path_factory.mktemp("t"), entry))
    if known:
        worker.feed(dms("insert", {"ID": 1, "V": "known", "Kind": "USER"}, table="t"))

    def image(kind: Any, value: str) -> dict[str, Any]:
        return {"ID": 1, "V": value} | ({} if kind == "absent" else {"Kind": kind})

    was = image(before, f"{CANARY}-before") if operation == "update" else None
    outcome = worker.feed(dms(operation, image(after, f"{CANARY}-after"), table="t", before=was)).outcome
    assert isinstance(outcome, Ok), outcome
    published = outcome.value.value.decode()
    if after != "USER":
        assert f"{CANARY}-after" not in published
    if before != "USER":
        assert f"{CANARY}-before" not in published


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("key: [V], redact: {V: {action: HASH, unless: {K: x}}}", "one row two entityIds"),
        ("key: [ID], redact: {V: {action: HASH, unless: {K: x}}, K: HASH}", "K, which is redacted itself"),
        ("key: [ID], redact: {V: {action: HASH, unless: {}}}", "needs columns and the values"),
        ("key: [ID], redact: {V: {action: HASH, when: {K: x}}}", "unknown field when"),
        ("key: [ID], owner: {user: {column: V}}, redact: {V: {action: REMOVE, unless: {K: x}}}", "owner column V"),
        (
            "key: [ID], owner: {user: {column: V, when: {K: y}}}, redact: {V: {action: FULL_MASK, unless: {K: x}}}",
            "owner column V",
        ),
        ("key: [ID], owner: {org: {column: V}}, redact: {V: PARTIAL_MASK}", "use HASH or TOKENIZE"),
        ("key: [ID], provides: {lookup: x, key: ID, org: V}, redact: {V: REMOVE}", "owner column V"),
    ],
)
def test_rules_that_would_break_ids_or_tell_what_they_hide_are_refused(
    tmp_path: Path, entry: str, expected: str
) -> None:
    with pytest.raises(InvalidFile) as caught:
        catalogue_of(tmp_path, f"  - {{table: t, entity: t, {entry}}}\n")
    assert any(text.startswith("tables.yaml:3: ") and expected in text for text in caught.value.problems)


def test_a_reference_to_a_redacted_key_must_be_redacted_too(tmp_path: Path) -> None:
    provider = (
        "  - {table: g, entity: g, key: [Mail], provides: {lookup: g, key: Mail, org: O}, redact: {Mail: HASH}}\n"
    )
    entry = "  - {{table: t, entity: t, key: [ID], owner: {{org: {{lookup: g, by: Boss}}}}, redact: {{{}}}}}\n"
    with pytest.raises(InvalidFile, match=r"tables.yaml:4: t: Boss is the key Mail of g"):
        catalogue_of(tmp_path, provider + entry.format(""))
    catalogue_of(tmp_path, provider + entry.format("Boss: HASH"))


def test_an_owner_that_is_hashed_in_some_rows_is_always_hashed_as_owner(tmp_path: Path) -> None:
    entry = "table: t, entity: t, key: [ID], owner: {user: {column: V}}, redact: {V: {action: HASH, unless: {K: x}}}"
    worker = Worker(catalogue_of(tmp_path, f"  - {{{entry}}}\n"))
    detail = worker.event(dms("insert", {"ID": 1, "V": "v", "K": "x"}, table="t"))
    assert detail["changes"]["V"] == {"new": "v"}
    assert detail["userId"].startswith("h1.")
