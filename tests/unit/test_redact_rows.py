"""`redact_sensitive_fields`, as code of others calls it, and `cdc redact`, as a user runs it."""

import copy
import json
import string
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st

from enrichers.redact import MissingKeyError, Secret, UnredactableError, redact_sensitive_fields
from models.free_text import BUILT_IN, RegexRedaction
from models.tables import MaskStyle, Redaction, RedactionAction, TableSpec
from tests.unit.changes import KEY, TELEPHONY, USER, Worker, dms
from workers.cli.redact import redact
from workers.failures import CommandError, ConfigurationError, NotFoundError, PartialError
from workers.settings.worker import environment_names

SECRET = Secret(KEY)
USERS = TELEPHONY.named("users") or pytest.fail("there is no table users")
ORGS = TELEPHONY.named("orgs") or pytest.fail("there is no table orgs")
CANARY = "CANARYcanary0123456789"


def test_a_row_is_copied_redacted_and_the_columns_are_named() -> None:
    row = {**USER, "SSN": "123-45-6789", "Note": "x", "Phone": None}
    redacted = redact_sensitive_fields(row, USERS)
    assert redacted.row == {**USER, "Email": "a**@x.test", "Note": "***REDACTED***", "Phone": None}
    assert redacted.fields == ("Email", "Note", "Phone", "SSN")


def test_columns_are_found_in_other_spellings_and_keep_the_one_they_have() -> None:
    assert redact_sensitive_fields({"id": 7, "E_MAIL": "a@x.test", "ssn": "1"}, USERS).row == {
        "id": 7,
        "E_MAIL": "a**@x.test",
    }


def test_a_second_spelling_is_redacted_too() -> None:
    rules = {"ssn": Redaction(RedactionAction.REMOVE)}
    assert redact_sensitive_fields({"ssn": "1", "SSN": "2", "name": "Jane"}, rules).row == {"name": "Jane"}


def test_a_second_spelling_of_a_clear_column_is_unknown_as_in_events() -> None:
    row = {"Status": "ON", "status": "x"}
    assert redact_sensitive_fields(row, USERS).row == {"Status": "ON", "status": "***REDACTED***"}
    assert Worker().event(dms("insert", USER | row))["changes"]["status"] == {"new": "***REDACTED***"}


def test_rules_alone_redact_their_columns_and_nothing_else() -> None:
    rules = {"ssn": Redaction(RedactionAction.FULL_MASK, replacement="[REDACTED]")}
    assert redact_sensitive_fields({"ssn": "123", "name": "Jane"}, rules).row == {"ssn": "[REDACTED]", "name": "Jane"}


def test_hashes_are_those_of_the_events() -> None:
    row = {"ID": 3, "Name": "Acme", "Status": "ON", "AccountNumber": " 12-34 "}
    detail = Worker().event(dms("insert", row, table="orgs"))
    assert (
        redact_sensitive_fields(row, ORGS, secret=SECRET).row["AccountNumber"]
        == detail["changes"]["AccountNumber"]["new"]
    )


def test_a_condition_is_asked_of_the_row() -> None:
    agents = TELEPHONY.named("call_center_agents")
    assert agents is not None
    user = {"agent_type": "USER", "agent_ref": "7"}
    assert redact_sensitive_fields(user, agents).row == user
    assert redact_sensitive_fields({"AgentRef": "7123456"}, agents).row == {"AgentRef": "712****"}


def test_tokens_of_a_known_key_stay_and_others_are_hashed() -> None:
    token = redact_sensitive_fields({"AccountNumber": "1"}, ORGS, secret=SECRET).row["AccountNumber"]
    new = Secret(b"the key that comes next", 2)
    assert redact_sensitive_fields({"AccountNumber": token}, ORGS, secret=new, other=SECRET).row == {
        "AccountNumber": token
    }
    for forged in (token, token.replace("tok1", "tok3"), "h1." + "0" * 32, token[:-1] + "g"):
        found = redact_sensitive_fields({"AccountNumber": forged}, ORGS, secret=new).row["AccountNumber"]
        assert found.startswith("tok2_")


def test_in_the_pipeline_a_value_that_looks_like_a_token_is_hashed_like_any_other() -> None:
    token = redact_sensitive_fields({"AccountNumber": "1"}, ORGS, secret=SECRET).row["AccountNumber"]
    row = {"ID": 3, "Name": "Acme", "Status": "ON", "AccountNumber": token}
    assert Worker().event(dms("insert", row, table="orgs"))["changes"]["AccountNumber"]["new"] != token


