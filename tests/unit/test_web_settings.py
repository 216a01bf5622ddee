"""Where the web server may listen, and what it must be told first."""

from pathlib import Path

import pytest

from workers.failures import ConfigurationError
from workers.settings.worker import environment_names, load_settings
from workers.web.callers import told_access
from workers.web.server import advertised_url, own_url


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in environment_names():
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "10.1.2.3"])
def test_another_address_than_loopback_needs_tokens_or_certificates(
    monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setenv("CDC_WEB_BIND", address)
    with pytest.raises(ConfigurationError, match="CDC_WEB_TOKEN_FILE") as raised:
        load_settings()
    assert raised.value.exit_code == 3
    monkeypatch.setenv("CDC_WEB_TOKEN_FILE", "tokens")
    assert load_settings().web_bind == address


@pytest.mark.parametrize("address", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_loopback_needs_nothing(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("CDC_WEB_BIND", address)
    assert load_settings().web_bind == address


def test_a_name_is_no_address_to_listen_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CDC_WEB_BIND", "worker.example")
    with pytest.raises(ConfigurationError, match="CDC_WEB_BIND"):
        load_settings()


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"CDC_WEB_CERTIFICATE_FILE": "c"}, "belong together"),
        ({"CDC_WEB_CLIENT_CA_FILE": "a", "CDC_WEB_CLIENTS": "ops=write"}, "needs TLS"),
        ({"CDC_WEB_CLIENTS": "ops=write"}, "belong together"),
        ({"CDC_WEB_CLIENTS": "ops=admin"}, "common names"),
        ({"CDC_CLUSTER_KEY": "k" * 32, "CDC_CLUSTER_KEY_FILE": "f"}, "not both"),
        ({"CDC_HEALTH_PORT": "6066", "CDC_WEB_PORT": "6066"}, "a port of its own"),
        ({"CDC_WEB_ADVERTISE": "http://h:1/path"}, "without a path"),
        ({"CDC_WEB_ADVERTISE": "http://user:pw@h:1"}, "without a path"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], says: str
) -> None:
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match=says):
        load_settings()


def test_what_the_others_are_told_is_where_they_can_go(monkeypatch: pytest.MonkeyPatch) -> None:
    assert advertised_url(load_settings(), 6066) == "http://127.0.0.1:6066"
    monkeypatch.setenv("CDC_WEB_BIND", "0.0.0.0")
    monkeypatch.setenv("CDC_WEB_TOKEN_FILE", "tokens")
    assert "0.0.0.0" not in advertised_url(load_settings(), 6066)
    assert own_url(load_settings(), 6066) == "http://127.0.0.1:6066"
    monkeypatch.setenv("CDC_WEB_ADVERTISE", "https://worker-1.cdc:443/")
    assert advertised_url(load_settings(), 6066) == "https://worker-1.cdc:443"


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"ENVIRONMENT": "LOCAL"}, "open to users of this machine, who may look and change"),
        ({}, "open to users of this machine, who may look, not change"),
        ({"CDC_WEB_TOKEN_FILE": "tokens"}, "behind tokens"),
        ({"CDC_WEB_TOKEN_FILE": "tokens", "CDC_WEB_BIND": "::"}, "behind tokens; without TLS"),
    ],
)
def test_the_start_says_who_is_let_in(monkeypatch: pytest.MonkeyPatch, given: dict[str, str], says: str) -> None:
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert told_access(load_settings()).startswith(says)
