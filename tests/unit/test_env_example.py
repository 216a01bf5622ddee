"""`.env.example` is what the settings say, and a copy of it is a working configuration but for the key."""

from pathlib import Path

import pytest

from workers.failures import ConfigurationError
from workers.reference.env_example import GROUPS, env_example
from workers.settings.worker import Settings, environment_names, load_settings

EXAMPLE = Path(__file__).parents[2] / ".env.example"


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in environment_names():
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def test_the_checked_in_file_is_the_generated_one() -> None:
    assert EXAMPLE.read_text(encoding="utf-8") == env_example(), "run `make env-example`"


def test_a_copy_of_it_means_the_defaults() -> None:
    assert load_settings(env_file=str(EXAMPLE)) == Settings(_env_file=None)


def test_a_copy_of_it_lacks_the_redaction_key_and_nothing_else() -> None:
    settings = load_settings(env_file=str(EXAMPLE))
    with pytest.raises(ConfigurationError, match="no redaction key"):
        settings.redaction_secret()


def test_every_setting_has_a_description_and_every_group_a_setting() -> None:
    assert all(info.description for info in Settings.model_fields.values())
    assert GROUPS.keys() <= Settings.model_fields.keys()


def test_no_secret_has_a_value() -> None:
    lines = EXAMPLE.read_text(encoding="utf-8").splitlines()
    assert "CDC_REDACTION_KEY=" in lines
