"""The tables of docs/examples: their examples hold, their events fit the event schema of the Lambda pipeline's
architecture document, and its EventBridge rules match what they are meant for: every source, every rule."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from enrichers.examples import check_examples, ending, example_pipeline
from models.catalogue import Catalogue, load_catalogue
from models.change import Operation
from models.event_pattern import compile_pattern
from models.outcome import Ok
from models.tables import TABLE_CHANGE
from tests.contract.test_event_schema import ROWS, SCHEMA
from tests.unit.changes import TELEPHONY, Worker, dms
from workers.eventbridge.entry import Entry, EntryRules, entry_of

SHIPPED = Path(__file__).parents[2] / "docs" / "examples"
COMMERCE = load_catalogue("none", SHIPPED / "commerce.tables.yaml")
DIRECTORY = load_catalogue("none", SHIPPED / "directory.tables.yaml")
CATALOGUES = {"commerce": COMMERCE, "directory": DIRECTORY}

KEYS_AND_OPERATIONS = {
    "users": ("id", "INSERT UPDATE DELETE"),
    "orders": ("order_id", "INSERT UPDATE"),
    "products": ("product_id", "INSERT UPDATE DELETE"),
    "sessions": ("session_id", "INSERT UPDATE DELETE"),
    "transactions": ("txn_id", "INSERT"),
    "inventory": ("sku", "UPDATE"),
    "customers": ("customer_id", "INSERT UPDATE"),
    "shipments": ("shipment_id", "INSERT UPDATE"),
    "returns": ("return_id", "INSERT UPDATE"),
    "reviews": ("review_id", "INSERT UPDATE DELETE"),
    "audit_logs": ("log_id", "INSERT"),
    "configurations": ("config_key", "INSERT UPDATE DELETE"),
}
NAMED_EVENT_TYPES = {
    "users": ["user.created", "user.updated", "user.deleted"],
    "orders": ["order.created", "order.updated"],
    "products": ["product.created", "product.updated", "product.deleted"],
    "inventory": ["inventory.updated"],
    "transactions": ["transaction.created"],
}
"""Those the document's schema lists; of its other seven tables it lists none."""

RULES = {
    "users": {
        "source": [{"prefix": "cdc-pipeline.users"}],
        "detail-type": ["user.created", "user.updated", "user.deleted"],
    },
    "orders": {"source": [{"prefix": "cdc-pipeline.orders"}], "detail-type": ["order.created", "order.updated"]},
    "archive": {"source": [{"prefix": "cdc-pipeline"}]},
}
MATCHES = {
    "commerce": {
        "cdc-pipeline.users": {"users", "archive"},
        "cdc-pipeline.orders": {"orders", "archive"},
        "cdc-pipeline.products": {"archive"},
        "cdc-pipeline.sessions": {"archive"},
        "cdc-pipeline.transactions": {"archive"},
        "cdc-pipeline.inventory": {"archive"},
        "cdc-pipeline.customers": {"archive"},
        "cdc-pipeline.shipments": {"archive"},
        "cdc-pipeline.returns": {"archive"},
        "cdc-pipeline.reviews": {"archive"},
        "cdc-pipeline.audit_logs": {"archive"},
        "cdc-pipeline.configurations": {"archive"},
    },
    "directory": {
        "cdc-pipeline.users": {"archive"},
        "cdc-pipeline.orders": {"archive"},
        "cdc-pipeline.agents": {"archive"},
    },
}
"""Rules by source. Table changes have a detail type that the first two rules do not ask for."""


RULES_OF_ENTRIES = EntryRules("cdc-pipeline", 1 << 20)


def events(catalogue: Catalogue) -> list[tuple[str, dict[str, Any], Entry]]:
    """(table, detail, entry on the bus) of every example that is published."""
    pipeline = example_pipeline(catalogue)
    found = []
    for spec in catalogue.specs:
        for example in spec.examples:
            outcome = ending(pipeline, spec, example).outcome
            if isinstance(outcome, Ok):
                entry = entry_of(outcome.value.key, outcome.value.value, RULES_OF_ENTRIES)
                assert isinstance(entry, Entry)
                found.append((spec.name, json.loads(outcome.value.value), entry))
    return found


def matching(entry: Entry) -> set[str]:
    event = {"source": entry.source, "detail-type": entry.detail_type, "detail": json.loads(entry.detail)}
    return {name for name, rule in RULES.items() if compile_pattern(json.dumps(rule)).matches(event)}


@pytest.mark.parametrize("name", CATALOGUES)
def test_every_example_holds(name: str) -> None:
    assert list(check_examples(CATALOGUES[name])) == []


def test_the_commerce_tables_have_the_keys_and_operations_of_the_document() -> None:
    assert {
        spec.name: (spec.key[0], " ".join(item.wire for item in Operation if item in spec.operations))
        for spec in COMMERCE.specs
    } == KEYS_AND_OPERATIONS


@pytest.mark.parametrize("name", CATALOGUES)
def test_every_table_has_an_event_among_its_examples_for_every_event_type(name: str) -> None:
    catalogue = CATALOGUES[name]
    shown = {(table, detail["eventType"]) for table, detail, _ in events(catalogue)}
    assert shown == {
        (spec.name, spec.event_type(operation)) for spec in catalogue.specs for operation in spec.operations
    }


def test_every_event_of_a_commerce_table_is_valid_under_the_event_schema() -> None:
    for table, detail, _ in events(COMMERCE):
        jsonschema.validate(detail, SCHEMA)
        if table in NAMED_EVENT_TYPES:
            assert detail["eventType"] in NAMED_EVENT_TYPES[table]


def test_every_event_of_a_directory_table_is_a_table_change_and_valid_but_for_its_event_type() -> None:
    relaxed = json.loads(json.dumps(SCHEMA))
    relaxed["properties"]["eventType"]["pattern"] = "^[a-z_]+\\.changed$"
    for table, detail, entry in events(DIRECTORY):
        jsonschema.validate(detail, relaxed)
        assert entry.detail_type == TABLE_CHANGE == "CDC.TableChange"
        assert detail["table"] == table
        assert {"operation", "timestamp", "keys", "metadata"} <= detail.keys()
        assert {"before", "after"} & detail.keys()


@pytest.mark.parametrize("name", CATALOGUES)
def test_every_source_meets_exactly_the_rules_that_are_meant_for_it(name: str) -> None:
    found: dict[str, set[str]] = {}
    for _, _, entry in events(CATALOGUES[name]):
        assert found.setdefault(entry.source, matching(entry)) == matching(entry), entry.detail_type
    assert found == MATCHES[name]


def test_of_the_built_in_tables_users_alone_meet_a_rule_beside_the_archive() -> None:
    found: dict[str, set[str]] = {}
    for table, row in ROWS.items():
        for operation in ("insert", "update", "delete"):
            outcome = Worker(TELEPHONY).feed(dms(operation, row, table=table)).outcome
            assert isinstance(outcome, Ok)
            entry = entry_of(outcome.value.key, outcome.value.value, RULES_OF_ENTRIES)
            assert isinstance(entry, Entry)
            found.setdefault(entry.source, set()).update(matching(entry))
    expected = {f"cdc-pipeline.{spec.name}": {"archive"} for spec in TELEPHONY.specs}
    assert found == expected | {"cdc-pipeline.users": {"users", "archive"}}
