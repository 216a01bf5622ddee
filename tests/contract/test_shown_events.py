"""P6 for records of `cdc.events`: our own are shown as they stand, of others no value that a rule takes."""

import json
from collections.abc import Callable
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enrichers.event_names import EventNames
from enrichers.event_view import EventView
from enrichers.letter_view import LetterView
from enrichers.pipeline import Pipeline
from enrichers.redact import Secret
from enrichers.row_view import MASK, RowView
from enrichers.written_view import WrittenView
from models.buried import Buried
from models.catalogue import load_catalogue
from models.dead_letter import dead_headers
from models.outcome import Failure, Ok
from models.raw import HEADER_SOURCE, HEADER_TRACE
from models.redrive import DeadRecord
from models.strict_json import decode
from models.written import Writer
from tests.contract.test_redacted_everywhere import TABLES
from tests.unit.changes import KEY
from tests.unit.letters import T0, dead_letter
from tests.unit.test_plans import CATALOGUE, OPTIONS, SPECS, odd_record, raw, state
from workers.cli.dlq_show import show_lines
from workers.dead_letters.documents import list_document, show_document

VIEWS = [EventView(RowView(CATALOGUE, secret=secret)) for secret in (Secret(KEY), None)]
"""With the redaction key and without it."""
CONDITIONAL = {
    name: {column for column, rule in spec.redact.items() if rule.unless} for name, spec in SPECS.items()
}  # fmt: skip
PIPELINE = Pipeline(CATALOGUE, OPTIONS)
TOKEN = "h1." + "0" * 32

EVENT: dict[str, Any] = {
    "eventId": f"evt_1_{'a' * 20}", "eventType": "person.updated", "entityType": "people", "entityId": TOKEN,
    "operation": "UPDATE", "timestamp": "2026-01-15T10:31:00.000000Z", "orgId": "tok1_" + "0" * 24,
    "keys": {"Phone": TOKEN}, "changes": {"Kind": {"new": "EXTERNAL", "old": "USER"}}, "changedFields": ["Kind"],
    "metadata": {
        "service": "s", "environment": "PRD", "version": "1.0", "source": "dms", "sourceSchema": "core",
        "sourceTable": "people", "sequenceNumber": "1", "sequence": "0001-00000000000000000001", "correlationId": "c",
        "processedAt": "2026-01-15T10:31:00.000Z", "snapshot": False, "redactedFields": [],
        "enrichment": {"source": "record", "stale": False},
    },
}  # fmt: skip
"""As our pipeline writes one for the table of TABLES."""


def changed(column: str, value: Any, **others: Any) -> dict[str, Any]:
    sides = {column: {"new": value, "old": None}} | {name: {"new": other} for name, other in others.items()}
    return {"changes": sides, "changedFields": sorted(sides)}


def of(metadata: dict[str, Any]) -> dict[str, Any]:
    return EVENT | {"metadata": EVENT["metadata"] | metadata}


@pytest.fixture
def views(tmp_path: Path) -> list[LetterView]:
    (tmp_path / "tables.yaml").write_text(TABLES, encoding="utf-8")
    catalogue = load_catalogue("none", tmp_path / "tables.yaml")
    return [LetterView(catalogue, secret=secret) for secret in (Secret(KEY), None)]


def shown(view: LetterView, key: str, value: bytes) -> str:
    """All that commands and pages print of a dead letter of publish, and of the record of `cdc.events`."""
    told = dead_letter(1, stage="publish", topic="cdc.events", code=Failure.EVENTBRIDGE_ERROR, table="people")
    letter = Buried.of(DeadRecord(0, 1, T0, key.encode(), value, told.to_headers()))
    document = show_document(letter, view)
    lines = [*show_lines(letter, document), json.dumps([document, list_document(letter.without_value(), view)])]
    record = SimpleNamespace(
        topic="cdc.events", partition=0, offset=1, timestamp=T0, key=key.encode(), value=value, headers=()
    )
    written = WrittenView(view, EventNames.of(view.rows.catalogue, OPTIONS), {}).written(record, Writer.ENRICH)
    return "\n".join([*lines, json.dumps([written.document(), written.asked()])])


@pytest.mark.parametrize("name", SPECS)
@given(st.integers(0, 1 << 32))
@settings(max_examples=15)
def test_our_own_events_are_shown_as_they_stand(name: str, seed: int) -> None:
    rng, spec = Random(seed), SPECS[name]
    for number in range(8):
        outcome = PIPELINE.run(raw(spec, odd_record(rng, spec), "core", number), state()).outcome
        if not isinstance(outcome, Ok):
            continue
        event = outcome.value
        entity_type, _, entity_id = event.key.decode().partition(":")
        for view in VIEWS:
            found = view.event(event.value)
            assert (found.why, found.wrong_types) == ("", {})
            assert view.key(entity_type, entity_id) == event.key.decode()
            if CONDITIONAL[name]:  # a condition that cannot be asked takes more
                assert {*found.hidden} <= {*CONDITIONAL[name], "userId"}
            else:
                assert (found.hidden, found.content) == ((), decode(event.value))


