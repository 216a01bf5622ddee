"""Settings: every mistake at once, no value shown, and no way to switch redaction off outside of LOCAL."""

from pathlib import Path

import pytest

from workers.failures import ConfigurationError
from workers.settings.worker import Settings, environment_names, load_settings


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in environment_names():
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def test_a_mistyped_setting_is_an_error_that_names_the_right_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CDC_PARTITONS", "4")
    with pytest.raises(ConfigurationError, match="unknown setting CDC_PARTITONS, did you mean CDC_PARTITIONS"):
        load_settings()


def test_all_mistakes_are_reported_together_without_their_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CDC_PARTITIONS", "many-secret")
    monkeypatch.setenv("ENVIRONMENT", "STAGING-secret")
    with pytest.raises(ConfigurationError) as raised:
        load_settings()
    assert "CDC_PARTITIONS" in str(raised.value)
    assert "ENVIRONMENT" in str(raised.value)
    assert "secret" not in str(raised.value)


def test_redaction_cannot_be_switched_off_outside_of_local(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENABLE_DATA_REDACTION", "false")
    with pytest.raises(ConfigurationError, match="ENVIRONMENT=LOCAL"):
        load_settings()
    monkeypatch.setenv("ENVIRONMENT", "LOCAL")
    assert load_settings().enable_data_redaction is False


def test_an_unset_environment_has_the_rules_of_production() -> None:
    assert load_settings().environment == "PRD"


def test_the_environment_wins_over_the_env_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("CDC_PARTITIONS=8\nCDC_APP=from-file\n")
    monkeypatch.setenv("CDC_PARTITIONS", "6")
    settings = load_settings()
    assert (settings.partitions, settings.app) == (6, "from-file")


def test_a_blank_optional_setting_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CDC_WEB_PORT", "")
    monkeypatch.setenv("CDC_TABLES", "")
    assert (load_settings().web_port, load_settings().tables) == (None, None)


def test_the_redaction_key_comes_from_a_file_too(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("0123456789abcdef\n")
    settings = Settings(_env_file=None, redaction_key_file=tmp_path / "key")
    assert settings.redaction_secret() == b"0123456789abcdef"


def test_a_short_redaction_key_is_refused_and_not_shown() -> None:
    with pytest.raises(ConfigurationError) as raised:
        Settings(_env_file=None, redaction_key="hunter2").redaction_secret()
    assert "hunter2" not in str(raised.value) + raised.value.hint


def test_secrets_are_not_in_the_representation_of_the_settings() -> None:
    assert "topsecret" not in repr(Settings(_env_file=None, redaction_key="topsecret-0123456789"))
