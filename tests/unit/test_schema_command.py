"""`cdc schema`: what it exports can be compared with what it would export now, and its pages are current."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from models.catalogue import Catalogue
from models.change import Operation
from models.records.identity import USERS
from models.tables import ColumnType, Redaction, RedactionAction, TableSpec
from workers.cli.schema import schema
from workers.failures import CommandError, NotFoundError
from workers.reference.events import pages
from workers.schemas.comparison import Difference, compare
from workers.schemas.events import event_schemas, event_types

ORDERS = """version: 1
tables:
  - {table: orders, entity: order, key: [id], columns: {id: int, total: decimal, email: text}%s}
"""


@pytest.fixture(autouse=True)
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    environment = {"KAFKA_BOOTSTRAP_SERVERS": "localhost:1", "CDC_CATALOGUE": "none", "ENVIRONMENT": "LOCAL"}
    environment |= {"CDC_TABLES": str(tmp_path / "tables.yaml"), "CDC_REDACTION_KEY": "x" * 32}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    tables(tmp_path)
    return tmp_path


def tables(directory: Path, more: str = "") -> None:
    (directory / "tables.yaml").write_text(ORDERS % (f", {more}" if more else ""))


def run(*arguments: str) -> Result:
    return CliRunner().invoke(schema, arguments, catch_exceptions=False, standalone_mode=False)


def changed(**options: Any) -> list[Difference]:
    return differences(USERS, replace(USERS, **options))


def differences(old: TableSpec, new: TableSpec) -> list[Difference]:
    return compare(event_schemas([old]), event_schemas([new]))


def test_nothing_changes_between_an_export_and_itself(settings: Path) -> None:
    run("export", "--out", "released")
    assert sorted(path.name for path in (settings / "released").iterdir()) == [
        "order.created.json", "order.deleted.json", "order.updated.json",
    ]  # fmt: skip
    (settings / "released.json").write_text(run("export").stdout)
    for released in ("released", "released.json"):
        result = run("diff", released, "--output", "json")
        assert json.loads(result.stdout) == []
        assert result.return_value is None


def test_a_breaking_change_ends_with_exit_code_1(settings: Path) -> None:
    (settings / "released.json").write_text(run("export").stdout)
    tables(settings, "redact: {email: REMOVE}")
    result = CliRunner().invoke(schema, ["diff", "released.json", "--output", "jsonl"])
    assert result.exit_code == 1
    found = [json.loads(line) for line in result.stdout.splitlines()]
    assert {"breaking": True, "event": "order.updated", "field": "changes.email", "what": "removed"} in found


def test_what_was_added_breaks_nobody(settings: Path) -> None:
    (settings / "released.json").write_text(run("export").stdout)
    tables(settings, "transform: {note: UPPERCASE}")
    result = CliRunner().invoke(schema, ["diff", "released.json"])
    assert result.exit_code == 0
    assert "changes.note" in result.stdout


def test_a_file_that_is_no_export_is_refused(settings: Path) -> None:
    for content in ("[", "[]", "{}", '{"a": 1}'):
        (settings / "old.json").write_text(content)
        with pytest.raises(CommandError):
            run("diff", "old.json")


def test_an_unknown_table_is_not_found() -> None:
    with pytest.raises(NotFoundError, match="no such table"):
        run("export", "--table", "order")


@pytest.mark.parametrize("form", ["asyncapi", "eventbridge"])
def test_the_other_formats_are_one_document_or_files(settings: Path, form: str) -> None:
    assert json.loads(run("export", "--format", form).stdout)
    run("export", "--format", form, "--out", form)
    expected = 1 if form == "asyncapi" else 3
    assert len(list((settings / form).glob("*.json"))) == expected


@pytest.mark.parametrize(
    ("options", "field", "what"),
    [
        ({"columns": {**USERS.columns, "Role": ColumnType.INT}}, "changes.Role",
         "type null | string became integer | null | string"),
        ({"redact": {**USERS.redact, "Role": Redaction(RedactionAction.HASH)}}, "changes.Role", "newly redacted: HASH"),
        ({"redact": {**USERS.redact, "Role": Redaction(RedactionAction.REMOVE)}}, "changes.Role", "removed"),
        ({"redact": {**USERS.redact, "Email": Redaction(RedactionAction.TOKENIZE)}}, "changes.Email",
         "redaction PARTIAL_MASK became TOKENIZE"),
        ({"redact": {**USERS.redact, "Role": Redaction(RedactionAction.FULL_MASK, unless={"Status": ("LEFT",)})}},
         "changes.Role", "newly redacted: FULL_MASK unless Status is LEFT"),
        ({"operations": frozenset({Operation.CREATE, Operation.UPDATE})}, "", "event type removed"),
        ({"key": ("ID", "HomeOrgID")}, "keys.HomeOrgID", "added"),
        ({"include_fields": ("Email",)}, "changes.Role", "removed"),
        ({"owner": None}, "orgId", "removed"),
        ({"unknown_columns": "drop"}, "changes.*", "removed"),
    ],
)  # fmt: skip
def test_a_change_is_told_in_the_words_of_a_consumer(options: dict[str, Any], field: str, what: str) -> None:
    found = [one for one in changed(**options) if (one.field, one.what) == (field, what)]
    assert found
    assert all(one.breaking is (what != "added") for one in found)


def test_a_field_that_is_no_longer_always_there_breaks_and_the_other_way_round_does_not() -> None:
    old = {"e": {"properties": {"a": {"type": "string"}}, "required": ["a"]}}
    new = {"e": {"properties": {"a": {"type": "string"}}, "required": []}}
    assert compare(old, new) == [Difference("e", "a", "no longer always there", True)]
    assert compare(new, old) == [Difference("e", "a", "always there now", False)]


def test_a_column_is_told_once_per_event_though_it_has_two_sides() -> None:
    found = changed(redact={**USERS.redact, "Role": Redaction(RedactionAction.HASH)})
    assert len([one for one in found if one.event == "user.updated"]) == 1


def test_one_event_type_for_two_operations_has_one_schema_of_both() -> None:
    spec = replace(USERS, event_types={Operation.UPDATE: "user.touched", Operation.DELETE: "user.touched"})
    [created, touched] = event_types([spec])
    assert (created.name, touched.operations) == ("user.created", (Operation.UPDATE, Operation.DELETE))


def test_tables_that_share_an_event_type_keep_their_schemas_apart() -> None:
    other = replace(USERS, name="admins", table="admins", provides=())
    assert {"users-user.created", "admins-user.created"} <= set(event_schemas(Catalogue([USERS, other]).specs))


def test_the_generated_pages_are_current() -> None:
    docs = Path(__file__).parents[2] / "docs"
    stale = [name for name, page in pages().items() if (docs / name).read_text(encoding="utf-8") != page]
    assert not stale, "run `python -m workers.reference.events`"
    assert {f"events/{path.name}" for path in (docs / "events").iterdir()} == {
        name for name in pages() if name.startswith("events/")
    }


def test_pages_of_other_tables_are_written_where_they_are_wanted(settings: Path) -> None:
    tables(settings, "redact: {email: {action: PARTIAL_MASK, style: email}}")
    run("docs", "--out", "pages")
    page = (settings / "pages" / "orders.md").read_text()
    assert "| email | text | PARTIAL_MASK: masked in part (email) |" in page
    assert "jane.doe@" not in page
