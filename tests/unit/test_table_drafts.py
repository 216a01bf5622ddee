"""`cdc tables init`: what is read off records and catalogs, what is guessed, and that a draft always loads."""

import base64
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st

from models.catalogue import Catalogue, load_catalogue
from models.short_form import ShortForm, record_of
from models.source_spec import ADAPTERS, Adapter
from models.tables import ColumnType, FromColumn, RedactionAction, TableSpec
from tests.unit.changes import dms
from workers.checks.configuration import check_examples_of, check_tables
from workers.cli.tables import tables
from workers.drafts.database import described
from workers.drafts.personal import by_name, by_value
from workers.drafts.records import Observation
from workers.drafts.seen import SeenTable
from workers.drafts.text import draft
from workers.failures import ConfigurationError, NotFoundError
from workers.settings.worker import Settings

ROW: dict[str, Any] = {
    "order_id": 7,
    "user_id": 3,
    "total": Decimal("12.5"),
    "paid": True,
    "placed": "2026-01-15T10:31:00Z",
}


@pytest.fixture(autouse=True)
def _no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("ENVIRONMENT", "CDC_TABLES", "CDC_CATALOGUE", "DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def init(*arguments: str, stdin: bytes = b"") -> Result:
    return CliRunner().invoke(tables, ["init", *arguments], input=stdin)


def loaded(text: str, builtin: Any = "none") -> Catalogue:
    path = Path("drafted.yaml")
    path.write_text(text, encoding="utf-8")
    return load_catalogue(builtin, path)


def drafted(*records: bytes) -> TableSpec:
    """The one table of a draft."""
    result = init("--from-records", "-", stdin=b"\n".join(records))
    assert result.exit_code == 0, result.output
    (spec,) = loaded(result.stdout).specs
    return spec


def of(adapter: Adapter, before: Any = None, after: Any = None, **others: Any) -> bytes:
    word: Any = "UPDATE" if before and after else "INSERT" if after else "DELETE"
    return record_of(ShortForm(word, "orders", before=before, after=after, **others), adapter, ("order_id",))


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_records_of_every_adapter_give_a_table_with_types_key_and_owner(adapter: Adapter) -> None:
    spec = drafted(of(adapter, after={**ROW, "gone": None, "tags": [1]}), of(adapter, after={**ROW, "total": 3}))
    assert (spec.table, spec.entity, spec.key) == ("orders", "order", ("order_id",))
    assert spec.columns == {
        "order_id": ColumnType.INT, "user_id": ColumnType.INT, "total": ColumnType.DECIMAL, "paid": ColumnType.BOOL,
        "placed": ColumnType.TIMESTAMP, "gone": ColumnType.ANY, "tags": ColumnType.JSON,
    }  # fmt: skip
    assert spec.owner is not None
    assert spec.owner.user == (FromColumn("user_id"),)


CONTROL = {
    "control": {
        "table-def": {
            "columns": {
                "region": {"type": "WSTRING", "length": 8}, "number": {"type": "INT64"}, "at": {"type": "DATETIME"},
                "price": {"type": "NUMERIC"}, "shape": {"type": "GEOMETRY"},
            },
            "primary-key": ["region", "number"],
        }
    },
    "metadata": {"operation": "create-table", "record-type": "control", "schema-name": "shop", "table-name": "stock",
                 "timestamp": "2026-01-15T10:29:00Z"},
}  # fmt: skip


def test_a_control_record_tells_types_and_the_key() -> None:
    spec = drafted(json.dumps(CONTROL).encode())
    assert (spec.schema, spec.key) == ("shop", ("region", "number"))
    assert spec.columns == {
        "region": ColumnType.TEXT, "number": ColumnType.INT, "at": ColumnType.TIMESTAMP, "price": ColumnType.DECIMAL,
        "shape": ColumnType.ANY,
    }  # fmt: skip


def test_tables_that_dms_keeps_for_itself_are_left_out() -> None:
    own = dms("insert", {"STATEMENT": "x"}, table="awsdms_apply_exceptions", schema="")
    assert drafted(own, dms("insert", {"id": 1}, table="t")).table == "t"


def test_the_keys_of_dynamodb_are_the_key() -> None:
    record = record_of(ShortForm("INSERT", "t", after={"id": "a", "pk": "b", "sk": "c"}), "dynamodb", ("pk", "sk"))
    assert drafted(record).key == ("pk", "sk")


@pytest.mark.parametrize("value", ["A-1", "core.t.A-1"])
def test_the_partition_value_of_dms_names_the_key(value: str) -> None:
    told = {"partition-key-type": "primary-key", "partition-key-value": value}
    row = {"id": 1, "sku": "A-1", "other": "x"}
    assert drafted(dms("insert", row, table="t", metadata=told)).key == ("sku",)


def test_the_partition_key_of_debezium_server_names_the_key() -> None:
    record = of("debezium", after={"id": 1, "sku": "A", "lot": 2})
    kinesis = {
        "sequenceNumber": "1", "partitionKey": json.dumps({"schema": {}, "payload": {"sku": "A", "lot": 2}}),
        "data": base64.b64encode(record).decode(),
    }  # fmt: skip
    assert drafted(json.dumps({"Records": [{"kinesis": kinesis}]}).encode()).key == ("sku", "lot")


def test_the_schema_of_debezium_gives_a_likely_key_that_a_told_one_replaces() -> None:
    payload = json.loads(of("debezium", after={"id": 1, "sku": "A"}))
    columns = [{"field": "id", "optional": True}, {"field": "sku", "type": "string", "optional": False}]
    document = {"schema": {"fields": [{"field": "after", "fields": columns}]}, "payload": payload}
    likely = json.dumps(document).encode()
    result = init("--from-records", "-", stdin=likely)
    assert "key: [sku]" in result.stdout
    assert "the only column that is never null?" in result.stdout
    kinesis = {"sequenceNumber": "1", "partitionKey": '{"id": 1}', "data": base64.b64encode(likely).decode()}
    told = json.dumps({"Records": [{"kinesis": kinesis}]}).encode()
    assert drafted(likely, told).key == ("id",)


def test_what_a_deleted_row_still_tells_is_likely_its_key() -> None:
    records = [of("debezium", after={"id": 1, "sku": "A"}), of("debezium", before={"id": None, "sku": "A"})]
    result = init("--from-records", "-", stdin=b"\n".join(records))
    assert "key: [sku]" in result.stdout
    assert "by what a deleted row still tells?" in result.stdout


@pytest.mark.parametrize(
    ("name", "action"),
    [
        ("email", "PARTIAL_MASK"), ("ContactEMail", "PARTIAL_MASK"), ("phoneNumber", "PARTIAL_MASK"),
        ("home_phone", "PARTIAL_MASK"), ("ssn", "REMOVE"), ("PasswordHash", "REMOVE"), ("access_token", "REMOVE"),
        ("street_address", "FULL_MASK"), ("ip_address", "PARTIAL_MASK"), ("IBAN", "FULL_MASK"),
        ("credit_card_number", "PARTIAL_MASK"), ("first_name", "PARTIAL_MASK"), ("name", "PARTIAL_MASK"),
        ("dob", "FULL_MASK"), ("notes", "FULL_MASK"), ("tax_id", "REMOVE"), ("zip", "FULL_MASK"),
    ],
)  # fmt: skip
def test_personal_data_is_known_by_the_name_of_its_column(name: str, action: str) -> None:
    spec = drafted(dms("insert", {"id": 1, name: "x"}, table="people"))
    assert {column: rule.action.value for column, rule in spec.redact.items()} == {name: action}


@pytest.mark.parametrize("name", ["status", "address_id", "email_verified", "product_name", "ship", "discard", "usage"])
def test_what_is_only_spelled_alike_is_not_personal(name: str) -> None:
    assert by_name(name) is None


def test_a_plain_name_is_that_of_a_person_unless_the_table_is_of_things() -> None:
    assert by_name("name", "customers") is not None
    assert by_name("name", "products") is None


@pytest.mark.parametrize(
    ("value", "rule"),
    [
        ("ann@example.com", "style: email"), ("+41 44 668 18 00", "style: phone"), ("192.0.2.17", "style: ip"),
        ("2001:db8::1", "style: ip"), ("4111 1111 1111 1111", "style: card"), (4111111111111111, "style: card"),
        ("CH93 0076 2011 6238 5295 7", "FULL_MASK"), ("123-45-6789", "REMOVE"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIx.x", "REMOVE"),
        ("please call ann@example.com", "FULL_MASK"), ('{"contact": {"email": "x"}}', "FULL_MASK"),
        ({"a": ["+41446681800"]}, "FULL_MASK"),
    ],
)  # fmt: skip
def test_personal_data_is_known_by_its_values(value: Any, rule: str) -> None:
    found = by_value(value)
    assert found is not None
    assert rule in found.rule


@pytest.mark.parametrize("value", ["NEW", 7, "12:30", "1.2.3", "4111 1111 1111 1112", "2026-01-15", {"a": 1}, True, ""])
def test_other_values_are_not_personal(value: Any) -> None:
    assert by_value(value) is None


def test_a_personal_key_is_hashed_because_a_mask_would_make_rows_alike() -> None:
    spec = drafted(dms("insert", {"email": "ann@example.com", "status": "x"}, table="people"))
    assert (spec.key, spec.redact["email"].action) == (("email",), RedactionAction.HASH) or spec.key == ("status",)
    keyed = SeenTable("s", "people")
    keyed.look({"email": "ann@example.com"})
    keyed.tell_key(["email"], "told")
    (only,) = loaded(draft([keyed], origin="a test").text).specs
    assert only.redact["email"].action is RedactionAction.HASH


def test_no_value_of_a_row_is_printed() -> None:
    row = {"id": 1, "email": "CANARY@x.test", "status": "CANARY", "nested": {"a": "CANARY"}}
    result = init("--from-records", "-", stdin=dms("insert", row, table="t") + b'\n{"CANARY": ')
    assert "CANARY" not in result.output
    assert "1 of 2 records could not be read" in result.stderr


def test_built_in_tables_are_left_out_and_said_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    records = dms("insert", {"ID": 1}) + dms("insert", {"id": 1}, table="orders")
    result = init("--from-records", "-", stdin=records)
    assert [spec.table for spec in loaded(result.stdout).specs] == ["orders"]
    assert "left out: users" in result.stderr
    monkeypatch.setenv("CDC_CATALOGUE", "none")
    assert len(loaded(init("--from-records", "-", stdin=records).stdout).specs) == 2


def test_one_table_name_in_two_schemas_gives_two_names() -> None:
    records = dms("insert", {"id": 1}, table="t", schema="a") + dms("insert", {"id": 1}, table="t", schema="b")
    specs = loaded(init("--from-records", "-", stdin=records).stdout).specs
    assert [(spec.name, spec.schema) for spec in specs] == [("t", "a"), ("b_t", "b")]


def test_several_files_and_chosen_tables(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(dms("insert", {"id": 1}, table=name))
    result = init("--from-records", "a", "b", "--table", "b")
    assert [spec.table for spec in loaded(result.stdout).specs] == ["b"]
    missing = init("--from-records", "a", "--table", "c")
    assert isinstance(missing.exception, NotFoundError)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [([], "choose one of"), (["--from-records", "x", "--from-database"], "choose one of"), (["x"], "choose one of")],
)
def test_what_to_draft_from_is_to_be_said(arguments: list[str], text: str) -> None:
    result = init(*arguments)
    assert result.exit_code == 2
    assert text in result.stderr


def test_a_database_without_a_url_is_a_mistake_that_says_what_to_do() -> None:
    result = init("--from-database")
    assert isinstance(result.exception, ConfigurationError)
    assert "DATABASE_URL is not set" in str(result.exception)


def test_the_catalog_of_a_database_tells_types_and_composite_keys() -> None:
    rows = [
        ("shop", "lines", "number", "int4", 1), ("shop", "lines", "order_id", "int8", 0),
        ("shop", "lines", "price", "numeric", None), ("shop", "lines", "extra", "jsonb", None),
        ("shop", "lines", "client", "inet", None), ("shop", "lines", "shape", "polygon", None),
        ("shop", "lines", "created_at", "timestamptz", None),
    ]  # fmt: skip
    names = ("schema", "table", "column", "type", "place")
    (table,) = described(dict(zip(names, row, strict=True)) for row in rows)
    (spec,) = loaded(draft([table], origin="a test").text).specs
    assert spec.key == ("order_id", "number")
    assert spec.columns["shape"] is ColumnType.ANY
    assert (spec.columns["price"], spec.columns["extra"]) == (ColumnType.DECIMAL, ColumnType.JSON)
    assert spec.redact["client"].style == "ip"


VALUES = st.none() | st.booleans() | st.integers() | st.text(max_size=20)
NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1, max_size=12) | st.sampled_from(
    ["none", "yes", "null", "~", "a: b", "# x", "- x", "'", '"', "ID", "id", "I_D", "email", "{", "\x85", "\ufeff"]
)


@settings(max_examples=40, deadline=None)
@given(
    st.dictionaries(
        st.tuples(NAMES, NAMES), st.dictionaries(NAMES, VALUES, min_size=1, max_size=6), min_size=1, max_size=3
    )
)
def test_a_draft_of_whatever_was_seen_loads_without_mistakes(
    tmp_path_factory: pytest.TempPathFactory, rows: dict[tuple[str, str], dict[str, Any]]
) -> None:
    seen = []
    for (schema, table), row in rows.items():
        one = SeenTable(schema, table)
        one.look(row)
        seen.append(one)
    path = tmp_path_factory.mktemp("draft") / "tables.yaml"
    path.write_text(draft(seen, origin="a test").text, encoding="utf-8")
    catalogue, found = check_tables(Settings(_env_file=None, catalogue="none", tables=path))
    assert found == []
    assert catalogue is not None
    assert check_examples_of(catalogue, Settings(_env_file=None)) == []
    assert {spec.schema for spec in catalogue.specs} <= {schema for schema, _ in rows}


WORDS = st.text(max_size=3) | st.sampled_from([
    "data", "metadata", "operation", "insert", "table-name", "control", "table-def", "columns", "primary-key",
    "dynamodb", "Keys", "NewImage", "payload", "schema", "fields", "source", "op", "before", "after", "__op",
    "Records", "kinesis",
])  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(WORDS, inner, max_size=4),
    max_leaves=10,
)


@settings(max_examples=100, deadline=None)
@given(st.lists(JSON.map(lambda document: json.dumps(document).encode()) | st.binary(max_size=30), max_size=3))
def test_whatever_a_file_holds_is_looked_at_without_an_error(records: list[bytes]) -> None:
    observation = Observation()
    observation.look(b"\n".join(records))
    assert observation.unread <= observation.records
    assert all(table.columns for table in observation.found())
