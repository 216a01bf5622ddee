"""tables.yaml: the built-in tables can be written in it, it extends others, and every mistake shows at once."""

from pathlib import Path

import pytest

from enrichers.pipeline import PipelineOptions
from models.catalogue import load_catalogue
from models.tables import RedactionAction
from models.yaml_nodes import InvalidFile
from tests.contract.test_event_schema import ROWS
from tests.unit.changes import KEY, TELEPHONY, Worker, catalogue_of, dms
from workers.kafka.topics import OWN_TABLES

BUILT_IN = Path(__file__).parent / "tables" / "telephony.yaml"


def problems(directory: Path, tables: str, *, builtin: str = "telephony") -> list[str]:
    with pytest.raises(InvalidFile) as caught:
        catalogue_of(directory, tables, builtin=builtin)
    return caught.value.problems


def test_the_built_in_tables_are_expressible_in_yaml_and_give_the_same_events() -> None:
    written = load_catalogue("none", BUILT_IN)
    assert written.specs == TELEPHONY.specs
    assert written.fingerprint == TELEPHONY.fingerprint
    corpus = [
        dms(operation, {**row, "Surprise": 1}, table=table, transaction=number)
        for number, operation in enumerate(["load", "insert", "update", "delete"])
        for table, row in ROWS.items()
    ]
    options = PipelineOptions(redaction_key=KEY)
    one, two = Worker(TELEPHONY, options), Worker(written, options)
    assert [one.feed(value) for value in corpus] == [two.feed(value) for value in corpus]


def test_an_entry_with_a_built_in_name_extends_it_field_by_field(tmp_path: Path) -> None:
    entry = "  - {table: users, entity: account, redact: {Notes: REMOVE, Phone: none, Email: FULL_MASK}}\n"
    spec = catalogue_of(tmp_path, entry, builtin="telephony").named("users")
    assert spec is not None
    assert (spec.entity, spec.key) == ("account", ("ID",))
    assert {name: rule.action for name, rule in spec.redact.items()} == {
        "Email": RedactionAction.FULL_MASK,
        "Notes": RedactionAction.REMOVE,
        "PasswordHash": RedactionAction.REMOVE,
        "PIN": RedactionAction.REMOVE,
        "SSN": RedactionAction.REMOVE,
    }


def test_extends_none_replaces_a_built_in_table(tmp_path: Path) -> None:
    entry = "  - {table: orgs, extends: none, entity: company, key: [id]}\n"
    spec = catalogue_of(tmp_path, entry, builtin="telephony").named("orgs")
    assert spec is not None
    assert (spec.entity, spec.redact, spec.owner) == ("company", {}, None)


def test_a_built_in_table_whose_lookup_was_replaced_away_is_a_mistake(tmp_path: Path) -> None:
    entry = "  - {table: users, extends: none, entity: person, key: [id]}\n"
    found = problems(tmp_path, entry)
    assert [text.split(": ")[1] for text in found] == ["channels", "profiles"]
    assert "no table provides the lookup users" in found[0]


def test_every_mistake_is_told_at_once_with_its_line_and_what_was_meant(tmp_path: Path) -> None:
    found = problems(
        tmp_path,
        """
  - table: orders
    entity: order
    key: [order_id]
    colums: {order_id: int}
    columns: {total: decimall}
    operations: [INSERT, UPSERT]
    owner: {org: [{lookup: user, by: user_id}, {by: x}]}
    redact: {order_id: FULL_MASK, a: HASHH, b: {style: email}, c: {action: HASH, maskChar: xx}}
    on_missing_owner: wait:30h
    publish_snapshots: perhaps
    images: [during]
  - entity: nameless
  - {table: users, name: people, entity: p, key: ID}
  - {table: users, name: people, entity: p, key: ID}
  - {table: "odd name", entity: o, key: [ID], provides: {lookup: users, key: Other, org: Org}}
""",
    )
    expected = {
        4: ["would give two rows one entityId", "no table provides the lookup user, did you mean users?"],
        7: ["unknown field colums, did you mean columns?"],
        8: ["unknown word decimall, did you mean decimal?"],
        9: ["unknown word UPSERT, did you mean INSERT?"],
        10: ["a case has either `column`, or `lookup` and `by`"],
        11: ["unknown word HASHH, did you mean HASH?", "redact.b needs an action", "maskChar must be one character"],
        12: ["on_missing_owner"],
        13: ["must be true or false"],
        14: ["unknown word during"],
        15: ["a table needs `table`", "a table needs `key`"],
        16: ["people and users describe the same source table"],
        17: ["two tables have the name people"],
        18: ["needs a `name`"],
    }
    for line, texts in expected.items():
        for text in texts:
            assert any(f"tables.yaml:{line}: " in item and text in item for item in found), (line, text, found)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "the file is empty"),
        ("version: 2\ntables: []\n", "version: 1"),
        ("tables: []\n", "version is missing"),
        ("version: 1\ntables: [\n", "no YAML"),
        ("- 1\n", "must be a mapping"),
        ("version: 1\nversion: 1\n", "stands twice"),
        ("version: 1\ntable: []\n", "did you mean tables?"),
    ],
)
def test_a_file_of_another_shape_is_refused(tmp_path: Path, text: str, expected: str) -> None:
    path = tmp_path / "tables.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InvalidFile, match=expected):
        load_catalogue("none", path)


