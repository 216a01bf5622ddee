"""How Kafka is reached: what goes together, what is refused, where tokens come from, and that no secret is shown."""

import asyncio
import base64
import logging
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiokafka.errors import KafkaConnectionError, KafkaError, SaslAuthenticationFailed

from sandbox.kafka.security import Certificates, make_certificates
from tests.unit.clock import Clock
from workers.engine.options import EngineOptions
from workers.failures import ConfigurationError
from workers.kafka.connection import kafka_connection
from workers.kafka.tokens import CachedToken, ClientCredentials, FileToken, Token, msk_signer
from workers.settings.worker import Settings, SettingsError, environment_names, load_settings

SECRET = "hunter2-is-secret"
SASL = {"CDC_KAFKA_SECURITY_PROTOCOL": "SASL_SSL"}
PLAIN = SASL | {"CDC_KAFKA_SASL_MECHANISM": "PLAIN", "CDC_KAFKA_USERNAME": "u", "CDC_KAFKA_PASSWORD": SECRET}
TOKENS = SASL | {"CDC_KAFKA_SASL_MECHANISM": "OAUTHBEARER"}
ENDPOINT = TOKENS | {
    "CDC_KAFKA_TOKEN_URL": "https://issuer.example/token", "CDC_KAFKA_TOKEN_CLIENT_ID": "cdc",
    "CDC_KAFKA_TOKEN_CLIENT_SECRET": SECRET,
}  # fmt: skip


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[dict[str, str]], Settings]:
    for name in environment_names():
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)

    def with_environment(environment: dict[str, str]) -> Settings:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        return load_settings()

    return with_environment


