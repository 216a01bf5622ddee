"""`examples:` of a table: what goes in, what must come out, and what `cdc check` says where it does not."""

from pathlib import Path
from typing import Any

import pytest

from enrichers.examples import Mismatch, check_examples
from models.yaml_nodes import InvalidFile
from tests.unit.changes import catalogue_of
from workers.checks.configuration import check_examples_of, check_tables
from workers.settings.worker import Settings

ORDERS = """
  - table: orders
    entity: order
    key: [id]
    columns: {{id: int, status: text, total: decimal, email: text, note: text}}
    redact: {{email: {{action: PARTIAL_MASK, style: email}}, note: REMOVE}}
    operations: [INSERT, UPDATE]
    where: "after.status != 'DRAFT'"
    examples:
      - {example}
"""


def mismatches(directory: Path, example: str) -> list[Mismatch]:
    return list(check_examples(catalogue_of(directory, ORDERS.format(example=example))))


@pytest.mark.parametrize(
    "example",
    [
        "{in: {after: {id: 1, status: NEW}}, out: {eventType: order.created, entityId: '1'}}",
        (
            "{in: {before: {id: 1, status: NEW}, after: {id: 1, status: PAID}},"
            " out: {changes: {status: {old: NEW, new: PAID}}, changedFields: [status]}}"
        ),
        "{in: {operation: UPDATE, after: {id: 1, status: PAID}}, out: {operation: UPDATE, metadata: {diff: none}}}",
        (
            "{in: {after: {id: 1, email: ann@x.test, note: n}},"
            " out: {changes: {email: {new: a**@x.test}, note: null}, orgId: null}}"
        ),
        "{in: {after: {id: 1, total: 10.50}}, out: {changes: {total: {new: 10.50}}}}",
        "{in: {after: {id: 1, status: DRAFT}}, out: {dropped: filtered_where}}",
        "{in: {before: {id: 1}}, out: 'dropped: operation_not_listed'}",
        "{in: {operation: LOAD, after: {id: 1}}, out: 'dropped: snapshot'}",
        "{in: {after: {id: x}}, out: 'dead: VALIDATION_ERROR'}",
        (
            '{in: {"data": {"id": 1}, "metadata": {"operation": "insert", "table-name": "orders",'
            ' "timestamp": "2026-01-15T10:31:00Z"}}, out: {timestamp: "2026-01-15T10:31:00.000000Z"}}'
        ),
        (
            "{in: {eventSource: 'aws:dynamodb', tableName: orders, eventName: INSERT,"
            " dynamodb: {Keys: {id: {N: '1'}}, NewImage: {id: {N: '1'}}}}, out: 'dead: VALIDATION_ERROR'}"
        ),
    ],
)
def test_an_example_that_holds_says_nothing(tmp_path: Path, example: str) -> None:
    assert mismatches(tmp_path, example) == []


@pytest.mark.parametrize(
    ("example", "text"),
    [
        ("{in: {after: {id: 1, status: NEW}}, out: {entityId: 1}}", 'entityId is "1", expected 1'),
        (
            "{in: {after: {id: 1, status: NEW}}, out: {changes: {status: {new: PAID}, total: {new: 1}}}}",
            'changes.status.new is "NEW", expected "PAID"; changes.total is not there, expected {"new":1}',
        ),
        (
            "{in: {after: {id: 1}}, out: {dropped: snapshot}}",
            "it is published as order.created, expected to be dropped for snapshot",
        ),
        (
            "{in: {after: {id: 1, status: DRAFT}}, out: {entityId: '1'}}",
            "it is dropped for filtered_where, expected to be published",
        ),
        (
            "{in: {after: {id: 1, status: DRAFT}}, out: {dropped: snapshot}}",
            "it is dropped for filtered_where, expected snapshot",
        ),
        (
            "{in: {after: {id: x}}, out: {dead: PARSE_ERROR}}",
            "it is dead with VALIDATION_ERROR (column id is not of type int), expected PARSE_ERROR",
        ),
        (
            "{name: gone, in: {after: {id: 1}}, out: {operation: null}}",
            'gone: operation is "INSERT", expected to be absent or null',
        ),
    ],
)
def test_an_example_that_does_not_hold_names_each_field_that_differs(tmp_path: Path, example: str, text: str) -> None:
    (found,) = mismatches(tmp_path, example)
    assert (found.table, found.line, found.text) == ("orders", 12, text)