def test_a_missing_file_is_a_catalogue_error(tmp_path: Path) -> None:
    with pytest.raises(InvalidFile, match="cannot be read"):
        load_catalogue("none", tmp_path / "none.yaml")


def test_a_lookup_nobody_feeds_is_refused(tmp_path: Path) -> None:
    entry = "  - {table: t, entity: t, key: [ID], owner: {org: {lookup: user, by: U}}}\n"
    assert problems(tmp_path, entry) == ["tables.yaml:3: t: no table provides the lookup user, did you mean users?"]


def test_two_providers_of_one_lookup_are_refused(tmp_path: Path) -> None:
    entry = "  - {table: t, entity: t, key: [ID], provides: {lookup: users, key: ID, org: O}}\n"
    assert "both provide the lookup users" in problems(tmp_path, entry)[0]


@pytest.mark.parametrize("name", OWN_TABLES)
def test_a_lookup_with_the_name_of_a_table_of_the_worker_is_refused(tmp_path: Path, name: str) -> None:
    entry = f"  - {{table: t, entity: t, key: [ID], provides: {{lookup: {name}, key: ID, org: OrgID}}}}\n"
    expected = f"tables.yaml:3: t: {name} is a table of the worker: give the lookup another name"
    assert problems(tmp_path, entry) == [expected]


def test_a_custom_table_feeds_a_custom_lookup(tmp_path: Path) -> None:
    entries = """
  - {table: customers, entity: customer, key: [id], provides: {lookup: customers, key: id, org: org_id}}
  - {table: orders, entity: order, key: [order_id], owner: {org: [{column: org_id}, {lookup: customers, by: customer}]}}
"""
    worker = Worker(catalogue_of(tmp_path, entries))
    worker.feed(dms("load", {"id": 5, "org_id": 3}, table="customers"))
    detail = worker.event(dms("insert", {"order_id": 1, "org_id": None, "customer": 5}, table="orders"))
    assert (detail["orgId"], detail["metadata"]["enrichment"]["source"]) == ("3", "table")
    detail = worker.event(dms("insert", {"order_id": 2, "customer": 5}, table="orders"))
    assert detail["orgId"] == "3"


def test_one_table_name_in_two_schemas_is_two_tables(tmp_path: Path) -> None:
    entries = """
  - {table: t, schema: a, name: a_t, entity: at, key: [ID]}
  - {table: t, schema: b, name: b_t, entity: bt, key: [ID]}
"""
    worker = Worker(catalogue_of(tmp_path, entries))
    assert worker.event(dms("insert", {"ID": 1}, table="t", schema="a"))["eventType"] == "at.created"
    assert worker.event(dms("insert", {"ID": 1}, table="T", schema="B"))["eventType"] == "bt.created"
    assert worker.drop(dms("insert", {"ID": 1}, table="t", schema="c")) == "unknown_table"


def test_the_fingerprint_changes_with_any_rule(tmp_path: Path) -> None:
    entry = "  - {table: users, redact: {Email: FULL_MASK}}\n"
    assert catalogue_of(tmp_path, entry, builtin="telephony").fingerprint != TELEPHONY.fingerprint


@pytest.mark.parametrize("name", ["a b", "a,b", "größe", "x" * 101])
def test_a_lookup_whose_name_no_topic_can_have_is_refused(tmp_path: Path, name: str) -> None:
    provider = f"  - {{table: a, entity: a, key: [id], provides: {{lookup: '{name}', key: id, org: o}}}}\n"
    path = tmp_path / "tables.yaml"
    path.write_text(f"version: 1\ntables:\n{provider}", encoding="utf-8")
    with pytest.raises(InvalidFile, match="part of a topic's name"):
        load_catalogue("none", path)
