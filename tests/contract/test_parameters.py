"""Secrets from SSM as the worker reads them, against the stand-in: one question at the start, and again on refusal."""

from typing import Any

import pytest

from models.configuration import SSMConfigParams
from sandbox.aws.control_client import StandInControl
from sandbox.aws.server import StandIn
from tests.contract.standin import client, clock, control, stand_in
from workers.aws.parameters import ParameterHandler
from workers.failures import ConfigurationError, DeniedError, ExitCode, UnreachableError
from workers.settings import secrets
from workers.settings.secrets import database_dsn, load_parameters
from workers.settings.worker import Settings, SettingsError, load_settings

__all__ = ["clock", "control", "stand_in"]  # fixtures

PARTS = {"host": "db.example", "port": "6432", "user": "cdc", "password": "p@ss/word", "name": "core"}


@pytest.fixture
def ssm(stand_in: StandIn, control: StandInControl, monkeypatch: pytest.MonkeyPatch) -> Any:
    """boto3's client; the environment leads the worker there, and its memory is empty."""
    control.reset()
    monkeypatch.setenv("AWS_ENDPOINT_URL", stand_in.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("MAX_RETRY_ATTEMPTS", "1")
    handlers: dict[SSMConfigParams, ParameterHandler] = {}
    monkeypatch.setattr(
        secrets, "parameter_handler", lambda config: handlers.setdefault(config, ParameterHandler(config))
    )
    return client("ssm", stand_in.url)


def settings(monkeypatch: pytest.MonkeyPatch, **names: str) -> Settings:
    for name, value in names.items():
        monkeypatch.setenv(name, value)
    return load_settings(env_file=None)


def in_parts(ssm: Any, monkeypatch: pytest.MonkeyPatch) -> Settings:
    for part, value in PARTS.items():
        ssm.put_parameter(Name=f"/cdc/{part}", Value=value, Type="SecureString")
    return settings(monkeypatch, **{f"CDC_SSM_DATABASE_{part.upper()}": f"/cdc/{part}" for part in PARTS})


def test_everything_is_read_in_one_question(ssm: Any, control: StandInControl, monkeypatch: pytest.MonkeyPatch) -> None:
    found = in_parts(ssm, monkeypatch)
    ssm.put_parameter(Name="/cdc/key", Value="a redaction key of good length", Type="SecureString")
    found = settings(monkeypatch, CDC_SSM_REDACTION_KEY="/cdc/key")
    load_parameters(found)
    assert database_dsn(found).get_secret_value() == "postgresql://cdc:p%40ss%2Fword@db.example:6432/core"
    assert found.redaction_secret() == b"a redaction key of good length"
    assert control.ledger()["operations"]["ssm.GetParameters"] == 1


def test_credentials_that_were_refused_are_read_again(ssm: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    found = in_parts(ssm, monkeypatch)
    load_parameters(found)
    ssm.put_parameter(Name="/cdc/password", Value="rotated", Type="SecureString", Overwrite=True)
    assert "rotated" not in database_dsn(found).get_secret_value()
    assert "rotated" in database_dsn(found, again=True).get_secret_value()


def test_a_whole_url_may_stand_in_one_parameter(ssm: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    ssm.put_parameter(Name="/cdc/url", Value=" postgresql://cdc:x@db.example/core\n", Type="SecureString")
    found = settings(monkeypatch, CDC_SSM_DATABASE_URL="/cdc/url")
    assert database_dsn(found).get_secret_value() == "postgresql://cdc:x@db.example/core"


def test_a_parameter_that_does_not_exist_is_named(ssm: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match="SSM has no parameter /cdc/nothing in us-east-1"):
        load_parameters(settings(monkeypatch, CDC_SSM_DATABASE_URL="/cdc/nothing"))


def test_denied_access_is_exit_code_4(ssm: Any, control: StandInControl, monkeypatch: pytest.MonkeyPatch) -> None:
    control.fault("access_denied", "GetParameters", service="ssm", times=1)
    with pytest.raises(DeniedError, match="AccessDeniedException") as denied:
        load_parameters(settings(monkeypatch, CDC_SSM_DATABASE_URL="/cdc/url"))
    assert denied.value.exit_code == ExitCode.DENIED
    assert "kms:Decrypt" in denied.value.hint


def test_an_endpoint_nobody_listens_at_is_exit_code_5(ssm: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    found = settings(monkeypatch, CDC_SSM_DATABASE_URL="/cdc/url", AWS_ENDPOINT_URL="http://127.0.0.1:1")
    with pytest.raises(UnreachableError) as away:
        load_parameters(found)
    assert away.value.exit_code == ExitCode.UNREACHABLE


@pytest.mark.parametrize("part", ["port", "url"])
def test_a_value_that_cannot_be_right_is_not_shown(ssm: Any, monkeypatch: pytest.MonkeyPatch, part: str) -> None:
    found = in_parts(ssm, monkeypatch) if part == "port" else settings(monkeypatch, CDC_SSM_DATABASE_URL="/cdc/url")
    ssm.put_parameter(Name=f"/cdc/{part}", Value="abracadabra", Type="SecureString", Overwrite=True)
    with pytest.raises(ConfigurationError) as wrong:
        database_dsn(found)
    assert "abracadabra" not in f"{wrong.value} {wrong.value.hint} {wrong.value!r}"


@pytest.mark.parametrize(
    ("names", "mistake"),
    [
        ({"DATABASE_URL": "postgresql://h/d", "CDC_SSM_DATABASE_URL": "/u"}, "not both"),
        ({"DATABASE_URL": "postgresql://h/d", "DATABASE_URL_FILE": "/f"}, "not both"),
        ({"CDC_SSM_DATABASE_HOST": "/h"}, "needs CDC_SSM_DATABASE_USER"),
        ({"DATABASE_URL": "mysql://abracadabra@h/d"}, "must begin with postgresql://"),
        ({"DATABASE_URL": "postgresql://cdc:a[bracadabra@h/d"}, "it is no URL"),
        ({"CDC_SSM_REDACTION_KEY": "/k", "CDC_REDACTION_KEY": "abracadabra abracadabra"}, "not both"),
    ],
)
def test_settings_that_do_not_go_together_are_told_without_values(
    monkeypatch: pytest.MonkeyPatch, names: dict[str, str], mistake: str
) -> None:
    with pytest.raises(SettingsError, match=mistake) as wrong:
        settings(monkeypatch, **names)
    assert "abracadabra" not in str(wrong.value)
