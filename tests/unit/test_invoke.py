"""`cdc invoke`: files of any mixture of records, as a user runs it."""

import base64
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st

from models.documents import pieces
from tests.unit.changes import USER, dms
from workers.cli.invoke import invoke
from workers.failures import ConfigurationError, NotFoundError, PartialError

SAMPLE = Path(__file__).parents[2] / "events" / "sample-cdc-event.json"


@pytest.fixture(autouse=True)
def _no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("ENVIRONMENT", "CDC_REDACTION_KEY", "CDC_REDACTION_KEY_FILE", "CDC_TABLES", "CDC_CATALOGUE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def run(*args: str | Path, stdin: bytes | None = None) -> Result:
    return CliRunner().invoke(invoke, [str(arg) for arg in args], input=stdin)


def lines(result: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def wrapped(*records: bytes) -> bytes:
    listed = [
        {"kinesis": {"sequenceNumber": str(n), "data": base64.b64encode(record).decode()}}
        for n, record in enumerate(records)
    ]
    return json.dumps({"Records": listed}).encode()


def user(number: int) -> bytes:
    return dms("insert", {**USER, "ID": number})


def test_the_sample_event_shows_every_way_a_record_can_end() -> None:
    result = run(SAMPLE)
    assert isinstance(result.exception, PartialError)
    shown = lines(result)
    assert [line.get("eventType") for line in shown] == ["user.updated", "group_map.created", None, "user.deleted"]
    assert shown[2]["deadLetter"]["code"] == "PARSE_ERROR"
    assert shown[1]["metadata"]["enrichment"]["source"] == "table"
    assert shown[3]["metadata"]["enrichment"]["source"] == "memory"
    assert result.stderr.count("dropped (snapshot)") == 3
    assert result.stderr.count("dropped (control)") == 1


def test_the_command_exits_with_7_if_anything_became_a_dead_letter() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "workers", "invoke", SAMPLE], capture_output=True, cwd=SAMPLE.parents[1], check=False
    )
    assert done.returncode == 7
    assert len(done.stdout.splitlines()) == 4


def test_documents_may_stand_in_any_form_and_mixture(tmp_path: Path) -> None:
    pretty = json.dumps(json.loads(user(2)), indent="\t").encode()
    path = tmp_path / "mixed.json"
    path.write_bytes(
        user(1) + pretty + b"\n[" + user(3) + b",\n" + user(4) + b"]\n" + wrapped(user(5), user(6)) + b"\n" + user(7)
    )
    result = run(path)
    assert result.exit_code == 0
    assert [line["entityId"] for line in lines(result)] == ["1", "2", "3", "4", "5", "6", "7"]


@pytest.mark.parametrize(
    "broken",
    [
        b'{"data":{"ID":1',
        b'{"data":{"ID":1,}}',
        b"not json",
        b'{"a":"unterminated',
        b"}",
        b'{"data":NaN}',
        b"123",
        b'{"a":1,"a":2}',
        b"\xff\xfe",
    ],
)
def test_a_malformed_document_does_not_take_its_neighbours_along(broken: bytes) -> None:
    result = run("-", stdin=user(1) + b"\n" + broken + b"\n" + user(2) + b"\n")
    assert [line.get("entityId") for line in lines(result)] == ["1", None, "2"]
    assert isinstance(result.exception, PartialError)


def test_a_malformed_element_of_a_pretty_printed_array_is_alone_too() -> None:
    text = "[\n  " + user(1).decode() + ',\n  {"data": {\n    "ID": 5\n  ,\n  ' + user(2).decode() + "\n]\n"
    assert [line.get("entityId") for line in lines(run("-", stdin=text.encode()))] == ["1", None, "2"]


@settings(max_examples=50)
@given(
    st.lists(
        st.tuples(st.integers(1, 99), st.sampled_from([None, 1, "\t"]), st.sampled_from(["\n", " ", ",", "]["])),
        max_size=6,
    )
)
def test_every_document_of_a_mixture_is_found(documents: list[tuple[int, Any, str]]) -> None:
    text = "".join(json.dumps({"n": n, "t": "}{][\n"}, indent=indent) + after for n, indent, after in documents)
    assert [json.loads(piece.content)["n"] for piece in pieces(text.encode())] == [n for n, _, _ in documents]


@settings(max_examples=200)
@given(st.binary(max_size=60) | st.text('{}[]",:a \n\\', max_size=40).map(str.encode))
def test_cutting_ends_on_any_input(data: bytes) -> None:
    assert sum(len(piece.content) for piece in pieces(data)) <= len(data)


def test_what_one_file_teaches_serves_the_next(tmp_path: Path) -> None:
    (tmp_path / "one.json").write_bytes(dms("load", {"ID": 21, "OrgID": 3}, table="groups"))
    (tmp_path / "two.json").write_bytes(dms("insert", {"ID": 9, "GroupID": 21}, table="group_maps_log"))
    assert lines(run(tmp_path / "one.json", tmp_path / "two.json"))[0]["orgId"] == "3"


