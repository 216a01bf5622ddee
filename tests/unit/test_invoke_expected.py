"""`cdc invoke --expect`: what came out beside what was expected."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tests.unit.changes import USER, dms
from workers.cli.invoke import invoke
from workers.failures import CommandError, ExitCode, NotFoundError

RECORDS = dms("insert", USER, transaction=1) + b"\n{\n" + dms("update", USER, before={"ID": 7, "Email": "b@x.test"})


@pytest.fixture(autouse=True)
def _no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("ENVIRONMENT", "CDC_REDACTION_KEY", "CDC_TABLES", "CDC_CATALOGUE", "CDC_VALIDATE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def run(*args: str) -> Result:
    return CliRunner().invoke(invoke, [*args, "-"], input=RECORDS)


def printed() -> list[dict[str, Any]]:
    return [json.loads(line) for line in run().stdout.splitlines()]


def compared(documents: list[dict[str, Any]], *args: str) -> Result:
    Path("expected.json").write_text(json.dumps(documents, indent=2, sort_keys=True), encoding="utf-8")
    return run("--expect", "expected.json", *args)


def test_what_was_printed_is_as_expected_whatever_its_form_and_order_of_keys() -> None:
    shuffled = [dict(reversed(document.items())) for document in printed()]
    result = compared(shuffled)
    assert result.exit_code == 0  # also with the dead letter, which is expected
    assert "3 documents, all as expected" in result.stderr
    assert result.stdout == run().stdout


def test_each_field_that_differs_is_told_and_makes_exit_code_1() -> None:
    documents = printed()
    documents[0]["orgId"] = "4"
    documents[0]["changes"]["Email"]["new"] = "x"
    del documents[2]["metadata"]["snapshot"]
    result = compared(documents)
    assert isinstance(result.exception, CommandError)
    assert result.exception.exit_code is ExitCode.ERROR
    name = f"user.created {documents[0]['eventId']}"
    assert f'{name}: changes.Email.new: expected "x", came "a**@x.test"' in result.stderr
    assert f'{name}: orgId: expected "4", came "3"' in result.stderr
    assert "metadata.snapshot: expected nothing, came false" in result.stderr
    assert str(result.exception) == "3 differences from expected.json"


def test_a_field_that_may_differ_is_ignored_with_all_below_it() -> None:
    documents = printed()
    documents[1]["deadLetter"]["fingerprint"] = "another"
    documents[0]["metadata"] = {}
    assert compared(documents, "--ignore", "deadLetter.fingerprint", "--ignore", "metadata").exit_code == 0


def test_documents_that_are_missing_or_too_many_are_named() -> None:
    documents = printed()
    assert "was not expected" in compared(documents[:2]).stderr
    assert "did not come out" in compared([*documents, {**documents[0], "eventId": "evt_1_a"}]).stderr


def test_another_order_of_documents_is_a_difference() -> None:
    documents = printed()
    result = compared([documents[2], documents[1], documents[0]])
    assert result.stderr.count("expected behind it") == 2


def test_true_is_not_one_and_a_number_is_not_its_text() -> None:
    documents = printed()
    documents[0]["metadata"]["snapshot"] = 0
    documents[0]["keys"]["ID"] = "7"
    assert "2 differences" in str(compared(documents).exception)


def test_a_file_of_expectations_that_is_missing_or_no_documents_is_an_error() -> None:
    assert isinstance(run("--expect", "none.json").exception, NotFoundError)
    Path("text.json").write_text("{}\nevents\n")
    assert str(run("--expect", "text.json").exception).startswith("text.json:2: not a JSON object")


def test_ignore_without_expectations_is_a_mistake_of_usage() -> None:
    assert run("--ignore", "metadata").exit_code == ExitCode.USAGE
