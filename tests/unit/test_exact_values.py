"""Tokens that name a row or an owner: as different as the values they are made of."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enrichers.masks import exact_text, normalised
from enrichers.redact import RowRedactor, Secret, redact_sensitive_fields, redactor
from enrichers.routing import route
from enrichers.row_view import RowView
from models.catalogue import fingerprint
from models.exact_values import resolved
from models.routing import key_text
from models.tables import Redaction, RedactionAction, TableSpec
from models.yaml_nodes import InvalidFile
from tests.unit.changes import KEY, TELEPHONY, Worker, catalogue_of, dms

SECRET = Secret(KEY)
ALIKE = [("Bob@x.test", "bob@x.test"), (" a", "a"), ("+41 44 668 18 00", "0041446681800"), ("\u2003a", "a")]
"""Values that HASH and TOKENIZE count as the same thing."""
MEMBERS = """
  - table: members
    entity: member
    key: [Email]
    owner: {org: {column: Org}}
    redact: {Email: HASH, Org: TOKENIZE, Contact: HASH}
"""


def two_events(directory: Path, tables: str, first: dict[str, Any], second: dict[str, Any]) -> list[dict[str, Any]]:
    worker = Worker(catalogue_of(directory, tables))
    return [worker.event(dms("insert", row, table="members")) for row in (first, second)]


@pytest.mark.parametrize(("one", "two"), ALIKE)
def test_two_rows_whose_keys_look_alike_have_two_entity_ids(one: str, two: str, tmp_path: Path) -> None:
    first, second = two_events(tmp_path, MEMBERS, {"Email": one}, {"Email": two})
    assert first["entityId"] != second["entityId"]
    assert first["keys"]["Email"] == first["changes"]["Email"]["new"] == first["entityId"]


@pytest.mark.parametrize(("one", "two"), ALIKE)
def test_two_owners_whose_ids_look_alike_are_two(one: str, two: str, tmp_path: Path) -> None:
    first, second = two_events(tmp_path, MEMBERS, {"Email": "a", "Org": one}, {"Email": "b", "Org": two})
    assert first["orgId"] != second["orgId"]
    assert first["orgId"] == first["changes"]["Org"]["new"]


def test_an_owner_found_by_a_lookup_is_hashed_as_in_the_row_that_gives_it(tmp_path: Path) -> None:
    provider = """
  - table: members
    entity: member
    key: [Email]
    provides: {lookup: members, key: Email, org: Org}
    redact: {Email: {action: HASH, link_group: mail}, Org: TOKENIZE}
  - table: visits
    entity: visit
    key: [ID]
    owner: {org: {lookup: members, by: Who}}
    redact: {Who: {action: HASH, link_group: mail}}
"""
    worker = Worker(catalogue_of(tmp_path, provider))
    member = worker.event(dms("insert", {"Email": "Bob@x.test", "Org": "ACME "}, table="members"))
    visit = worker.event(dms("insert", {"ID": 1, "Who": "Bob@x.test"}, table="visits"))
    assert visit["orgId"] == member["changes"]["Org"]["new"]
    assert visit["changes"]["Who"]["new"] == member["entityId"]


@pytest.mark.parametrize(("one", "two"), ALIKE)
def test_any_other_column_still_hashes_alike_what_is_one_thing(one: str, two: str, tmp_path: Path) -> None:
    first, second = two_events(tmp_path, MEMBERS, {"Email": "a", "Contact": one}, {"Email": "b", "Contact": two})
    assert first["changes"]["Contact"] == second["changes"]["Contact"]


def test_columns_that_are_joined_with_a_key_are_hashed_as_it_is(tmp_path: Path) -> None:
    linked, otherwise = "{action: HASH, link_group: mail}", "{action: HASH, link_group: mails}"
    tables = f"""
  - {{table: members, entity: member, key: [Email], redact: {{Email: {linked}}}}}
  - {{table: mails, entity: mail, key: [ID], redact: {{To: {linked}, Copy: HASH, Other: {otherwise}}}}}
  - {{table: notes, entity: note, key: [ID], redact: {{Text: {{action: HASH, link_group: mail, patterns: [email]}}}}}}