REFUSED: dict[str, tuple[dict[str, str], str]] = {
    "SASL without TLS": (PLAIN | {"CDC_KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT"}, "CDC_KAFKA_ALLOW_PLAINTEXT_SASL"),
    "SASL without a mechanism": (SASL, "needs CDC_KAFKA_SASL_MECHANISM"),
    "a mechanism without SASL": ({"CDC_KAFKA_SASL_MECHANISM": "PLAIN"}, "needs CDC_KAFKA_SECURITY_PROTOCOL"),
    "a password nobody uses": ({"CDC_KAFKA_PASSWORD": SECRET}, "for PLAIN and SCRAM only"),
    "a password and a file": (PLAIN | {"CDC_KAFKA_PASSWORD_FILE": "f"}, "not both"),
    "no user": ({**PLAIN, "CDC_KAFKA_USERNAME": ""}, "needs CDC_KAFKA_USERNAME"),
    "no password": ({**PLAIN, "CDC_KAFKA_PASSWORD": ""}, "needs CDC_KAFKA_PASSWORD"),
    "an authority without TLS": ({"CDC_KAFKA_CA_FILE": "ca.pem"}, "without TLS"),
    "a key without its certificate": (
        {"CDC_KAFKA_SECURITY_PROTOCOL": "SSL", "CDC_KAFKA_CLIENT_KEY_FILE": "k"}, "CLIENT_CERTIFICATE_FILE",
    ),
    "no source of tokens": (TOKENS, "CDC_KAFKA_TOKEN_FILE or CDC_KAFKA_TOKEN_URL"),
    "two sources of tokens": (ENDPOINT | {"CDC_KAFKA_TOKEN_FILE": "t"}, "not both"),
    "tokens nobody uses": (PLAIN | {"CDC_KAFKA_TOKEN_FILE": "t"}, "for OAUTHBEARER only"),
    "an endpoint without TLS": (ENDPOINT | {"CDC_KAFKA_TOKEN_URL": "http://issuer.example/"}, "https://"),
    "an endpoint without a secret": ({**ENDPOINT, "CDC_KAFKA_TOKEN_CLIENT_SECRET": ""}, "CLIENT_SECRET"),
    "a mechanism nobody knows": (SASL | {"CDC_KAFKA_SASL_MECHANISM": SECRET}, "CDC_KAFKA_SASL_MECHANISM"),
    "a codec nobody knows": ({"CDC_KAFKA_COMPRESSION": "brotli"}, "CDC_KAFKA_COMPRESSION"),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_settings_that_do_not_go_together_are_refused_without_their_values(
    load: Callable[[dict[str, str]], Settings], what: str
) -> None:
    environment, said = REFUSED[what]
    with pytest.raises(SettingsError) as raised:
        load(environment)
    assert said in str(raised.value)
    assert SECRET not in repr(raised.value) + raised.value.hint


def test_every_mistake_is_told_at_once(load: Callable[[dict[str, str]], Settings]) -> None:
    with pytest.raises(SettingsError) as raised:
        load({"CDC_KAFKA_PASSWORD": SECRET, "CDC_KAFKA_TOKEN_FILE": "t", "CDC_KAFKA_CA_FILE": "c", "CDC_KAFKA_X": "1"})
    assert len(raised.value.problems) == 4


@pytest.mark.parametrize("allowing", [{"ENVIRONMENT": "LOCAL"}, {"CDC_KAFKA_ALLOW_PLAINTEXT_SASL": "true"}])
def test_sasl_without_tls_is_possible_where_it_is_allowed(
    load: Callable[[dict[str, str]], Settings], allowing: dict[str, str]
) -> None:
    settings = load(PLAIN | {"CDC_KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT"} | allowing)
    assert kafka_connection(settings).security["sasl_plain_password"] == SECRET


def test_without_settings_kafka_is_spoken_to_in_plain_text(load: Callable[[dict[str, str]], Settings]) -> None:
    assert kafka_connection(load({})).client("me") == {
        "bootstrap_servers": "localhost:9092", "client_id": "me", "request_timeout_ms": 40_000,
        "security_protocol": "PLAINTEXT",
    }  # fmt: skip


def test_a_password_from_a_file_has_no_line_end(load: Callable[[dict[str, str]], Settings], tmp_path: Path) -> None:
    (tmp_path / "password").write_text(f"{SECRET}\n")
    settings = load({**PLAIN, "CDC_KAFKA_PASSWORD": "", "CDC_KAFKA_PASSWORD_FILE": "password"})
    assert kafka_connection(settings).security["sasl_plain_password"] == SECRET


def test_no_secret_is_in_any_representation(load: Callable[[dict[str, str]], Settings]) -> None:
    settings = load(PLAIN)
    connection = kafka_connection(settings)
    options = EngineOptions(bootstrap="b", partitions=1, security=connection.security)
    tokens = ClientCredentials("https://issuer.example", "cdc", SECRET, None), Token(SECRET, 1.0)
    assert SECRET not in f"{settings!r} {settings} {connection!r} {options!r} {tokens!r}"


def test_what_aiokafka_logs_of_its_requests_is_dropped_at_debug(
    load: Callable[[dict[str, str]], Settings], caplog: pytest.LogCaptureFixture
) -> None:
    kafka_connection(load(PLAIN))
    caplog.set_level(logging.DEBUG)
    logger = logging.getLogger("aiokafka.conn")
    logger.debug("Request: %s", SECRET)
    logger.warning("a broker is away")
    assert SECRET not in caplog.text
    assert "a broker is away" in caplog.text


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ({"kafka_ca_file": "gone.pem"}, "CDC_KAFKA_CA_FILE"),
        ({"kafka_ca_file": "empty.pem"}, "CDC_KAFKA_CA_FILE"),
        ({"kafka_client_certificate_file": "gone.pem"}, "client certificate"),
        ({"kafka_client_key_password_file": "gone"}, "CDC_KAFKA_CLIENT_KEY_PASSWORD_FILE"),
        ({"kafka_client_key_password": SECRET}, "client certificate"),
        ({"kafka_client_key_password": None}, "client certificate"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_and_nothing_of_it_shown(
    certificates: Certificates, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: dict[str, str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.pem").touch()
    whole: dict[str, Any] = {
        "kafka_security_protocol": "SSL", "kafka_ca_file": certificates.authority,
        "kafka_client_certificate_file": certificates.client,
        "kafka_client_key_file": certificates.client_key_encrypted,
    }  # fmt: skip
    with pytest.raises(ConfigurationError) as raised:
        kafka_connection(Settings(_env_file=None, **(whole | broken)))
    assert said in str(raised.value)
    assert SECRET not in str(raised.value) + raised.value.hint


def test_the_name_in_the_certificate_is_checked_unless_that_is_switched_off(certificates: Certificates) -> None:
    contexts = [
        kafka_connection(
            Settings(
                _env_file=None, kafka_security_protocol="SSL", kafka_ca_file=certificates.authority,
                kafka_check_hostname=checked,
            )
        ).security["ssl_context"]
        for checked in (True, False)
    ]  # fmt: skip
    assert [context.check_hostname for context in contexts] == [True, False]
    assert all(context.verify_mode.name == "CERT_REQUIRED" for context in contexts)


def test_an_empty_token_file_is_refused_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "token").touch()
    settings = Settings(
        _env_file=None, kafka_security_protocol="SASL_SSL", kafka_sasl_mechanism="OAUTHBEARER",
        kafka_token_file=tmp_path / "token",
    )  # fmt: skip
    with pytest.raises(ConfigurationError, match="CDC_KAFKA_TOKEN_FILE"):
        kafka_connection(settings)


async def test_a_token_file_is_read_for_every_connection(tmp_path: Path) -> None:
    tokens = FileToken(tmp_path / "token")
    with pytest.raises(KafkaConnectionError):
        await tokens.token()
    (tmp_path / "token").write_text("one\n")
    first = await tokens.token()
    (tmp_path / "token").write_text("two\n")
    assert (first, await tokens.token()) == ("one", "two")


async def test_a_token_is_fetched_again_after_four_fifths_of_its_life() -> None:
    clock, fetched = Clock(), []

    def fetch(now: float) -> Token:
        fetched.append(now)
        return Token(f"token-{len(fetched)}", now + 900)

    tokens = CachedToken(fetch, clock)
    taken = []
    for clock.now in (1_000.0, 1_719.0, 1_721.0):
        taken.append(await tokens.token())
    assert taken == ["token-1", "token-1", "token-2"]


async def test_everybody_who_asks_at_once_waits_for_one_fetch() -> None:
    fetched, go = [], threading.Event()

    def fetch(now: float) -> Token:
        fetched.append(now)
        go.wait(10)
        return Token("token", now + 900)

    tokens = CachedToken(fetch)
    elsewhere = asyncio.to_thread(lambda: asyncio.run(tokens.token()))  # as the consumer's thread does
    asking = [asyncio.ensure_future(one) for one in (elsewhere, tokens.token(), tokens.token(), tokens.token())]
    while not fetched:
        await asyncio.sleep(0.01)
    asking[1].cancel()  # one that gives up takes nothing away from the others
    await asyncio.sleep(0)
    go.set()
    assert await asyncio.gather(asking[0], *asking[2:]) == ["token"] * 3
    assert len(fetched) == 1


async def test_a_failure_is_a_kafka_error_without_its_text_and_is_not_repeated_at_once() -> None:
    clock, fetched = Clock(), []

    def fetch(now: float) -> Token:
        fetched.append(now)
        raise RuntimeError(SECRET)

    tokens = CachedToken(fetch, clock)
    for _ in range(3):
        with pytest.raises(KafkaError) as raised:
            await tokens.token()
        assert SECRET not in str(raised.value)
    assert len(fetched) == 1
    clock.now += 2
    with pytest.raises(KafkaError):
        await tokens.token()
    assert len(fetched) == 2


@pytest.mark.parametrize(
    ("status", "body", "failure"),
    [
        (200, {"access_token": "t", "expires_in": 60}, None),
        (200, {"access_token": "t"}, None),
        (200, {"expires_in": 60}, KafkaConnectionError),
        (200, "no json", KafkaConnectionError),
        (401, {"error": "invalid_client"}, SaslAuthenticationFailed),
        (503, {}, KafkaConnectionError),
        (302, {}, KafkaConnectionError),
    ],
)
async def test_the_answers_of_a_token_endpoint(status: int, body: Any, failure: type[Exception] | None) -> None:
    asked: list[dict[str, Any]] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append({"form": dict(await request.post()), "identity": request.headers["Authorization"]})
        if isinstance(body, str):
            return web.Response(text=body, status=status)
        return web.json_response(body, status=status)

    app = web.Application()
    app.router.add_post("/", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        fetch = ClientCredentials(f"http://127.0.0.1:{runner.addresses[0][1]}/", "c:dc", SECRET, "kafka")
        if failure is None:
            assert (await asyncio.to_thread(fetch, 1_000.0)).text == "t"
        else:
            with pytest.raises(failure) as raised:
                await asyncio.to_thread(fetch, 1_000.0)
            assert SECRET not in str(raised.value)
    finally:
        await runner.cleanup()
    assert [one["form"] for one in asked] == [{"grant_type": "client_credentials", "scope": "kafka"}]
    assert base64.b64decode(asked[0]["identity"].removeprefix("Basic ")).decode() == f"c%3Adc:{SECRET}"


def test_a_token_for_msk_is_a_signed_request_that_lives_a_quarter_of_an_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.delenv("AWS_SESSION_TOKEN", raising=False)
    token = msk_signer("eu-central-1")(0.0)
    signed = base64.urlsafe_b64decode(token.text + "=" * (-len(token.text) % 4)).decode()
    assert signed.startswith("https://kafka.eu-central-1.amazonaws.com/?Action=kafka-cluster%3AConnect")
    assert SECRET not in signed
    assert 800 < token.expires - time.time() <= 900


def test_without_aws_credentials_a_token_for_msk_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    with pytest.raises(SaslAuthenticationFailed):
        msk_signer("eu-central-1")(0.0)


def test_iam_means_tokens_of_oauthbearer_to_kafka(load: Callable[[dict[str, str]], Settings]) -> None:
    security = kafka_connection(load(SASL | {"CDC_KAFKA_SASL_MECHANISM": "AWS_MSK_IAM"})).security
    assert security["sasl_mechanism"] == "OAUTHBEARER"
    assert isinstance(security["sasl_oauth_token_provider"], CachedToken)


def test_without_the_extra_iam_is_a_configuration_error_that_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "aws_msk_iam_sasl_signer.MSKAuthTokenProvider", None)
    with pytest.raises(ConfigurationError) as raised:
        msk_signer("eu-central-1")
    assert "cdc-worker[msk]" in raised.value.hint


def test_every_client_of_a_stage_has_its_own_id_behind_the_name_of_the_worker() -> None:
    options = EngineOptions(bootstrap="b:1,c:2", partitions=1, worker_name="pod-3", security={"x": 1})
    clients = [options.client("cdc-enrich-boot"), options.producer("cdc-enrich-slot-7"), options.member("cdc-enrich")]
    assert [client["client_id"] for client in clients] == ["pod-3.cdc-enrich-boot", "pod-3.cdc-enrich-slot-7", "pod-3"]
    assert all((client["bootstrap_servers"], client["x"]) == ("b:1,c:2", 1) for client in clients)


@pytest.mark.parametrize(
    ("asked", "session", "client", "producer", "member"),
    [(40, 10, 40, 20, 40), (5, 10, 5, 5, 40), (120, 10, 120, 20, 120), (40, 100, 40, 20, 105)],
)
def test_requests_time_out_as_asked_within_what_commits_and_joins_allow(
    asked: float, session: float, client: int, producer: int, member: int
) -> None:
    options = EngineOptions(bootstrap="b", partitions=1, request_timeout=asked, session_timeout=session)
    timeouts = [made("x")["request_timeout_ms"] for made in (options.client, options.producer, options.member)]
    assert timeouts == [client * 1_000, producer * 1_000, member * 1_000]
