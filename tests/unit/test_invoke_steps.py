"""`cdc invoke --steps`: what each step did and by which rule, without a value."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tests.unit.changes import USER, dms
from workers.cli.invoke import invoke

ORDERS = """
version: 1
tables:
  - {table: orders, entity: order, key: [id], owner: {org: [{lookup: users, by: user_id}], user: [{column: user_id}]},
     redact: {card: {action: PARTIAL_MASK, style: card}}, transform: {total: DECIMAL}, unknown_columns: drop}
"""


@pytest.fixture(autouse=True)
def _no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("ENVIRONMENT", "CDC_REDACTION_KEY", "CDC_TABLES", "CDC_CATALOGUE", "CDC_VALIDATE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def run(*records: bytes, output: str = "jsonl") -> Result:
    return CliRunner().invoke(invoke, ["--steps", "--output", output, "-"], input=b"\n".join(records))


def steps(*records: bytes) -> dict[str, str]:
    """Step -> what it said of the last record."""
    lines = run(*records).stderr.splitlines()
    last = max(place for place, line in enumerate(lines) if line.startswith("stdin:") and line[6:].isdigit())
    told = [line.strip().split(" ", 1) for line in lines[last + 1 :] if line.startswith("    ")]
    return {name: text.strip() for name, text in told}


def documents(*records: bytes) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(run(*records, output="json").stdout)
    return found


def test_each_redacted_column_is_shown_with_its_rule() -> None:
    told = steps(dms("insert", {**USER, "PIN": "1234", "Shoe": "red"}))
    assert told["redact"] == "Email: PARTIAL_MASK (email), PIN: REMOVE, Shoe: FULL_MASK (unknown column)"
    assert told["validate"] == "table users, 7 columns, key ID; no rule names Shoe (mask)"


def test_a_rule_that_spares_rows_is_shown_only_where_it_did_something() -> None:
    agent = {"ID": 1, "OrgID": 3, "AgentRef": "7", "Status": "ON"}
    spared = steps(dms("insert", {**agent, "AgentType": "USER"}, table="call_center_agents"))
    masked = steps(dms("insert", {**agent, "AgentType": "EXTERNAL"}, table="call_center_agents"))
    assert spared["redact"] == "nothing"
    assert masked["redact"] == "AgentRef: PARTIAL_MASK (unless AgentType is USER)"


def test_the_owner_is_shown_with_the_case_that_decided_and_where_it_was_found() -> None:
    load = dms("load", {"ID": 21, "OrgID": 3, "Name": "x", "Type": "y"}, table="groups")
    profile = {"ID": 5, "ScopeType": "GROUP", "ScopeID": 21, "Name": "d", "ProfileKey": "k"}
    told = steps(load, dms("insert", profile, table="profiles"))
    assert told["owner"] == (
        "org from the table, lookup groups by ScopeID (because ScopeType is GROUP); "
        "no user: no case of the rule gives one"
    )


def test_an_owner_that_the_memory_of_the_row_knows_is_said_to_be_from_there() -> None:
    told = steps(dms("insert", USER, transaction=1), dms("delete", {"ID": 7}, transaction=2))
    assert told["owner"] == "org from the memory of the row; user from the before image, column ID"


def test_a_missing_owner_is_shown_with_the_lookup_that_does_not_know_it() -> None:
    told = steps(dms("insert", {"ID": 1, "GroupID": 99, "Action": "ADD"}, table="group_maps_log"))
    assert told["owner"].startswith("org missing: not in lookup groups by GroupID; ")


def test_the_diff_names_the_changed_columns_or_says_that_it_could_not_tell() -> None:
    assert steps(dms("update", USER, before={**USER, "Email": "b@x.test"}))["diff"] == "Email"
    assert steps(dms("update", USER))["diff"].startswith("no before image, so all columns: ")


def test_transformations_and_left_out_columns_are_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tables.yaml").write_text(ORDERS)
    monkeypatch.setenv("CDC_TABLES", "tables.yaml")
    order = {"id": 4, "user_id": 7, "total": "1.5", "card": "4111111111111111", "note": "ring twice"}
    told = steps(dms("insert", order, table="orders"))
    assert told["transform"] == "total: DECIMAL"
    assert told["redact"] == "card: PARTIAL_MASK (card), note: left out (unknown column)"


def test_what_is_remembered_is_shown() -> None:
    (shown,) = documents(dms("load", USER))
    told = [text for step in shown["steps"] if step["step"] == "remember" for text in step["effects"]]
    wanted = ["users is pinned to schema core", "lookup users: entry written", "memory of the row written"]
    assert [text for text in told if text in wanted] == wanted
    assert shown["dropped"] == "snapshot"


def test_json_shows_the_record_its_columns_and_its_ending() -> None:
    event, dead, control = documents(
        dms("update", USER, before={"ID": 7, "Email": None}), dms("insert", {"HomeOrgID": 3}),
        b'{"control": {"table-def": {"columns": {"ID": {"type": "INT32"}}}}, "metadata": {"operation": "create-table",'
        b'"record-type": "control", "schema-name": "core", "table-name": "users"}}',
    )  # fmt: skip
    assert event["decoded"]["before"] == {"ID": "integer", "Email": "null"}
    assert event["decoded"]["metadata"]["operation"] == "UPDATE"
    assert event["change"]["changed"] == ["Email"]
    assert event["record"]["correlationId"] == event["event"]["metadata"]["correlationId"]
    assert dead["deadLetter"]["code"] == "VALIDATION_ERROR"
    assert dead["decoded"]["metadata"]["tableName"] == "users"
    assert control["decoded"]["metadata"]["recordType"] == "control"
    assert control["decoded"]["control"] == {"ID": "INT32"}


def test_no_value_of_a_row_stands_in_the_steps() -> None:
    canaries = {name: f"canary-{name}" for name in ("UserName", "Email", "PIN", "Extension", "Shoe")}
    record = dms("update", {**USER, **canaries, "HomeOrgID": 424242}, before={**USER, "HomeOrgID": 434343})
    (shown,) = documents(record)
    del shown["event"]
    text = json.dumps(shown) + run(record).stderr
    assert "canary" not in text
    assert "424242" not in text
    assert "434343" not in text


def test_the_steps_that_the_readme_shows_are_those_of_the_sample() -> None:
    root = Path(__file__).parents[2]
    readme = (root / "README.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r"(?s)\n```text\n(events/\S+ Records\[5\]\n    decode .*?)```", readme)
    result = CliRunner().invoke(invoke, ["--steps", str(root / "events" / "sample-cdc-event.json")])
    assert shown in result.stderr.replace(f"{root}/", "")
