"""`cdc tables list` and `show`: what the worker knows of its tables."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.unit.changes import TELEPHONY
from workers.cli.tables import tables
from workers.failures import ConfigurationError, NotFoundError

COMMERCE = Path(__file__).parents[2] / "docs" / "examples" / "commerce.tables.yaml"


@pytest.fixture(autouse=True)
def _no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("ENVIRONMENT", "CDC_TABLES", "CDC_CATALOGUE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def commerce(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CDC_CATALOGUE", "none")
    monkeypatch.setenv("CDC_TABLES", str(COMMERCE))


def run(*arguments: str) -> Result:
    return CliRunner().invoke(tables, arguments)


def test_every_table_is_listed_with_its_key_and_owner() -> None:
    head, *lines = run("list").stdout.splitlines()
    assert head.split()[:3] == ["NAME", "SOURCE", "KEY"]
    assert [line.split()[0] for line in lines] == [spec.name for spec in TELEPHONY.specs]
    assert lines[0].split()[:4] == ["users", "users", "ID", "user"]


@pytest.mark.usefixtures("commerce")
@pytest.mark.parametrize("output", ["json", "jsonl"])
def test_a_list_for_scripts_is_json(output: str) -> None:
    printed = run("list", "--output", output).stdout
    documents = json.loads(printed) if output == "json" else [json.loads(line) for line in printed.splitlines()]
    (orders,) = (document for document in documents if document["name"] == "orders")
    assert (orders["key"], orders["operations"]) == (["order_id"], ["INSERT", "UPDATE"])
    assert orders["redact"] == {"payment_details": "REMOVE", "shipping_address": "HASH"}
    assert orders["eventTypes"] == {"INSERT": "order.created", "UPDATE": "order.updated"}


@pytest.mark.usefixtures("commerce")
def test_a_table_is_shown_with_all_that_becomes_of_its_columns() -> None:
    shown = run("show", "transactions").stdout
    for text in (
        "key       txn_id", "user      user of orders[order_id]", "no owner  wait 5 s, then publish",
        "events    transaction.created", "memory    none", "unknown   mask",
    ):  # fmt: skip
        assert text in shown
    columns = {words[0]: words[1:] for words in (line.split() for line in shown.splitlines()) if words}
    assert columns["amount"] == ["decimal", "DECIMAL"]
    assert columns["iban"] == ["any", "TOKENIZE"]
    assert "contains(changed, 'quantity')" in run("show", "inventory").stdout


def test_a_rule_is_shown_with_the_rows_it_spares() -> None:
    assert "PARTIAL_MASK unless AgentType is USER" in run("show", "call_center_agents").stdout


@pytest.mark.usefixtures("commerce")
def test_a_table_shown_for_scripts_is_one_json_document() -> None:
    assert json.loads(run("show", "users", "--output", "json").stdout) == json.loads(
        run("show", "users", "--output", "jsonl").stdout
    )


def test_an_unknown_table_is_not_found_and_the_likely_one_named() -> None:
    error = run("show", "chanels").exception
    assert isinstance(error, NotFoundError)
    assert "did you mean channels" in error.hint


def test_mistakes_in_the_file_are_told_by_every_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "t.yaml").write_text("version: 1\ntables: [{tabel: x}]\n", encoding="utf-8")
    monkeypatch.setenv("CDC_TABLES", "t.yaml")
    for arguments in (["list"], ["show", "x"]):
        assert isinstance(run(*arguments).exception, ConfigurationError)