def test_plain_files_give_the_same_events_each_time_and_wherever_they_lie(tmp_path: Path) -> None:
    for name in ("one.json", "two.json"):
        (tmp_path / name).write_bytes(user(1) + user(2))
    one, again, elsewhere = run(tmp_path / "one.json"), run(tmp_path / "one.json"), run(tmp_path / "two.json")
    assert one.stdout == again.stdout == elsewhere.stdout
    assert len({line["eventId"] for line in lines(one)}) == 2
    assert lines(one)[0]["metadata"]["processedAt"] == "2026-01-15T10:31:00.000Z"


def test_steps_are_shown_on_stderr_without_values() -> None:
    result = run("--steps", "-", stdin=user(1))
    for step in ("decode", "validate", "remember", "owner", "diff", "transform", "redact", "normalize"):
        assert f"\n    {step} " in result.stderr
    assert "a@x.test" not in result.stderr
    assert len(lines(result)) == 1


def test_the_lambda_response_names_the_dead_records() -> None:
    result = run("--lambda", "-", stdin=wrapped(user(1), b"{", user(2)))
    assert json.loads(result.stdout) == {"batchItemFailures": [{"itemIdentifier": "1"}]}


def test_a_lambda_record_without_usable_data_is_a_dead_letter() -> None:
    event = b'{"Records":[{"kinesis":{"data":"!"}},{"kinesis":{}},7]}'
    assert [line["deadLetter"]["code"] for line in lines(run("-", stdin=event))] == ["PARSE_ERROR"] * 3


def test_output_may_be_one_json_document_or_a_table() -> None:
    assert [line["entityId"] for line in json.loads(run("--output", "json", "-", stdin=user(1)).stdout)] == ["1"]
    assert "user.created  users:1" in run("--output", "table", "-", stdin=user(1)).stdout


def test_a_missing_file_is_not_found() -> None:
    assert isinstance(run("none.json").exception, NotFoundError)


def test_a_token_without_a_redaction_key_is_a_configuration_error_with_a_hint(monkeypatch: pytest.MonkeyPatch) -> None:
    org = dms("insert", {"ID": 3, "Name": "Acme", "AccountNumber": "12-34"}, table="orgs")
    refused = run("-", stdin=org).exception
    assert isinstance(refused, ConfigurationError)
    assert "CDC_REDACTION_KEY" in refused.hint
    monkeypatch.setenv("CDC_REDACTION_KEY", "0123456789abcdef0123")
    assert lines(run("-", stdin=org))[0]["changes"]["AccountNumber"]["new"].startswith("tok1_")


def test_mistakes_in_tables_yaml_are_a_configuration_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "tables.yaml").write_text("version: 1\ntables: [{tabel: x}]\n")
    monkeypatch.setenv("CDC_TABLES", "tables.yaml")
    refused = run("-", stdin=b"").exception
    assert isinstance(refused, ConfigurationError)
    assert "did you mean table?" in str(refused)


def test_a_changed_key_retires_the_former_row() -> None:
    moved = dms("update", {"ID": 22}, table="groups", before={"ID": 21})
    mapped = dms("insert", {"ID": 9, "GroupID": 21}, table="group_maps_log")
    shown = lines(run("-", stdin=dms("load", {"ID": 21, "OrgID": 3}, table="groups") + moved + mapped))
    assert shown[0]["previousKeys"] == {"ID": 21}
    assert shown[1]["metadata"]["enrichment"]["source"] == "missing"


def test_records_of_several_databases_may_stand_in_one_call_and_the_second_schema_is_told(tmp_path: Path) -> None:
    (tmp_path / "mixed").write_bytes(
        dms("insert", {**USER, "ID": 1}, schema="core") + dms("insert", {**USER, "ID": 2}, schema="public")
    )
    result = run("mixed")
    assert [line["metadata"]["sourceSchema"] for line in lines(result)] == ["core", "public"]
    assert "users stands in schema public too" in result.stderr


def test_what_a_source_says_of_its_dms_task_holds_for_its_records(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "sources.yaml").write_text(
        "version: 1\nsources:\n"
        "  - {name: core, stream: one}\n"
        "  - {name: crm, stream: two, before_prefix: old_, lob_max_size: 1}\n"
    )
    monkeypatch.setenv("CDC_SOURCES", "sources.yaml")
    record = dms("update", {**USER, "ID": 7, "old_ID": 6, "old_Status": "NEW", "DisplayName": "x" * 1024})
    crm = lines(run("--source", "crm", "-", stdin=record))[0]
    assert crm["previousKeys"] == {"ID": 6}
    assert crm["changes"]["Status"] == {"old": "NEW", "new": "ACTIVE"}
    assert crm["metadata"]["truncatedFields"] == ["DisplayName"]
    core = lines(run("--source", "core", "-", stdin=record))[0]
    assert "previousKeys" not in core
    assert "truncatedFields" not in core["metadata"]