CANARIES: dict[str, Callable[[], dict[str, Any]]] = {
    "a hashed key": lambda: EVENT | {"keys": {"Phone": "CANARY"}, "entityId": "CANARY"},
    "an id that is not of the keys": lambda: EVENT | {"entityId": "CANARY"},
    "a former key": lambda: EVENT | {"previousKeys": {"Phone": "CANARY"}},
    "an owner by a hashed column": lambda: EVENT | {"orgId": "CANARY"},
    "a user by a redacted column": lambda: EVENT | {"userId": "CANARY"},
    "what is removed": lambda: EVENT | changed("Secret", {"CANARY": "CANARY"}),
    "what is masked": lambda: EVENT | changed("Card", ["CANARY"]),
    "what is masked in parts": lambda: EVENT | changed("Name", "CANARY"),
    "what only looks like a token": lambda: EVENT | changed("Boss", "h1.CANARY"),
    "what is found in a text": lambda: EVENT | changed("Note", "ask CANARY0001 or CANARY@x.test"),
    "what a condition takes": lambda: EVENT | changed("Ref", "CANARY", Kind="EXTERNAL"),
    "what a condition takes that cannot be asked": lambda: EVENT | changed("Ref", "CANARY"),
    "a column that nobody named": lambda: EVENT | changed("Surprise", "CANARY"),
    "another spelling of a column": lambda: EVENT | changed("s_e_c_r_e_t", "CANARY"),
    "a value of another type": lambda: EVENT | changed("Name", ["CANARY"]),
    "an image before": lambda: EVENT | {"before": {"Card": "CANARY", "Surprise": "CANARY"}},
    "an image after": lambda: EVENT | {"after": {"Boss": "CANARY", "Ref": "CANARY"}},
    "an alias": lambda: of({"aliases": {TOKEN: "CANARY"}}),
    "the name of an alias": lambda: of({"aliases": {"CANARY": TOKEN}}),
    "a type of events that the table does not have": lambda: EVENT | {"eventType": "CANARY"},
    "a column that is none": lambda: of({"redactedFields": ["CANARY 1"], "precisionLoss": ["CANARY 2"]}),
    "the way it came": lambda: of(dict.fromkeys(("service", "shardId", "transactionId", "sourceTable"), "CANARY @ x")),
    "a place in S3": lambda: EVENT | {"payloadRef": "s3://CANARY/x"},
    "a key that is none of the table": lambda: EVENT | {"keys": EVENT["keys"] | {"Mail": "CANARY"}},
    "images that contradict each other": lambda: (
        EVENT | changed("Kind", "EXTERNAL") | {"after": {"Kind": "USER", "Ref": "CANARY"}}
    ),
    "a former key that contradicts the key": lambda: (
        EVENT
        | {"previousKeys": {"Phone": TOKEN}, "before": {"Kind": "EXTERNAL"}}
        | {"changes": {"Kind": {"old": "USER"}, "Ref": {"old": "CANARY"}}, "changedFields": ["Kind", "Ref"]}
    ),
    "a member that events do not have": lambda: EVENT | {"mail": "CANARY"},
    "a table that has no rules": lambda: EVENT | {"entityType": "strangers"} | changed("Name", "CANARY"),
    "the least that can be sent": lambda: {
        "eventId": "CANARY",
        "eventType": "a.b",
        "entityType": "people",
        "timestamp": "2026-01-15T10:31:00Z",
        "entityId": "CANARY",
        "mail": "CANARY",
    },
}


@pytest.mark.parametrize("what", CANARIES)
def test_of_what_others_wrote_no_value_that_a_rule_takes_is_shown(what: str, views: list[LetterView]) -> None:
    event = CANARIES[what]()
    for view in views:
        for key in (f"people:{event['entityId']}", "CANARY"):
            text = shown(view, key, json.dumps(event).encode())
            assert "CANARY" not in text
            told = ("another program wrote it", "no rules", "its keys are not those of its table")
            assert EVENT["eventId"] in text or any(why in text for why in told)


def test_what_a_condition_spares_is_shown_where_the_event_tells_that_it_does(views: list[LetterView]) -> None:
    event = EVENT | changed("Ref", "7", Kind="USER")
    for view in views:
        payload = view.event(json.dumps(event).encode())
        assert payload.hidden == ()
        assert payload.content == {"event": event}


