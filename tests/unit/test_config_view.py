"""The effective settings: every value with its origin, and no secret among them."""

from pathlib import Path
from typing import Any, cast

import pytest
from pydantic import SecretStr

from workers.settings.effective import MASK, SettingRow, fingerprint, is_secret, origins, without_credentials
from workers.settings.origins import OriginKind
from workers.settings.worker import Settings, environment_names, load_settings

KEY = "0123456789abcdef-hush"


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in environment_names():
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def row(name: str, **flags: Any) -> SettingRow:
    (found,) = (row for row in origins(load_settings(flags)) if row.name == name)
    return found


def test_every_setting_has_a_row() -> None:
    assert {found.field for found in origins(Settings(_env_file=None))} == Settings.model_fields.keys()


def test_a_flag_wins_over_the_environment_and_that_over_the_env_file(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("# CDC_APP=no\n\nCDC_APP=first\nexport CDC_APP=file\n")
    found = [row("CDC_APP")]
    monkeypatch.setenv("CDC_APP", "shell")
    found += [row("CDC_APP"), row("CDC_APP", app="flag")]
    assert [(one.value, one.origin, one.where) for one in found] == [
        ("file", OriginKind.ENV_FILE, ".env:4"), ("shell", OriginKind.ENVIRONMENT, "CDC_APP"),
        ("flag", OriginKind.FLAG, ""),
    ]  # fmt: skip


def test_a_setting_that_is_read_by_another_name_says_by_which(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    found = row("AWS_REGION")
    assert (found.value, found.where, found.changed) == ("eu-west-1", "AWS_DEFAULT_REGION", True)


def test_what_nobody_set_is_the_default() -> None:
    found = row("CDC_LINGER")
    assert (found.value, found.origin, found.changed) == ("0.025", OriginKind.DEFAULT, False)


def test_secrets_are_told_as_set_and_where_they_stand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CDC_REDACTION_KEY", KEY)
    found = [row("CDC_REDACTION_KEY")]
    monkeypatch.delenv("CDC_REDACTION_KEY")
    found.append(row("CDC_REDACTION_KEY", redaction_key_file=Path("/run/key")))
    found.append(row("CDC_REDACTION_KEY", ssm_redaction_key="/cdc/key"))
    assert [(one.value, one.origin, one.where) for one in found] == [
        (MASK, OriginKind.ENVIRONMENT, "CDC_REDACTION_KEY"), (MASK, OriginKind.FILE, "/run/key"),
        (MASK, OriginKind.SSM, "/cdc/key"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://user:hush@host:1/x", "https://***@host:1/x"),
        ("https://hush@host", "https://***@host"),
        ("https://user:hu/sh@ed@host", "https://***@host"),
        ("https://host/path?token=hush#more", "https://host/path?***"),
        ("a:9092,bob:hu/sh@b:9092", "a:9092,***@b:9092"),
        ("arn:aws:sns:us-east-1:000000000000:alerts", "arn:aws:sns:us-east-1:000000000000:alerts"),
        ("a:9092,b:9092", "a:9092,b:9092"),
    ],
)
def test_credentials_in_addresses_are_hidden(text: str, shown: str) -> None:
    assert without_credentials(text) == shown


def test_no_secret_stands_in_any_row() -> None:
    secret = [field for field, info in Settings.model_fields.items() if is_secret(info)]
    assert {"redaction_key", "kafka_password", "database_url"} <= set(secret)
    settings = Settings.model_construct(None, **dict.fromkeys(secret, cast("Any", SecretStr(KEY))))
    found = {row.field: row for row in origins(settings)}
    assert {found[field].value for field in secret} == {MASK}
    assert KEY not in str(found)


def test_the_fingerprint_follows_what_workers_must_share_and_nothing_else() -> None:
    base = fingerprint(origins(Settings(_env_file=None)))
    assert fingerprint(origins(Settings(_env_file=None, worker_name="w-1", log_level="DEBUG"))) == base
    assert fingerprint(origins(Settings(_env_file=None, partitions=6))) != base
    keys = [fingerprint(origins(Settings(_env_file=None, redaction_key=key))) for key in ("a" * 16, "b" * 16)]
    assert keys[0] == keys[1] != base, "a fingerprint of a secret could be guessed at"
