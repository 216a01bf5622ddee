"""Redaction: what a rule removes appears nowhere (P6)."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enrichers.letter_view import LetterView
from enrichers.masks import partial_mask
from enrichers.pipeline import PipelineOptions
from enrichers.redact import REMOVED, MissingKeyError, Secret, redact_sensitive_fields, redactor
from models.outcome import Dead, Ok
from models.sources.reading import Reading
from models.tables import Redaction, RedactionAction
from tests.unit.changes import KEY, TELEPHONY, USER, Worker, catalogue_of, dms

SECRET = Secret(KEY)
ACTIONS = list(RedactionAction)


def apply(action: RedactionAction, value: Any, **options: Any) -> Any:
    return redactor(Redaction(action, **options), "users", "Email", SECRET)(value)


@pytest.mark.parametrize(
    ("style", "value", "masked"),
    [
        ("email", "a@x.test", "a**@x.test"),
        ("email", "old@example.com", "o**@example.com"),
        ("email", "no mail", "*******"),
        ("text", "abcdef", "abc***"),
        ("text", "abc", "***"),
        ("text", "ab", "**"),
        ("text", "x" * 50, "xxx**********"),
        ("phone", "+41 44 668 18 00", "+********800"),
        ("phone", "117", "***"),
        ("card", "4111 1111 1111 1111", "**********1111"),
        ("ip", "10.1.2.3", "10.1.*"),
        ("ip", "2001:db8::1", "2001:db8:*"),
        ("ip", "host", "****"),
        ("text", "", "*"),
        # What is no address alone is masked whole.
        ("email", "bob@x.test (Bob Smith, 912345678)", "**********"),
        ("email", "bob@x.test; call 912345678", "**********"),
        ("email", "Bob <bob@x.test>", "**********"),
        ("email", "bob@münchen.example", "b**@münchen.example"),
        ("ip", "jane.doe.smith@x.test", "**********"),
        ("ip", "jane:secret:7", "**********"),
        ("ip", "123.456.789-01", "**********"),
        ("ip", "10.1.*", "10.1.*"),
        ("ip", "::ffff:10.1.2.3", "::*"),
        ("ip", "10.1.2.3:443", "10.1.*"),
    ],
)
def test_partial_masks_by_style(style: Any, value: str, masked: str) -> None:
    assert partial_mask(value, Redaction(RedactionAction.PARTIAL_MASK, style=style)) == masked


def test_a_partial_mask_takes_its_own_character_and_width() -> None:
    rule = Redaction(RedactionAction.PARTIAL_MASK, visible_chars=1, mask_char="#")
    assert partial_mask("abcd", rule) == "a###"


def test_full_mask_tells_no_length() -> None:
    assert apply(RedactionAction.FULL_MASK, "x") == apply(RedactionAction.FULL_MASK, "x" * 99) == "***REDACTED***"
    assert apply(RedactionAction.FULL_MASK, "x", replacement="[redacted]") == "[redacted]"


def test_hashes_and_tokens_have_their_form() -> None:
    assert len(apply(RedactionAction.HASH, "x")) == len("h1.") + 32
    assert apply(RedactionAction.HASH, "x").startswith("h1.")
    assert len(apply(RedactionAction.TOKENIZE, "x")) == len("tok1_") + 24
    assert apply(RedactionAction.TOKENIZE, "x").startswith("tok1_")


@pytest.mark.parametrize(
    ("one", "two"), [(" A@X.test ", "a@x.test"), ("+41 44 668 18 00", "0041446681800"), (3, "3"), (7.0, 7)]
)
def test_one_thing_has_one_token(one: Any, two: Any) -> None:
    assert apply(RedactionAction.TOKENIZE, one if one != 7.0 else 7) == apply(RedactionAction.TOKENIZE, two)


def test_keys_differ_by_table_field_action_and_secret_but_not_within_a_link_group() -> None:
    def token(table: str, field: str, secret: Secret = SECRET, **options: Any) -> Any:
        return redactor(Redaction(RedactionAction.TOKENIZE, **options), table, field, secret)("x")

    assert len({token("a", "b"), token("b", "b"), token("a", "c"), token("a", "b", Secret(b"another"))}) == 4
    assert token("a", "b", link_group="g") == token("c", "d", link_group="g") != token("a", "b")
    assert apply(RedactionAction.HASH, "x")[3:27] != apply(RedactionAction.TOKENIZE, "x")[5:]


def test_the_derived_key_is_hkdf() -> None:
    import hashlib
    import hmac

    extracted = hmac.new(b"cdc-worker/redaction", KEY, hashlib.sha256).digest()
    purpose = b'["TOKENIZE","column","users","Email"]'
    key = hmac.new(extracted, purpose + b"\x01", hashlib.sha256).digest()
    assert apply(RedactionAction.TOKENIZE, "x") == "tok1_" + hmac.new(key, b"x", hashlib.sha256).hexdigest()[:24]


@pytest.mark.parametrize("action", [action for action in ACTIONS if action is not RedactionAction.REMOVE])
def test_null_stays_null(action: RedactionAction) -> None:
    assert apply(action, None) is None


@given(st.sampled_from(ACTIONS), st.text(st.characters(codec="utf-8"), min_size=5, max_size=30))
def test_redacting_twice_reveals_nothing_more(action: RedactionAction, value: str) -> None:
    once = apply(action, value)
    if once is REMOVED:
        return
    twice = apply(action, once)
    assert twice == once or twice != value
    if action in (RedactionAction.FULL_MASK, RedactionAction.PARTIAL_MASK):
        assert apply(action, twice) == twice


CANARY = "CANARYcanary0123456789"
TABLE = """
  - table: t
    entity: t
    key: [ID]
    images: [before, after]
    owner: {{org: [{{column: Owner}}]}}
    redact: {{Secret: {action}, Owner: {key}, ID: {key}}}