def test_an_owner_that_a_condition_may_take_is_shown_where_the_event_tells_that_it_spares_him() -> None:
    agent = EVENT | {"entityType": "call_center_agents", "entityId": "1", "keys": {"ID": 1}, "userId": "41446681800"}
    del agent["orgId"]
    for columns, user in (
        (changed("AgentType", "USER"), "41446681800"), (changed("AgentType", "EXTERNAL"), MASK),
        (changed("Skill", "x"), MASK), (changed("Skill", "x") | {"after": {"AgentType": "USER"}}, "41446681800"),
        ({"changes": {"AgentType": {"old": "USER", "new": "EXTERNAL"}}, "changedFields": ["AgentType"]}, MASK),
        ({"changes": {"AgentType": {"old": "USER"}}, "changedFields": ["AgentType"]}, "41446681800"),
    ):  # fmt: skip
        content = VIEWS[0].event(json.dumps(agent | columns).encode()).content
        assert content is not None
        assert content["userId"] == user


def test_of_an_owner_that_no_row_of_the_table_has_nothing_is_shown() -> None:
    queue = EVENT | {
        "entityType": "call_center_queues",
        "entityId": "1",
        "keys": {"ID": 1},
        "orgId": "3",
        "userId": "7",
    }
    content = VIEWS[0].event(json.dumps(queue).encode()).content
    assert content is not None
    assert (content["orgId"], content["userId"]) == ("3", MASK)


def test_a_value_that_is_not_of_its_type_is_not_shown() -> None:
    user = EVENT | {"entityType": "users", "entityId": "7", "keys": {"ID": 7}} | changed("HomeOrgID", "head office")
    del user["orgId"]
    found = VIEWS[0].event(json.dumps(user).encode())
    assert found.content is not None
    assert found.content["changes"]["HomeOrgID"]["new"] == MASK
    assert found.wrong_types == {"HomeOrgID": "int"}


@pytest.mark.parametrize("member", ["shardId", "transactionId", "aliases", "truncatedFields", "precisionLoss"])
def test_a_member_that_an_event_need_not_have_may_be_null(member: str) -> None:
    user = of({member: None}) | {"entityType": "users", "entityId": "7", "keys": {"ID": 7}, "orgId": "3"}
    found = VIEWS[0].event(json.dumps(user).encode())
    assert found.content is not None
    assert found.content["metadata"][member] is None


def test_of_an_owner_nothing_is_shown_that_cannot_be_an_id_of_its_column() -> None:
    user = EVENT | {"entityType": "users", "entityId": "7", "keys": {"ID": 7}} | changed("HomeOrgID", 3)
    for org, told in (("3", "3"), ("Jane Doe jane@acme.example", MASK)):
        content = VIEWS[0].event(json.dumps(user | {"orgId": org}).encode()).content
        assert content is not None
        assert content["orgId"] == told


def test_headers_that_say_no_name_and_no_number_are_not_shown(views: list[LetterView]) -> None:
    told = dead_letter(1, stage="publish", topic="cdc.events", table="people")
    headers = [(HEADER_SOURCE, b"jane doe"), (HEADER_TRACE, b"a1"), ("mail", b"jane@x.test")]
    record = DeadRecord(0, 1, T0, b"people:x", b"{}", dead_headers(told, headers))
    document = show_document(Buried.of(record), views[0])
    assert document["headers"] == {HEADER_SOURCE: MASK, HEADER_TRACE: "a1", "mail": "(11 bytes)"}


def test_what_is_not_shown_as_it_stands_is_named(views: list[LetterView]) -> None:
    event = EVENT | {"orgId": "o"} | changed("Card", "4111", Surprise="x", Phone=7)
    for view in views:
        text = shown(view, "people:x", json.dumps(event).encode())
        assert "as the rules of now leave them: Card, Phone, Surprise, orgId" in text


def test_the_key_of_a_row_is_shown_where_it_can_be_one_of_its_table() -> None:
    view = VIEWS[0]
    assert view.key("users", "7") == "users:7"
    assert view.key("keyed", f"7:tok1_{'0' * 24}") == f"keyed:7:tok1_{'0' * 24}"
    for entity_type, entity_id in (
        ("users", "jane@acme.example"), ("users", "7:8"), ("keyed", "7:a"), ("strangers", "7"), ("users", "")
    ):  # fmt: skip
        assert view.key(entity_type, entity_id) == MASK


def test_what_is_no_event_is_told_from_what_another_program_wrote(views: list[LetterView]) -> None:
    nothing, foreign = views[0].event(b'{"mail": "CANARY"}'), views[0].event(json.dumps(EVENT | {"mail": 1}).encode())
    assert (nothing.foreign, nothing.why) == (True, "it is no event of cdc.events")
    assert (foreign.foreign, foreign.why.startswith("another program wrote it")) == (False, True)
