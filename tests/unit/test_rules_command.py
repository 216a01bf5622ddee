"""`cdc rules test`: which rule takes which event, and what is in the way of the others."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from workers.cli.rules import rules
from workers.eventbridge.rules_file import read_patterns
from workers.failures import CommandError

TEMPLATE = Path(__file__).parents[2] / "deploy" / "eventbridge" / "template.yaml"
USERS = '{"source": ["cdc-pipeline.users"], "detail": {"changedFields": ["Status"]}}'
DETAIL = {"eventType": "user.updated", "entityType": "users", "entityId": "7", "changedFields": ["Email"]}


@pytest.fixture(autouse=True)
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CDC_REDACTION_KEY", "x" * 32)


def run(*arguments: str, given: str = "") -> Result:
    return CliRunner().invoke(rules, ["test", *arguments], input=given)


def lines(result: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_an_event_that_a_rule_takes_is_said_to_match() -> None:
    result = run(USERS, "-", "--output", "jsonl", given=json.dumps(DETAIL | {"changedFields": ["Status", "Email"]}))
    [row] = lines(result)
    assert (row["event"], row["matches"], row["why"]) == ("user.updated 7", True, [])


def test_of_an_event_that_it_does_not_take_the_part_in_the_way_is_said() -> None:
    [row] = lines(run(USERS, "-", "--output", "jsonl", given=json.dumps(DETAIL)))
    assert row["why"] == [{"path": "detail.changedFields", "expected": ["Status"], "found": ["Email"]}]
    assert 'detail.changedFields is "Email"; wanted ["Status"]' in run(USERS, "-", given=json.dumps(DETAIL)).stdout


@pytest.mark.parametrize(
    ("pattern", "told"),
    [
        (
            {"changes": {"Email": [{"exists": True}]}},
            "detail.changes.Email is an object: patterns see values only; ask detail.changedFields, or a field in it",
        ),
        ({"metadata": ["core"]}, "detail.metadata is an object: patterns see values only; ask a field in it"),
        ({"changes": {"Phone": [{"exists": True}]}}, 'detail.changes.Phone is absent; wanted [{"exists": true}]'),
        ({"queues": [7]}, "detail.queues is absent; wanted [7]"),
    ],
)
def test_a_field_that_holds_an_object_is_not_called_absent(pattern: dict[str, Any], told: str) -> None:
    more = {"changes": {"Email": {"old": "a", "new": "b"}}, "metadata": {"source": "core"}, "queues": []}
    asked, event = json.dumps({"detail": pattern}), json.dumps(DETAIL | more)
    shown = run(asked, "-", given=event).stdout
    assert told in shown
    [row] = lines(run(asked, "-", "--output", "jsonl", given=event))
    assert (row["matches"], row["why"][0]["found"]) == (False, [])
    assert row["why"][0].get("why", "absent") in shown


def test_a_delivered_event_is_taken_with_its_own_envelope() -> None:
    event = {"source": "cdc-pipeline.users", "detail-type": "other", "detail": {"changedFields": ["Status"]}}
    [row] = lines(run(USERS, "-", "--output", "jsonl", given=json.dumps(event)))
    assert (row["detailType"], row["matches"]) == ("other", True)


def test_the_shipped_rules_take_what_they_are_for() -> None:
    found = lines(run(str(TEMPLATE), "--examples", "--output", "jsonl"))
    taken = {(row["detailType"], row["rule"]) for row in found if row["matches"]}
    assert {kind for kind, rule in taken if rule == "WallboardUserEvents"} == {
        "user.created", "user.updated", "user.deleted",
    }  # fmt: skip
    assert {kind for kind, _ in taken} == {kind for kind, rule in taken if rule == "Archive (archive)"}
    assert ("availability.created", "AgentAvailability") in taken
    assert ("user.updated", "AgentAvailability") not in taken


def test_of_alternatives_the_nearest_is_told() -> None:
    found = lines(run(str(TEMPLATE), "--examples", "--output", "jsonl"))
    [row] = [row for row in found if (row["detailType"], row["rule"]) == ("user.updated", "AgentAvailability")]
    assert [one["path"] for one in row["why"]] == ["$or[0].detail.changedFields"]


@pytest.mark.parametrize(("arguments", "code"), [(["--strict"], 1), ([], 0)])
def test_strict_fails_for_an_event_that_would_be_dropped(arguments: list[str], code: int) -> None:
    result = run(USERS, "-", *arguments, given=json.dumps(DETAIL))
    assert result.exit_code == code
    assert "1 events match no enabled rule" in result.stderr


def test_neither_an_archive_nor_a_disabled_rule_brings_an_event_anywhere(tmp_path: Path) -> None:
    pattern = {"source": [{"prefix": "cdc-pipeline"}]}
    resources = {
        "Off": {"Type": "AWS::Events::Rule", "Properties": {"EventPattern": pattern, "State": "DISABLED"}},
        "Kept": {"Type": "AWS::Events::Archive", "Properties": {"EventPattern": pattern}},
    }
    (tmp_path / "rules.json").write_text(json.dumps({"Resources": resources}))
    result = run("rules.json", "-", "--strict", given=json.dumps(DETAIL))
    assert result.exit_code == 1
    assert "Off (disabled)" in result.stdout


def test_a_dead_letter_of_invoke_is_left_out() -> None:
    result = run(USERS, "-", "--output", "jsonl", given=json.dumps({"deadLetter": {}}) + json.dumps(DETAIL))
    assert len(lines(result)) == 1
    assert "left out: a dead letter" in result.stderr


@pytest.mark.parametrize("pattern", ['{"source": "x"}', '{"source": []}', '{"source": [{"prefixed": "x"}]}'])
def test_a_pattern_that_eventbridge_would_refuse_is_a_usage_error(pattern: str) -> None:
    result = run(pattern, "-", given=json.dumps(DETAIL))
    assert result.exit_code == 2
    assert "EventBridge would refuse the pattern" in result.stderr


@pytest.mark.parametrize(("given", "said"), [('{"a": 1}', "stdin:1 is no event"), ("", "no events")])
def test_what_is_no_event_is_named(given: str, said: str) -> None:
    result = run(USERS, "-", given=given)
    assert isinstance(result.exception, CommandError)
    assert said in str(result.exception)


def test_rules_are_read_as_the_aws_command_line_prints_them() -> None:
    listed = {"Rules": [{"Name": "one", "EventPattern": USERS, "State": "DISABLED"}, {"Name": "cron"}]}
    found = read_patterns(json.dumps(listed), "rules.json")
    assert [(one.name, one.pattern, one.enabled) for one in found] == [("one", USERS, False)]


@pytest.mark.parametrize("text", ["[]", "a: [", "Resources: {}"])
def test_a_document_without_rules_is_said_to_be_none(text: str) -> None:
    with pytest.raises(CommandError, match=r"rules\.yaml"):
        read_patterns(text, "rules.yaml")


@pytest.mark.parametrize("pattern", ['{"source": ["a"],}', "{'source': ['a']}", '{"source": ["a"]'])
def test_a_pattern_that_is_yaml_and_no_json_is_refused_as_eventbridge_does(pattern: str) -> None:
    result = run(pattern, "-", given=json.dumps(DETAIL))
    assert (result.exit_code, "it is no JSON (line 1)" in result.output) == (2, True)


@pytest.mark.parametrize(("letters", "code", "said"), [
    (2_000, 0, ""), (2_100, 0, "EventBridge takes 2,048, unless the quota of your account was raised, up to 4,096"),
    (4_100, 2, "EventBridge would refuse it, at most 4,096 fit"),
])  # fmt: skip
def test_a_pattern_that_is_too_long_is_told(letters: int, code: int, said: str) -> None:
    result = run(json.dumps({"source": ["a" * letters]}), "-", given=json.dumps(DETAIL))
    assert result.exit_code == code
    assert said in result.stderr
    assert ("characters" in result.stderr) is bool(said)
