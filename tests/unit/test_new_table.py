"""A new table is one entry of tables.yaml and one example: every stage and command works from these two."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from enrichers.examples import check_examples, ending, example_pipeline
from enrichers.routing import Router, route
from models.catalogue import Catalogue, load_catalogue
from models.outcome import Ok
from workers.checks.configuration import check_redaction, check_tables
from workers.cli.invoke import invoke
from workers.cli.tables import tables
from workers.eventbridge.entry import Entry, EntryRules, entry_of
from workers.kafka.topics import plan
from workers.settings.worker import Settings

ENTRY = """
version: 1
tables:
  - table: invoices
    entity: invoice
    key: [invoice_id]
    columns: {invoice_id: int, customer_id: int, amount: decimal}
    owner: {org: [{column: customer_id}]}
    provides: {lookup: invoices, key: invoice_id, org: customer_id}
    redact: {iban: FULL_MASK}
    transform: {amount: DECIMAL}
    examples:
      - in: {after: {invoice_id: 17, customer_id: 3, amount: 99.5, iban: CH9300762011623852957}}
        out: {eventType: invoice.created, orgId: "3", changes: {amount: {new: "99.50"}, iban: {new: "***REDACTED***"}}}
"""


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file, and settings that name it."""
    found = tmp_path / "tables.yaml"
    found.write_text(ENTRY, encoding="utf-8")
    monkeypatch.delenv("ENVIRONMENT", raising=False)
    monkeypatch.setenv("CDC_CATALOGUE", "none")
    monkeypatch.setenv("CDC_TABLES", str(found))
    monkeypatch.chdir(tmp_path)
    return found


@pytest.fixture
def catalogue(path: Path) -> Catalogue:
    return load_catalogue("none", path)


def record(catalogue: Catalogue) -> bytes:
    """What the example puts in."""
    return catalogue.specs[0].examples[0].records[0]


def test_the_bridge_finds_the_key_of_its_rows(catalogue: Catalogue) -> None:
    found = route(record(catalogue), "any", catalogue)
    assert (found.key, found.table) == (b'["example","invoices",17]', "invoices")
    assert Router(catalogue).route(record(catalogue), "any") == found


def test_enrich_makes_its_events_as_the_example_says(catalogue: Catalogue) -> None:
    assert list(check_examples(catalogue)) == []


def test_publish_sends_them_under_its_name(catalogue: Catalogue) -> None:
    (spec,) = catalogue.specs
    outcome = ending(example_pipeline(catalogue), spec, spec.examples[0]).outcome
    assert isinstance(outcome, Ok)
    entry = entry_of(outcome.value.key, outcome.value.value, EntryRules("cdc-pipeline", 1 << 20))
    assert isinstance(entry, Entry)
    assert (entry.source, entry.detail_type) == ("cdc-pipeline.invoices", "invoice.created")


def test_the_topics_of_its_lookup_are_planned(catalogue: Catalogue, path: Path) -> None:
    wanted = {topic.name for topic in plan(Settings(_env_file=None, tables=path), catalogue.lookups)}
    assert "cdc-enrich-invoices-changelog" in wanted


def test_the_check_has_nothing_against_it(path: Path) -> None:
    settings = Settings(_env_file=None, catalogue="none", tables=path)
    found, findings = check_tables(settings)
    assert found is not None
    assert [*findings, *check_redaction(settings, found)] == []


def test_the_commands_know_it(catalogue: Catalogue, tmp_path: Path) -> None:
    (tmp_path / "one.json").write_bytes(record(catalogue))
    shown = CliRunner().invoke(invoke, ["one.json"])
    assert json.loads(shown.stdout)["eventType"] == "invoice.created"
    assert "invoice.created" in CliRunner().invoke(tables, ["show", "invoices"]).stdout