@pytest.mark.parametrize("field", ["email", "note", "unnamed"])
def test_a_value_that_should_have_been_redacted_is_not_repeated(tmp_path: Path, field: str) -> None:
    example = f"{{in: {{after: {{id: 1, {field}: CANARY-1}}}}, out: {{changes: {{{field}: {{new: CANARY-1}}}}}}}}"
    (found,) = mismatches(tmp_path, example)
    assert "CANARY-1" not in found.text
    assert f"changes.{field}" in found.text


def test_records_before_the_last_one_feed_lookups(tmp_path: Path) -> None:
    entries = """
  - {table: customers, entity: customer, key: [id], provides: {lookup: customers, key: id, org: org}}
  - table: orders
    entity: order
    key: [id]
    owner: {org: {lookup: customers, by: customer}}
    examples:
      - in:
          - {operation: LOAD, table: customers, after: {id: 5, org: 3}}
          - {after: {id: 1, customer: 5}}
        out: {orgId: "3", metadata: {enrichment: {source: table}}}
      - {in: {after: {id: 1, customer: 5}}, out: {orgId: null, metadata: {enrichment: {source: missing}}}}
"""
    assert list(check_examples(catalogue_of(tmp_path, entries))) == []


@pytest.mark.parametrize("adapter", ["dms", "dynamodb", "debezium", "debezium-flat", "dsql"])
def test_the_short_form_is_a_record_of_the_tables_adapter(tmp_path: Path, adapter: str) -> None:
    row = "{id: 7, name: a, price: 1.50, gone: null, list: [1, x], map: {a: true}}"
    entries = f"""
  - table: t
    entity: t
    adapter: {adapter}
    key: [id]
    unknown_columns: publish
    operations: [INSERT, DELETE]
    examples:
      - in: {{after: {row}}}
        out:
          eventType: t.created
          entityId: "7"
          changes: {{name: {{new: a}}, list: {{new: [1, x]}}, map: {{new: {{a: true}}}}}}
          metadata: {{source: {adapter}}}
      - {{in: {{before: {{id: 7}}}}, out: {{eventType: t.deleted}}}}
      - {{in: {{before: {{id: 7}}, after: {{id: 7}}}}, out: {{dropped: operation_not_listed}}}}
"""
    assert list(check_examples(catalogue_of(tmp_path, entries))) == []


def test_an_example_of_another_table_is_told(tmp_path: Path) -> None:
    entries = "  - {table: a, entity: a, key: [id], examples: [{in: {table: b, after: {id: 1}}, out: {}}]}\n"
    entries += "  - {table: b, entity: b, key: [id]}\n"
    (found,) = check_examples(catalogue_of(tmp_path, entries))
    assert found.text == "the last record is one of b"


def test_a_key_change_retires_the_former_row_as_the_bridge_does(tmp_path: Path) -> None:
    entries = """
  - table: t
    entity: t
    key: [id]
    owner: {org: {column: org}}
    examples:
      - in:
          - {after: {id: 1, org: 3}}
          - {before: {id: 1, org: 3}, after: {id: 2, org: 3}}
          - {before: {id: 1}}
        out: {orgId: null, entityId: "1"}
"""
    assert list(check_examples(catalogue_of(tmp_path, entries))) == []