"""


@settings(max_examples=60)
@given(
    st.sampled_from([action.value for action in ACTIONS]),
    st.sampled_from(["HASH", "TOKENIZE"]),
    st.sampled_from(["insert", "update", "delete"]),
    st.sampled_from(["Secret", "Owner", "ID", "Unknown", "nested", "SECRET", "before"]),
)
def test_no_redacted_value_appears_anywhere_in_an_event(
    tmp_path_factory: pytest.TempPathFactory, action: str, key: str, operation: str, place: str
) -> None:
    catalogue = catalogue_of(tmp_path_factory.mktemp("t"), TABLE.format(action=action, key=key))
    row: dict[str, Any] = {"ID": "k1", "Secret": "s", "Owner": "o"}
    before: dict[str, Any] = {"ID": "k0", "Secret": "was"}
    match place:
        case "nested":
            row["Secret"] = {"a": [CANARY], CANARY: 1}
        case "SECRET":
            row["SECRET"] = row.pop("Secret") + CANARY
        case "before":
            before["ID"] = before["Secret"] = CANARY
        case _:
            row[place] = CANARY
    outcome = Worker(catalogue).feed(dms(operation, row, table="t", before=before)).outcome
    assert isinstance(outcome, Ok), outcome
    published = outcome.value.value + outcome.value.key
    visible = b"CANARYcan" if action != "PARTIAL_MASK" else b"CANARY"
    assert visible not in published
    assert CANARY.encode() not in published


@given(
    st.sampled_from(["ID", "HomeOrgID", "Email", "MFAEnabled", "UserName"]), st.sampled_from([[CANARY], {CANARY: 1}])
)
def test_no_value_appears_in_the_reason_of_a_dead_letter(column: str, value: Any) -> None:
    outcome = Worker().feed(dms("insert", {**USER, column: value})).outcome
    assert isinstance(outcome, Dead)
    assert CANARY not in outcome.reason
    poison = dms("insert", {**USER, column: CANARY})[:-1]
    assert CANARY not in Worker().dead(poison).reason


def test_a_redacted_key_is_redacted_in_keys_previous_keys_entity_id_and_event_id(tmp_path: Path) -> None:
    worker = Worker(catalogue_of(tmp_path, "  - {table: t, entity: t, key: [Phone], redact: {Phone: HASH}}\n"))
    detail = worker.event(dms("update", {"Phone": "+41446681800"}, table="t", before={"Phone": "+41446681801"}))
    assert detail["entityId"] == detail["keys"]["Phone"] == detail["changes"]["Phone"]["new"]
    assert detail["previousKeys"]["Phone"].startswith("h1.")
    assert "4668180" not in json.dumps(detail)


def test_an_owner_read_from_a_redacted_column_leaves_redacted(tmp_path: Path) -> None:
    entry = "  - {table: t, entity: t, key: [ID], owner: {org: {column: Org}}, redact: {Org: TOKENIZE}}\n"
    worker = Worker(catalogue_of(tmp_path, entry))
    worker.feed(dms("insert", {"ID": 1, "Org": "acme"}, table="t"))
    detail = worker.event(dms("delete", {"ID": 1}, table="t"))
    assert detail["orgId"].startswith("tok1_")


def test_removed_columns_are_named_in_redacted_fields_only() -> None:
    detail = Worker().event(dms("update", {**USER, "PasswordHash": "new"}, before={"ID": 7, "PasswordHash": "old"}))
    assert (detail["changes"], detail["changedFields"]) == ({}, [])
    assert detail["metadata"]["redactedFields"] == ["PasswordHash"]


def test_values_that_mask_alike_are_still_a_change() -> None:
    detail = Worker().event(dms("update", USER, before={"ID": 7, "Email": "alice@x.test"}))
    assert detail["changes"]["Email"] == {"old": "a**@x.test", "new": "a**@x.test"}


@pytest.mark.parametrize(
    ("policy", "expected"), [("mask", {"new": "***REDACTED***"}), ("publish", {"new": "v"}), ("drop", None)]
)
def test_columns_nobody_named_follow_the_policy(tmp_path: Path, policy: str, expected: object) -> None:
    worker = Worker(catalogue_of(tmp_path, f"  - {{table: t, entity: t, key: [ID], unknown_columns: {policy}}}\n"))
    detail = worker.event(dms("insert", {"ID": 1, "Surprise": "v"}, table="t"))
    assert detail["changes"].get("Surprise") == expected
    assert ("Surprise" in detail["metadata"]["redactedFields"]) == (policy == "mask")


@pytest.mark.parametrize("names", [("Email", "EMAIL"), ("email", "e_mail")])
def test_a_second_spelling_of_a_column_is_no_way_round_its_rule(tmp_path: Path, names: tuple[str, str]) -> None:
    table = "  - {table: t, entity: t, key: [id], redact: {Email: FULL_MASK}, unknown_columns: publish}\n"
    row = dict.fromkeys(names, "canary")
    detail = Worker(catalogue_of(tmp_path, table)).event(dms("insert", {"id": 1, "x": 2} | row, table="t"))
    assert "canary" not in json.dumps(detail)
    assert detail["changes"]["x"] == {"new": 2}
    assert detail["metadata"]["redactedFields"] == sorted(names)


def test_redaction_can_be_switched_off_as_a_whole() -> None:
    worker = Worker(options=PipelineOptions(redaction_enabled=False))
    detail = worker.event(dms("insert", {**USER, "Surprise": 1}))
    assert detail["changes"]["Email"] == {"new": "a@x.test"}
    assert detail["changes"]["Surprise"] == {"new": 1}
    assert detail["metadata"]["redactedFields"] == []


def test_a_keyed_rule_without_a_key_stops_the_worker_when_it_is_needed_and_not_before() -> None:
    worker = Worker(TELEPHONY, PipelineOptions())
    org = {"ID": 3, "Name": "Acme", "Status": "ACTIVE"}
    worker.event(dms("insert", org, table="orgs"))
    with pytest.raises(MissingKeyError, match="AccountNumber"):
        worker.feed(dms("insert", {**org, "AccountNumber": "12-34"}, table="orgs"))


def test_an_owner_looked_up_from_a_redacted_column_leaves_redacted(tmp_path: Path) -> None:
    entries = """
  - {table: g, entity: g, key: [ID], provides: {lookup: g, key: ID, org: Org}, redact: {Org: HASH}}
  - {table: m, entity: m, key: [ID], owner: {org: {lookup: g, by: GID}}}