"""
    catalogue = catalogue_of(tmp_path, tables)
    worker = Worker(catalogue)
    token = worker.event(dms("insert", {"Email": "Bob@x.test"}, table="members"))["entityId"]
    row = dict.fromkeys(("To", "Copy", "Other"), "Bob@x.test") | {"ID": 1}
    changes = worker.event(dms("insert", row, table="mails"))["changes"]
    assert changes["To"]["new"] == token
    note = worker.event(dms("insert", {"ID": 1, "Text": "ask Bob@x.test"}, table="notes"))
    assert note["changes"]["Text"]["new"] == f"ask {token}"
    exact = {(spec.name, name) for spec in catalogue.specs for name, rule in spec.redact.items() if rule.exact}
    assert exact == {("members", "Email"), ("mails", "To"), ("notes", "Text")}


def test_a_rule_may_ask_for_exact_values(tmp_path: Path) -> None:
    tables = MEMBERS.replace("Contact: HASH", "Contact: {action: HASH, exact: true}")
    first, second = two_events(
        tmp_path, tables, {"Email": "a", "Contact": "A@x.test"}, {"Email": "b", "Contact": "a@x.test"}
    )
    assert first["changes"]["Contact"] != second["changes"]["Contact"]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("Email: {action: HASH, exact: false}", "Email cannot be `exact: false`: Email is a key column"),
        ("Email: {action: HASH, style: email}", "`style: email` of Email would hash values alike"),
        ("Org: {action: TOKENIZE, exact: false}", "Org gives orgId or userId"),
        ("Email: {action: HASH, link_group: g}, Contact: {action: HASH, link_group: g, style: email}",
         "joined by `link_group: g` with members.Email"),
        ("Contact: {action: FULL_MASK, exact: true}", "Contact.exact is for HASH and TOKENIZE"),
    ],
)  # fmt: skip
def test_what_would_give_two_rows_one_token_is_refused(given: str, told: str, tmp_path: Path) -> None:
    entry = MEMBERS.replace("Email: HASH, Org: TOKENIZE, Contact: HASH", given)
    with pytest.raises(InvalidFile) as refused:
        catalogue_of(tmp_path, entry)
    assert told in str(refused.value)


def test_an_owner_column_that_is_spared_where_it_names_an_owner_needs_no_exact_value() -> None:
    assert resolved(TELEPHONY.specs) == TELEPHONY.specs
    assert not [rule for spec in TELEPHONY.specs for rule in spec.redact.values() if rule.exact]


def test_rows_that_are_redacted_by_hand_have_the_tokens_of_events(tmp_path: Path) -> None:
    spec = TableSpec(name="members", table="members", entity="member", key=("Email",),
                     redact={"Email": Redaction(RedactionAction.HASH)})  # fmt: skip
    row = {"Email": "Bob@x.test"}
    entity = two_events(tmp_path, MEMBERS, row, row)[0]["entityId"]
    assert redact_sensitive_fields(row, spec, secret=SECRET).row == {"Email": entity}
    assert RowRedactor(spec, secret=SECRET).redact(row).row == {"Email": entity}


def test_a_view_hashes_a_key_that_looks_like_a_token_as_its_event_does(tmp_path: Path) -> None:
    worker = Worker(catalogue_of(tmp_path, MEMBERS))
    value = dms("insert", {"Email": "h1." + "0123456789abcdef" * 2}, table="members")
    key = route(value, "p", worker.catalogue).key
    assert RowView(worker.catalogue, secret=SECRET).row_key(key) == f"members:{worker.event(value)['entityId']}"


@given(st.text(st.characters(codec="utf-8"), max_size=12), st.text(st.characters(codec="utf-8"), max_size=12))
def test_exact_tokens_are_the_same_for_equal_keys_only(one: str, two: str) -> None:
    token = redactor(Redaction(RedactionAction.HASH, exact=True), "t", "c", SECRET)
    assert (token(one) == token(two)) is (key_text(one) == key_text(two))


@given(st.from_regex(r"[a-z0-9]{1,20}(@[a-z]{1,9}\.test)?", fullmatch=True))
def test_a_value_that_is_in_its_plain_form_has_the_same_token_either_way(value: str) -> None:
    """Upgrading changes tokens of keys in which there was something to put right, and no others."""
    assert exact_text(value) == normalised(value, "text")


def test_one_number_is_one_key_however_it_is_written() -> None:
    token = redactor(Redaction(RedactionAction.TOKENIZE, exact=True), "t", "c", SECRET)
    assert token(7) == token("7")


def test_tables_that_hash_otherwise_have_another_fingerprint() -> None:
    def mark(exact: bool | None) -> str:
        rule = Redaction(RedactionAction.HASH, exact=exact)
        return fingerprint([TableSpec(name="t", table="t", entity="t", key=("ID",), redact={"A": rule})])

    assert mark(None) != mark(True)