def test_every_mistake_in_examples_is_told_at_once_with_its_line(tmp_path: Path) -> None:
    entries = """
  - table: t
    entity: t
    key: [id]
    examples:
      - {in: {after: {id: 1}}}
      - {out: {}}
      - {inn: {}, in: {after: {id: 1}}, out: {}}
      - {in: {}, out: {}}
      - {in: {aftr: {id: 1}, after: {id: 1}}, out: {}}
      - {in: 7, out: {}}
      - {in: {operation: INSRT, after: {id: 1}}, out: {}}
      - {in: {after: [1]}, out: {}}
      - {in: {after: {id: .nan}}, out: {}}
      - {in: {after: {id: 1}, at: soon}, out: {}}
      - {in: {after: {id: 1}}, out: published}
      - {in: {after: {id: 1}}, out: {evenType: x}}
      - {in: {after: {id: 1}}, out: {dropped: snapshot, entityId: "1"}}
      - {in: {after: {id: 1}}, out: {dead: PARS_ERROR}}
      - {in: {after: {id: 1}}, out: {dropped: "No Reason"}}
      - {in: [], out: {}}
"""
    with pytest.raises(InvalidFile) as caught:
        catalogue_of(tmp_path, entries)
    expected = {
        8: "an example needs `out`",
        9: "an example needs `in`",
        10: "unknown field inn, did you mean in?",
        11: "needs `before` or `after`",
        12: "unknown field aftr, did you mean after?",
        13: "must be a record",
        14: "unknown word INSRT, did you mean INSERT?",
        15: "examples.in.after must be a mapping",
        16: "no row holds .nan",
        17: "Invalid isoformat string",
        18: "fields of the event",
        19: "unknown field evenType, did you mean eventType?",
        20: "`dropped` stands alone",
        21: "unknown code PARS_ERROR, did you mean PARSE_ERROR?",
        22: "a reason is a word",
        23: "examples.in is empty",
    }
    told = {int(problem.split(":")[1]): problem for problem in caught.value.problems}
    assert told.keys() == expected.keys()
    assert all(text in told[line] for line, text in expected.items()), told


def test_other_examples_make_no_other_table(tmp_path: Path) -> None:
    one = catalogue_of(tmp_path, ORDERS.format(example="{in: {after: {id: 1}}, out: {}}"))
    two = catalogue_of(tmp_path, ORDERS.format(example="{in: {after: {id: 2}}, out: {}}"))
    assert (one.fingerprint, one.specs) == (two.fingerprint, two.specs)


def findings(directory: Path, entries: str) -> list[Any]:
    path = directory / "tables.yaml"
    path.write_text("version: 1\ntables:\n" + entries, encoding="utf-8")
    settings = Settings(_env_file=None, catalogue="none", tables=path)
    catalogue, found = check_tables(settings)
    assert (catalogue is not None, found) == (True, [])
    assert catalogue is not None
    return check_examples_of(catalogue, settings)


def test_a_check_finds_examples_that_do_not_hold_and_says_where_they_stand(tmp_path: Path) -> None:
    (found,) = findings(tmp_path, ORDERS.format(example="{in: {after: {id: 1}}, out: {entityId: '2'}}"))
    assert (found.id, found.severity, found.subject) == ("tables.example", "error", "tables.yaml:12")
    assert found.message == 'orders: entityId is "1", expected "2"'


def test_a_check_warns_of_a_misspelled_redaction_that_would_leave_a_column_open(tmp_path: Path) -> None:
    table = (
        "  - {{table: t, entity: t, key: [id], columns: {{id: int, Subject: text}}, redact: {{{column}: REMOVE}}}}\n"
    )
    (found,) = findings(tmp_path, table.format(column="subjct"))
    assert (found.id, found.severity) == ("tables.redact-column", "warning")
    assert "subjct" in found.message
    assert "Subject" in found.message
    assert findings(tmp_path, table.format(column="Subject")) == []
    assert findings(tmp_path, table.format(column="Password")) == []


def test_a_check_warns_of_a_column_that_only_where_names(tmp_path: Path) -> None:
    (found,) = findings(tmp_path, "  - {table: t, entity: t, key: [id], where: after.stauts}\n")
    assert (found.id, found.severity) == ("tables.where-column", "warning")
    assert "stauts" in found.message