def test_only_the_documented_errors_are_raised_and_none_tells_a_value() -> None:
    with pytest.raises(MissingKeyError, match=r"orgs\.AccountNumber"):
        redact_sensitive_fields({"AccountNumber": "1"}, ORGS)
    endless: list[Any] = [CANARY]
    endless.append(endless)
    for value in (object(), {1: {2, 3}, CANARY: object()}, endless):
        with pytest.raises(UnredactableError, match="column Email holds no value") as caught:
            redact_sensitive_fields({"Email": value}, USERS)
        assert CANARY not in str(caught.value)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.decimals(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8"), max_size=20)
    | st.sampled_from(["a@x.test", "+41 44 668 18 00", "4111 1111 1111 1111", "10.1.2.3", "2001:db8::1", "+****800"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(string.ascii_letters, max_size=4), inner,
                                                               max_size=3),
    max_leaves=6,
)  # fmt: skip
STYLES: tuple[MaskStyle, ...] = ("text", "email", "phone", "card", "ip")
RULES = st.builds(
    Redaction,
    action=st.sampled_from(RedactionAction),
    style=st.sampled_from(STYLES),
    visible_chars=st.none() | st.integers(0, 12),
    mask_char=st.sampled_from("*#x "),
    link_group=st.none() | st.just("g"),
)
PATTERNS = st.builds(
    Redaction,
    action=st.sampled_from([action for action in RedactionAction if not action.keyed]),
    patterns=st.just(tuple(RegexRedaction(name) for name in BUILT_IN)),
)
ASKED = {"Kind": ("A", "7", "true")}
TABLES = st.builds(
    lambda one, two, spared, policy: TableSpec(
        name="t", table="t", entity="t", key=("ID",), unknown_columns=policy,
        redact={"One": one, "Two": two, "Three": Redaction(spared, unless=ASKED)},
    ),
    RULES | PATTERNS, RULES | PATTERNS, st.sampled_from(RedactionAction), st.sampled_from(["mask", "publish", "drop"]),
)  # fmt: skip
ROWS = st.dictionaries(st.sampled_from(["ID", "One", "Two", "Three", "Kind", "Four", "one"]), VALUES)


@settings(max_examples=60)
@given(TABLES, ROWS)
def test_redacting_twice_is_redacting_once_and_the_row_stays_as_it_was(table: TableSpec, row: dict[str, Any]) -> None:
    before = copy.deepcopy(row)
    once = redact_sensitive_fields(row, table, secret=SECRET)
    assert row == before
    kept = copy.deepcopy(once.row)
    twice = redact_sensitive_fields(once.row, table, secret=SECRET)
    assert twice.row == once.row == kept


@settings(max_examples=60)
@given(
    TABLES,
    st.sampled_from([CANARY, {CANARY: [CANARY]}, [CANARY, 1], Decimal("1234567890.12345")]),
    st.sampled_from(["One", "Two", "Three"]),
)
def test_what_a_rule_takes_is_nowhere_in_the_copy(table: TableSpec, value: Any, column: str) -> None:
    if table.redact[column].patterns or (table.redact[column].visible_chars or 0) > 3:
        column = "Three"
    redacted = redact_sensitive_fields({"ID": 1, "Kind": "B", column: value}, table, secret=SECRET)
    assert column in redacted.fields
    assert not [text for text in ("CANARYcan", "canary", "567890") if text in repr(redacted)]


@pytest.fixture
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in environment_names():
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def run(*args: str, stdin: Any) -> Result:
    text = stdin if isinstance(stdin, bytes) else json.dumps(stdin).encode()
    return CliRunner().invoke(redact, [*args, "-"], input=text)


def exit_code(result: Result) -> int:
    assert isinstance(result.exception, CommandError)
    return int(result.exception.exit_code)


@pytest.mark.usefixtures("clean")
class TestCommand:
    """`cdc redact`."""

    def test_plain_rows_are_printed_redacted(self) -> None:
        result = run("--table", "users", stdin=[USER, {**USER, "ID": 8, "Email": None}])
        assert [json.loads(line) for line in result.stdout.splitlines()] == [
            {**USER, "Email": "a**@x.test"},
            {**USER, "ID": 8, "Email": None},
        ]
        assert result.exit_code == 0

    def test_images_of_change_records_are_shown_with_the_rules_of_their_table(self) -> None:
        outside = {"ID": 3, "OrgID": 3, "AgentType": "EXTERNAL", "AgentRef": "+41446681800"}
        user = {**outside, "AgentType": "USER", "AgentRef": "7"}
        source = {"connector": "mysql", "name": "n", "db": "core", "table": "users", "ts_ms": 1}
        debezium = {"op": "c", "ts_ms": 1, "source": source, "after": {"ID": 7, "Email": "a@x.test"}}
        records = [
            dms("update", user, before=outside, table="call_center_agents"),
            dms("delete", outside, table="call_center_agents"),
            json.dumps(debezium).encode(),
        ]
        result = run(stdin=b"\n".join(records))
        assert [json.loads(line) for line in result.stdout.splitlines()] == [
            {"before": {**outside, "AgentRef": "+41*********"}, "after": user},
            {"before": {**outside, "AgentRef": "+41*********"}},
            {"after": {"ID": 7, "Email": "a**@x.test"}},
        ]

    def test_steps_name_columns_and_rules_and_no_value(self) -> None:
        result = run("--table", "users", "--steps", stdin={**USER, "SSN": CANARY, "Note": CANARY})
        assert "stdin:1: Email: PARTIAL_MASK" in result.stderr
        assert "stdin:1: SSN: REMOVE" in result.stderr
        assert "stdin:1: Note: unknown column, mask" in result.stderr
        assert CANARY not in result.output

    def test_other_forms_of_output(self) -> None:
        (document,) = json.loads(run("--table", "users", "--output", "json", stdin=USER).stdout)
        assert document["Email"] == "a**@x.test"
        table = run("--table", "users", "--output", "table", stdin={"ID": 7, "SSN": CANARY}).stdout.splitlines()
        assert [line.split() for line in table] == [
            ["WHERE", "IMAGE", "COLUMN", "VALUE", "RULE"],
            ["stdin:1", "ID", "7"],
            ["stdin:1", "SSN", "REMOVE"],
        ]

    def test_the_key_is_chosen_by_its_version(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CDC_REDACTION_KEY", "0123456789abcdef")
        monkeypatch.setenv("CDC_REDACTION_KEY_OTHER", "fedcba9876543210")
        monkeypatch.setenv("CDC_REDACTION_KEY_OTHER_VERSION", "2")
        row = {"AccountNumber": "1"}
        assert '"tok1_' in run("--table", "orgs", stdin=row).stdout
        assert '"tok2_' in run("--table", "orgs", "--key-version", "2", stdin=row).stdout
        result = run("--table", "orgs", "--key-version", "3", stdin=row)
        assert isinstance(result.exception, ConfigurationError)
        assert "versions: 1, 2" in str(result.exception)

    @pytest.mark.parametrize(
        ("args", "stdin", "error"),
        [
            (["--table", "orgs"], {"AccountNumber": CANARY}, ConfigurationError),
            (["--table", "user"], {"Email": CANARY}, NotFoundError),
            (["--table", "users"], {"ID": CANARY}, PartialError),
            (["--table", "users"], b'{"SSN":"' + CANARY.encode(), CommandError),
            (["--table", "users"], b'"' + CANARY.encode() + b'"', CommandError),
            ([], dms("insert", {"SSN": CANARY}, table="unknown"), PartialError),
            ([], {"SSN": CANARY}, SystemExit),
        ],
    )
    def test_no_error_tells_a_value(self, args: list[str], stdin: Any, error: type[BaseException]) -> None:
        result = run(*args, stdin=stdin)
        assert isinstance(result.exception, error)
        assert CANARY not in result.output + str(result.exception)

    def test_one_bad_document_does_not_hide_the_others(self) -> None:
        result = run("--table", "users", stdin=b'{"ID":1}\n{"ID":\n{"ID":2}\n')
        assert [json.loads(line) for line in result.stdout.splitlines()] == [{"ID": 1}, {"ID": 2}]
        assert str(result.exception) == "1 of 3 documents could not be shown"

    def test_many_bad_documents_are_a_few_lines_and_a_number(self) -> None:
        rows = b"".join(b'{"ID":%d}\n{"ID":"x"}\n' % number for number in range(100))
        result = run("--table", "users", stdin=rows + dms("insert", {"ID": 1}, table="orgs") * 20)
        assert len(result.stdout.splitlines()) == 100
        told = result.stderr.splitlines()
        assert [line for line in told if "not shown:" in line] == [
            f"stdin:{line}: not shown: column ID is not of type int" for line in (2, 4, 6, 8, 10)
        ]
        assert (told[-2:], len(told)) == (["stdin: 95 more not shown", "stdin: 15 more left out"], 12)
        assert (str(result.exception), exit_code(result)) == ("100 of 220 documents could not be shown", 7)

    @pytest.mark.parametrize(
        ("stdin", "why"),
        [
            (b"ID,Email\n" + b"1,a@x.test\n" * 5_000, "stdin:1: not acceptable JSON: malformed at line 1"),
            (b"\x7fELF\n" * 5_000, "stdin:1: not acceptable JSON: malformed at line 1"),
            (b"[1, 2, 3]", "stdin:1: neither a row nor a change record: no JSON object"),
        ],
    )
    def test_a_file_that_is_no_json_is_one_error(self, stdin: bytes, why: str) -> None:
        result = run("--table", "users", stdin=stdin)
        assert (result.stdout, result.stderr, exit_code(result)) == ("", "", 1)
        assert str(result.exception).startswith(
            "stdin holds no row and no change record, which are JSON objects: " + why
        )

    def test_a_file_that_is_no_json_does_not_hide_the_others(self, tmp_path: Path) -> None:
        (tmp_path / "rows.csv").write_text("ID\n1\n" * 50)
        result = run("--table", "users", str(tmp_path / "rows.csv"), stdin=b'{"ID":1}')
        assert result.stdout == '{"ID":1}\n'
        assert len(result.stderr.splitlines()) == 1
        assert (str(result.exception), exit_code(result)) == ("1 of 2 files hold no JSON", 7)

    def test_records_of_other_tables_are_left_out_and_told(self) -> None:
        result = run("--table", "orgs", stdin=dms("insert", USER))
        assert (result.exit_code, result.stdout) == (0, "")
        assert "left out: a record of users" in result.stderr