"""
    worker = Worker(catalogue_of(tmp_path, entries))
    worker.feed(dms("load", {"ID": 1, "Org": "acme"}, table="g"))
    assert worker.event(dms("insert", {"ID": 1, "GID": 1}, table="m"))["orgId"].startswith("h1.")


def test_long_fractions_are_told_apart() -> None:
    one, two = Decimal("0." + "1" * 40), Decimal("0." + "1" * 39 + "2")
    assert apply(RedactionAction.HASH, one) != apply(RedactionAction.HASH, two)
    assert apply(RedactionAction.HASH, Decimal("1.50")) == apply(RedactionAction.HASH, Decimal("1.5"))


TWINS = """
  - table: t
    entity: t
    key: [ID]
    redact: {Mail: FULL_MASK, m_ail: REMOVE, SSN: REMOVE, Card: FULL_MASK}
    unknown_columns: publish
"""


@pytest.mark.parametrize("name", ["MAIL", "BI_SSN", "BI_ssn", "BI_S_SN", "OLD_Card", "BI_MAIL"])
def test_a_column_that_is_one_with_a_rule_by_another_name_is_not_published_without_it(
    name: str, tmp_path: Path
) -> None:
    options = PipelineOptions(redaction_key=KEY, readings={"core": Reading(before_prefix="OLD_")})
    worker = Worker(catalogue_of(tmp_path, TWINS), options)
    view = LetterView(worker.catalogue, secret=Secret(KEY), readings=dict(options.readings))
    for number in range(3):  # step by step, and by the plan if there is one
        value = dms("insert", {"ID": number, name: CANARY, "Note": "clear"}, table="t")
        found = worker.event(value)
        assert CANARY not in repr(view.change(value, "dms", "core"))
        assert CANARY not in json.dumps(found)
        assert (found["changes"]["Note"], found["metadata"]["redactedFields"]) == ({"new": "clear"}, [name])
    spec = worker.catalogue.named("t")
    assert spec is not None
    if not name.startswith("OLD_"):
        assert CANARY not in str(redact_sensitive_fields({"ID": 1, name: CANARY}, spec).row)
