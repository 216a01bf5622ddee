"""The token file and the sessions that its tokens are exchanged for."""

from pathlib import Path

import pytest

from tests.unit.clock import Clock
from workers.failures import ConfigurationError
from workers.web import token_file
from workers.web.sessions import (
    FAILURE_SECONDS,
    FAILURES,
    IDLE_SECONDS,
    LONGEST_SECONDS,
    MOST_SESSIONS,
    Failures,
    Sessions,
)
from workers.web.token_file import TokenFile
from workers.web.tokens import parse_tokens, read_tokens

READ, WRITE = "reader-0123456789-0123456789-012", "writer-0123456789-0123456789-0123456789"
NEW = "9876543210-9876543210-9876543210"


def test_a_token_is_found_with_its_name_and_what_it_may() -> None:
    tokens = parse_tokens(["# who may look", f"read {READ} grafana", "", f"write {WRITE}"])
    reader, writer = tokens.find(READ), tokens.find(WRITE)
    assert reader is not None
    assert writer is not None
    assert (reader.name, reader.writes) == ("grafana", False)
    assert (writer.name, writer.writes) == ("write-4", True)


@pytest.mark.parametrize("told", ["", READ[:-1], READ + "r", READ.upper()])
def test_what_is_no_token_is_not_found(told: str) -> None:
    assert parse_tokens([f"read {READ}"]).find(told) is None


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ([f"read {READ}", "read short-secret"], "line 2: the token has less than 32 characters"),
        ([f"read {READ}", "read " + "secret" * 6], "line 2: the token has less than 8 different characters"),
        ([f"admin {READ}"], "line 1: neither"),
        ([f"read {READ} two names"], "line 1: neither"),
        ([f"read {READ}", f"write {READ}"], "line 2: this token stands there twice"),
        (["# nobody"], "holds no token"),
    ],
)
def test_a_wrong_line_is_named_by_its_number_and_never_shown(lines: list[str], says: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        parse_tokens(lines)
    assert says in str(raised.value)
    assert READ not in str(raised.value)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("mode", [0o644, 0o660, 0o602])
def test_a_file_that_others_may_read_or_change_is_refused(tmp_path: Path, mode: int) -> None:
    file = tmp_path / "tokens"
    file.write_text(f"read {READ}\n")
    file.chmod(mode)
    with pytest.raises(ConfigurationError, match=f"mode {mode:04o}"):
        read_tokens(file)
    file.chmod(0o440)
    assert read_tokens(file).find(READ)


def test_a_missing_token_file_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="CDC_WEB_TOKEN_FILE cannot be read"):
        read_tokens(tmp_path / "none")


def exchange(file: Path, text: str, mode: int = 0o600) -> None:
    """As those do it who rotate: a new file takes the place of the old one."""
    new = file.with_name("new")
    new.write_text(text)
    new.chmod(mode)
    new.replace(file)


@pytest.mark.parametrize(
    ("text", "mode", "says"),
    [
        (f"read {NEW}\nread secret", 0o600, "line 2: the token has less than 32 characters"),
        (f"read {NEW}\n", 0o644, "mode 0644: others may read or change it"),
        ("", 0o600, "holds no token"),
    ],
)
def test_a_file_that_cannot_be_used_leaves_the_old_tokens_in_force_and_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, text: str, mode: int, says: str
) -> None:
    exchange(tmp_path / "tokens", f"read {READ}\n")
    file = TokenFile(tmp_path / "tokens")
    exchange(tmp_path / "tokens", text, mode)
    for _ in range(3):
        file.look()
    assert file.tokens.find(READ)
    assert not file.tokens.find(NEW)
    [told] = caplog.records
    assert (told.levelname, says in told.getMessage()) == ("ERROR", True)
    assert not any(secret in caplog.text for secret in (READ, NEW, "secret"))
    exchange(tmp_path / "tokens", f"read {NEW}\n")
    file.look()
    assert (file.tokens.find(READ), bool(file.tokens.find(NEW))) == (None, True)


def test_a_file_that_goes_away_for_a_while_changes_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    exchange(tmp_path / "tokens", f"read {READ}\n")
    file = TokenFile(tmp_path / "tokens")
    (tmp_path / "tokens").unlink()
    file.look()
    file.look()
    assert file.tokens.find(READ)
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    exchange(tmp_path / "tokens", f"write {WRITE}\n")
    file.look()
    assert file.tokens.find(WRITE)


def test_a_file_that_is_the_same_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    exchange(tmp_path / "tokens", f"read {READ}\n")
    file = TokenFile(tmp_path / "tokens")
    monkeypatch.setattr(token_file, "read_tokens", None)
    file.look()


def test_a_file_whose_rights_are_opened_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    exchange(tmp_path / "tokens", f"read {READ}\n")
    file = TokenFile(tmp_path / "tokens")
    (tmp_path / "tokens").chmod(0o644)
    file.look()
    assert "others may read or change it" in caplog.text
    assert file.tokens.find(READ)


def test_a_session_ends_an_hour_after_its_last_use() -> None:
    clock = Clock()
    sessions = Sessions(clock)
    token = parse_tokens([f"read {READ}"]).known[0]
    name = sessions.begin(token)
    clock.now += IDLE_SECONDS - 1
    assert sessions.find(name) is token
    clock.now += IDLE_SECONDS + 1
    assert sessions.find(name) is None


def test_a_session_ends_after_eight_hours_however_much_it_is_used() -> None:
    clock = Clock()
    sessions = Sessions(clock)
    name = sessions.begin(parse_tokens([f"read {READ}"]).known[0])
    started = clock.now
    while clock.now + IDLE_SECONDS / 2 <= started + LONGEST_SECONDS:
        clock.now += IDLE_SECONDS / 2
        assert sessions.find(name) is not None
    clock.now += IDLE_SECONDS / 2
    assert sessions.find(name) is None


def test_a_session_that_was_signed_out_is_over() -> None:
    sessions = Sessions(Clock())
    name = sessions.begin(parse_tokens([f"read {READ}"]).known[0])
    sessions.end(name)
    assert sessions.find(name) is None


def test_the_eldest_session_of_a_token_ends_when_there_are_too_many_and_none_of_another_token() -> None:
    sessions = Sessions(Clock())
    token, other = parse_tokens([f"read {READ}", f"write {WRITE}"]).known
    earlier = sessions.begin(other)
    names = [sessions.begin(token) for _ in range(MOST_SESSIONS + 1)]
    assert sessions.find(names[0]) is None
    assert sessions.find(names[1]) is token
    assert sessions.find(earlier) is other


def test_after_ten_failures_an_address_waits_and_others_do_not() -> None:
    clock = Clock()
    failures = Failures(clock)
    for _ in range(FAILURES):
        assert failures.seconds_to_wait("10.0.0.1") == 0
        failures.add("10.0.0.1")
    assert 0 < failures.seconds_to_wait("10.0.0.1") <= FAILURE_SECONDS
    assert failures.seconds_to_wait("10.0.0.2") == 0
    clock.now += FAILURE_SECONDS + 1
    assert failures.seconds_to_wait("10.0.0.1") == 0
