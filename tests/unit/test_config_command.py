"""`cdc config`: what it shows, and what it says of settings that differ."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from click.testing import CliRunner

from workers.cli.config import config
from workers.cluster.peers import Answer
from workers.config_records import differences
from workers.config_workers import Ours, WorkerComparison, compared
from workers.engine.configuration import StageConfig
from workers.failures import NotFoundError
from workers.settings.effective import origins
from workers.settings.schema import settings_schema, type_in_words
from workers.settings.worker import Settings, environment_names

OURS = StageConfig(
    sources={"cdc.raw.core": 12}, changelogs={"cdc-enrich-users-changelog": 12},
    contract={"prefix": "cdc.", "key.users": "ID"}, fingerprint="a1",
)  # fmt: skip


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in environment_names():
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def run(*words: str) -> str:
    ended = CliRunner().invoke(config, words, catch_exceptions=False)
    assert ended.exit_code == 0, ended.output
    return ended.stdout


def test_a_setting_is_shown_with_its_origin(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("\nCDC_LINGER=0.5\n")
    monkeypatch.setenv("CDC_REDACTION_KEY", "0123456789abcdef")
    lines = run("show", "--origin", "cdc_linger", "CDC_REDACTION_KEY", "CDC_APP").splitlines()
    assert [line.split() for line in lines] == [
        ["NAME", "VALUE", "ORIGIN"], ["CDC_LINGER", "0.5", ".env:2"], ["CDC_REDACTION_KEY", "***", "environment"],
        ["CDC_APP", "cdc", "default"],
    ]  # fmt: skip


def test_a_mistyped_name_is_told_which_one_was_meant() -> None:
    with pytest.raises(NotFoundError) as raised:
        run("show", "CDC_LINGR")
    assert raised.value.hint == "did you mean CDC_LINGER?"


def test_only_what_was_changed_differs_from_the_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CDC_PARTITIONS", "6")
    monkeypatch.setenv("CDC_LINGER", "0.0250")
    (found,) = json.loads(run("diff", "--output", "json"))
    assert (found["name"], found["default"], found["value"]) == ("CDC_PARTITIONS", "12", "6")


def test_the_schema_takes_the_example_and_refuses_what_a_worker_refuses() -> None:
    schema = settings_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    judge = jsonschema.Draft202012Validator(schema)
    good = {"CDC_PARTITIONS": 6, "CDC_CIRCUIT": "5/30s/3", "ENVIRONMENT": "LOCAL", "PATH": "/bin"}
    assert list(judge.iter_errors(good)) == []
    for wrong in ({"CDC_PARTITIONS": 0}, {"ENVIRONMENT": "STAGING"}, {"CDC_PARTITONS": 6}):
        assert list(judge.iter_errors(wrong)), wrong
    assert schema["properties"].keys() == environment_names().keys()


def test_every_setting_has_a_type_in_words() -> None:
    words = {name: type_in_words(found) for name, found in settings_schema()["properties"].items()}
    assert words["CDC_PARTITIONS"] == "integer, 1 to 1000"
    assert words["CDC_REDACTION_KEY"] == "secret"
    assert words["CDC_PUT_EVENTS_QUOTA"] == "number, above 0"
    assert words["ENVIRONMENT"] == "LOCAL, DEV, QA or PRD"
    assert {name for name, found in words.items() if found == "secret"} >= {"DATABASE_URL", "CDC_KAFKA_PASSWORD"}


def test_the_same_settings_fit_to_the_workers() -> None:
    assert list(differences("enrich", OURS, OURS, "cdc-enrich")) == []


def test_another_key_of_a_table_would_be_refused_and_other_rules_are_told() -> None:
    record = StageConfig(
        sources=OURS.sources, changelogs={}, contract={"prefix": "cdc.", "key.users": "UserID"}, fingerprint="b2"
    )
    found = list(differences("enrich", record, OURS, "cdc-enrich"))
    assert [one.refused for one in found] == [True, False, False]
    assert "key.users" in found[0].what
    assert "cdc-enrich-users-changelog" in found[1].what


def answer(worker: str, **changes: Any) -> Answer:
    """What a worker with the settings of `ours` tells, but for `changes`."""
    rows = [row.document() for row in ours().rows]
    told = {"version": "1.0", "tables": {"enrich": "a1", "publish": "a1"}, "settings": rows} | changes
    return Answer(worker, body=json.loads(json.dumps(told)))


def ours(**settings: Any) -> Ours:
    return Ours(origins(Settings(_env_file=None, **settings)), "a1", "1.0")


def test_a_worker_with_the_same_settings_does_not_differ() -> None:
    found = compared(ours(worker_name="another", log_level="DEBUG"), [answer("w0")])
    assert found == WorkerComparison(("w0",), (), ())


def test_every_worker_that_runs_is_compared_and_none_of_its_differences_is_refused() -> None:
    older = answer("w1", version="0.9", tables={"enrich": "b2"})
    found = compared(ours(linger=0.5), [answer("w0"), older])
    assert found.compared == ("w0", "w1")
    assert [(one.worker, one.stage, one.what, one.refused) for one in found.differences] == [
        ("w0", "", "CDC_LINGER is 0.025 there and 0.5 here", False),
        ("w1", "", "it is of release 0.9, here is 1.0", False),
        ("w1", "enrich", "its tables are others: fingerprint b2, here a1", False),
        ("w1", "", "CDC_LINGER is 0.025 there and 0.5 here", False),
    ]


def test_workers_that_do_not_answer_or_answer_something_else_are_named() -> None:
    answers = [answer("w0"), Answer("w1", error="does not answer in time"), Answer("w2", body=[])]
    found = compared(ours(), answers)
    assert (found.compared, found.differences) == (("w0",), ())
    assert found.unheard == ("w1: does not answer in time", "w2: its answer is none of this release")
