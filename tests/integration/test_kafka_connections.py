"""A real stage through every way into Kafka: TLS, certificates, passwords, tokens, and connections that are cut."""

import contextlib
import logging
import struct
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import BasicAuth, web
from aiokafka.conn import AIOKafkaConnection, CloseReason
from aiokafka.errors import KafkaConnectionError

from sandbox.kafka.broker import KafkaBroker
from sandbox.kafka.security import (
    Certificates,
    add_scram_user,
    make_certificates,
    password_listener,
    tls_listener,
    token_listener,
    unsigned_token,
)
from tests.integration.stage import Bench, eventually, running
from workers.engine.app import StageApp
from workers.engine.errors import BootRefused
from workers.engine.unit import Done, UnitOfWork
from workers.kafka.connection import KafkaConnection, ask_servers, kafka_connection, refuse_wrong_credentials
from workers.settings.worker import Settings

USER = "worker-1"
PASSWORD = "p4ss,word=with;signs"
REAUTHENTICATE_MS = 2_000
DEAD_END = "127.0.0.1:1"
SCRAMS = ("SCRAM-SHA-256", "SCRAM-SHA-512")


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory, certificates: Certificates) -> Iterator[KafkaBroker]:
    """One broker with a listener for each way."""
    users = {USER: PASSWORD}
    listeners = [
        tls_listener("TLS", certificates),
        tls_listener("MUTUAL", certificates, client_certificate=True),
        password_listener("PLAIN", "PLAIN", users, certificates),
        password_listener("CLEAR", "PLAIN", users),
        password_listener("SCRAM256", "SCRAM-SHA-256", {}, certificates),
        password_listener("SCRAM512", "SCRAM-SHA-512", {}, certificates),
        token_listener("TOKEN", certificates),
        password_listener("SHORTSCRAM", "SCRAM-SHA-512", {}, certificates, reauthenticate_ms=REAUTHENTICATE_MS),
        token_listener("SHORTTOKEN", certificates, reauthenticate_ms=REAUTHENTICATE_MS),
    ]
    directory = tmp_path_factory.mktemp("broker") / "kafka"
    with contextlib.closing(KafkaBroker(directory, listeners=listeners)) as broker:
        broker.start()
        yield broker


@pytest.fixture
async def scram_users(kafka: KafkaBroker) -> None:
    for mechanism in SCRAMS:
        await add_scram_user(kafka.bootstrap, USER, PASSWORD, mechanism)


@pytest.fixture
async def bench(kafka: KafkaBroker, tmp_path: Path) -> Bench:
    """Topics of the test, made and looked at through the plain listener."""
    made = Bench(kafka.bootstrap, str(tmp_path))
    await made.create("in", "out", "dead")
    await made.create_changelog("count", "seen")
    return made


def connection(kafka: KafkaBroker, listener: str, **settings: Any) -> KafkaConnection:
    """As the product makes it from settings, with the rules of production."""
    named = {f"kafka_{name}": value for name, value in settings.items()}
    named.setdefault("kafka_bootstrap_servers", kafka.address_of(listener))
    return kafka_connection(Settings(_env_file=None, **named))


def counting(bench: Bench, kafka: KafkaConnection, **options: Any) -> StageApp:
    """Counts the records of each key in a table and writes `value:count` for each."""
    app = bench.app(
        "count", bootstrap=kafka.bootstrap, security=kafka.security, request_timeout=kafka.request_timeout, **options
    )
    app.before_boot.append(lambda: refuse_wrong_credentials(kafka))
    table = app.partitioned("seen", "records per key")

    def bury(unit: UnitOfWork, record: Any, _error: Exception, with_value: bool) -> None:
        unit.send(bench.topic("dead"), record.key, record.value if with_value else None)

    @app.process(bench.topic("in"), bury=bury)
    async def count(unit: UnitOfWork) -> Done:
        for record in unit.batch or ():
            seen = int(table.get(record.key) or b"0") + 1
            table[record.key] = b"%d" % seen
            unit.send(bench.topic("out"), record.key, b"%d" % seen)
            unit.out()
        return Done()

    return app


async def exactly_once(bench: Bench, kafka: KafkaConnection, **options: Any) -> None:
    """Two runs of the stage: the second one recovers its table and its offsets through the same connection."""
    for run in (1, 2):
        await bench.put("in", [(b"k%d" % (n % 7), b"%d" % n) for n in range(70)])
        async with running(counting(bench, kafka, **options)):
            await eventually(lambda done=run * 70: written(bench, done))  # type: ignore[misc]
    assert await counts(bench) == {b"k%d" % key: list(range(1, 21)) for key in range(7)}


async def written(bench: Bench, count: int) -> bool:
    return len(await bench.read("out")) >= count


async def counts(bench: Bench) -> dict[bytes, list[int]]:
    found: dict[bytes, list[int]] = {}
    for record in await bench.read("out"):
        found.setdefault(record.key, []).append(int(record.value))
    return found


async def test_a_stage_works_over_tls(bench: Bench, kafka: KafkaBroker, certificates: Certificates) -> None:
    await exactly_once(bench, connection(kafka, "TLS", security_protocol="SSL", ca_file=certificates.authority))


async def test_a_stage_shows_its_certificate(bench: Bench, kafka: KafkaBroker, certificates: Certificates) -> None:
    mutual = connection(
        kafka, "MUTUAL", security_protocol="SSL", ca_file=certificates.authority,
        client_certificate_file=certificates.client, client_key_file=certificates.client_key_encrypted,
        client_key_password=certificates.client_key_password,
    )  # fmt: skip
    await exactly_once(bench, mutual)


@pytest.mark.parametrize(
    ("listener", "mechanism"), [("PLAIN", "PLAIN"), ("SCRAM256", "SCRAM-SHA-256"), ("SCRAM512", "SCRAM-SHA-512")]
)
async def test_a_stage_logs_in_with_a_password(
    bench: Bench, kafka: KafkaBroker, certificates: Certificates, scram_users: None, tmp_path: Path, listener: str,
    mechanism: str,
) -> None:  # fmt: skip
    (tmp_path / "password").write_text(PASSWORD + "\n")
    await exactly_once(bench, by_password(kafka, listener, mechanism, certificates, file=tmp_path / "password"))


def by_password(
    kafka: KafkaBroker, listener: str, mechanism: str, certificates: Certificates, *, file: Path | None = None,
    password: str | None = None,
) -> KafkaConnection:  # fmt: skip
    return connection(
        kafka, listener, security_protocol="SASL_SSL", ca_file=certificates.authority, sasl_mechanism=mechanism,
        username=USER, password_file=file, password=password,
    )  # fmt: skip


async def test_credentials_travel_without_tls_only_if_that_is_allowed(bench: Bench, kafka: KafkaBroker) -> None:
    clear = {"security_protocol": "SASL_PLAINTEXT", "sasl_mechanism": "PLAIN", "username": USER, "password": PASSWORD}
    with pytest.raises(ValueError, match="CDC_KAFKA_ALLOW_PLAINTEXT_SASL"):
        connection(kafka, "CLEAR", **clear)
    await exactly_once(bench, connection(kafka, "CLEAR", **clear, allow_plaintext_sasl=True))


async def test_a_stage_takes_its_token_from_a_file(
    bench: Bench, kafka: KafkaBroker, certificates: Certificates, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text(unsigned_token(USER, 600))
    await exactly_once(bench, by_token(kafka, "TOKEN", certificates, token_file=tmp_path / "token"))


def by_token(kafka: KafkaBroker, listener: str, certificates: Certificates, **settings: Any) -> KafkaConnection:
    return connection(
        kafka, listener, security_protocol="SASL_SSL", ca_file=certificates.authority, sasl_mechanism="OAUTHBEARER",
        **settings,
    )  # fmt: skip


@contextlib.asynccontextmanager
async def token_endpoint(seconds: float) -> Any:
    """(its address, how often it was asked and how): tokens for one client that live `seconds`."""
    asked = Counter[str]()

    async def give(request: web.Request) -> web.Response:
        form = await request.post()
        client = BasicAuth.decode(request.headers["Authorization"])
        if (client.login, client.password, form["grant_type"]) != ("cdc", "s3cret", "client_credentials"):
            asked["refused"] += 1
            return web.json_response({"error": "invalid_client"}, status=401)
        asked["given"] += 1
        return web.json_response({"access_token": unsigned_token(USER, seconds), "expires_in": seconds})

    app = web.Application()
    app.router.add_post("/token", give)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}/token", asked
    finally:
        await runner.cleanup()


async def test_a_stage_gets_tokens_for_its_client_credentials(
    bench: Bench, kafka: KafkaBroker, certificates: Certificates
) -> None:
    async with token_endpoint(600) as (url, asked):
        client = {"token_url": url, "token_client_id": "cdc", "allow_plaintext_sasl": True}
        await exactly_once(bench, by_token(kafka, "TOKEN", certificates, **client, token_client_secret="s3cret"))
        assert asked == {"given": 1}, "one token serves every connection"
        with pytest.raises(BootRefused, match="CDC_KAFKA_SASL_MECHANISM"):
            await refuse_wrong_credentials(by_token(kafka, "TOKEN", certificates, **client, token_client_secret="no"))
        assert asked["refused"] == 1


class Cuts:
    """Counts the connections that somebody else than we closed, and those that were not let in."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = self.refused = 0
        real = AIOKafkaConnection.close

        def close(connection: Any, reason: Any = None, exc: Any = None) -> Any:
            self.count += reason is CloseReason.CONNECTION_BROKEN
            self.refused += reason is CloseReason.AUTH_FAILURE
            return real(connection, reason, exc)

        monkeypatch.setattr(AIOKafkaConnection, "close", close)


async def goes_on_over_cuts(bench: Bench, kafka: KafkaConnection, cuts: Cuts, at_least: int) -> None:
    sent = 0
    app = counting(bench, kafka)
    async with running(app):
        while cuts.count < at_least:
            await bench.put("in", [(b"k%d" % (n % 7), b"%d" % n) for n in range(70)])
            sent += 70
            await eventually(lambda done=sent: written(bench, done))  # type: ignore[misc]
    assert await counts(bench) == {b"k%d" % key: list(range(1, sent // 7 + 1)) for key in range(7)}


async def test_a_stage_goes_on_exactly_once_when_the_broker_wants_the_password_again(
    bench: Bench, kafka: KafkaBroker, certificates: Certificates, scram_users: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    cuts = Cuts(monkeypatch)
    scram = by_password(kafka, "SHORTSCRAM", "SCRAM-SHA-512", certificates, password=PASSWORD)
    await goes_on_over_cuts(bench, scram, cuts, 20)


async def test_a_stage_goes_on_exactly_once_when_its_tokens_expire(
    bench: Bench, kafka: KafkaBroker, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    cuts = Cuts(monkeypatch)
    async with token_endpoint(3) as (url, asked):
        tokens = by_token(
            kafka, "SHORTTOKEN", certificates, token_url=url, token_client_id="cdc", token_client_secret="s3cret",
            allow_plaintext_sasl=True,
        )  # fmt: skip
        await goes_on_over_cuts(bench, tokens, cuts, 20)
    assert asked["given"] > 1


async def test_a_password_that_is_refused_for_a_while_stops_a_running_stage_for_that_while_only(
    bench: Bench, kafka: KafkaBroker, certificates: Certificates, scram_users: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    cuts = Cuts(monkeypatch)
    scram = by_password(kafka, "SHORTSCRAM", "SCRAM-SHA-512", certificates, password=PASSWORD)
    async with running(counting(bench, scram)):
        await bench.put("in", [(b"k%d" % (n % 7), b"%d" % n) for n in range(70)])
        await eventually(lambda: written(bench, 70))
        await add_scram_user(kafka.bootstrap, USER, "another", "SCRAM-SHA-512")
        await eventually(lambda: refused(cuts, 5))
        await bench.put("in", [(b"k%d" % (n % 7), b"%d" % n) for n in range(70)])
        await add_scram_user(kafka.bootstrap, USER, PASSWORD, "SCRAM-SHA-512")
        await eventually(lambda: written(bench, 140))
    assert await counts(bench) == {b"k%d" % key: list(range(1, 21)) for key in range(7)}


async def refused(cuts: Cuts, at_least: int) -> bool:
    return cuts.refused >= at_least


async def test_every_bootstrap_server_is_tried(bench: Bench, kafka: KafkaBroker, certificates: Certificates) -> None:
    servers = f"{DEAD_END}, {kafka.address_of('TLS')}"
    await exactly_once(
        bench,
        connection(kafka, "TLS", bootstrap_servers=servers, security_protocol="SSL", ca_file=certificates.authority),
    )


CODECS = {"gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}
"""Names and numbers of Kafka's codecs."""


@pytest.mark.parametrize("codec", CODECS)
async def test_what_a_stage_writes_is_compressed(bench: Bench, kafka: KafkaBroker, codec: Any) -> None:
    plain = KafkaConnection(kafka.bootstrap, {}, 40)
    await exactly_once(bench, plain, compression=codec)
    assert codecs_of(kafka, bench.topic("out")) == {CODECS[codec]}


def codecs_of(kafka: KafkaBroker, topic: str) -> set[int]:
    """Numbers of the codecs in the first segments of a topic, read from the broker's disk. Layout of a batch:
    https://kafka.apache.org/documentation/#recordbatch"""
    found = set()
    for segment in (kafka.directory / "data").glob(f"{topic}-*/*.log"):
        data = segment.read_bytes()
        while len(data) > 61:
            size, attributes = struct.unpack_from(">i", data, 8)[0], struct.unpack_from(">h", data, 21)[0]
            if not attributes & 0x20:  # a control batch is the broker's own
                found.add(attributes & 7)
            data = data[12 + size :]
    return found


Wrong = Callable[[KafkaBroker, Certificates], KafkaConnection]
WRONG: dict[str, tuple[Wrong, str]] = {
    "password of PLAIN": (lambda k, c: by_password(k, "PLAIN", "PLAIN", c, password="wr0ng-secret"), "denied"),
    "password of SCRAM": (
        lambda k, c: by_password(k, "SCRAM512", "SCRAM-SHA-512", c, password="wr0ng-secret"), "denied",
    ),
    "mechanism": (lambda k, c: by_password(k, "PLAIN", "SCRAM-SHA-512", c, password="wr0ng-secret"), "denied"),
    "SASL where there is none": (lambda k, c: by_password(k, "TLS", "PLAIN", c, password="wr0ng-secret"), "denied"),
    "authority": (lambda k, c: connection(k, "TLS", security_protocol="SSL"), "tls"),
    "TLS where there is none": (
        lambda k, c: connection(k, "TLS", bootstrap_servers=k.bootstrap, security_protocol="SSL"), "silent",
    ),
    "no client certificate": (
        lambda k, c: connection(k, "MUTUAL", security_protocol="SSL", ca_file=c.authority), "tls",
    ),
    "no TLS": (lambda k, c: connection(k, "TLS"), "silent"),
    "no SASL": (lambda k, c: connection(k, "CLEAR"), "silent"),
    "port": (lambda k, c: connection(k, "TLS", bootstrap_servers=DEAD_END), "away"),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
async def test_what_is_wrong_with_a_connection_is_told_apart(
    kafka: KafkaBroker, certificates: Certificates, scram_users: None, what: str
) -> None:
    make, obstacle = WRONG[what]
    (answer,) = await ask_servers(make(kafka, certificates))
    assert (answer.obstacle, bool(answer.reason)) == (obstacle, True), answer


async def test_a_refused_token_is_told_apart_from_a_broker_that_is_away(
    kafka: KafkaBroker, certificates: Certificates, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text(unsigned_token(USER, 60, now=time.time() - 3_600))
    (answer,) = await ask_servers(by_token(kafka, "TOKEN", certificates, token_file=tmp_path / "token"))
    assert answer.obstacle == "denied"


async def test_a_stage_with_a_wrong_password_does_not_start_and_never_says_it(
    bench: Bench, kafka: KafkaBroker, certificates: Certificates, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    wrong = by_password(kafka, "PLAIN", "PLAIN", certificates, password="wr0ng-secret")
    app = counting(bench, wrong)
    with pytest.raises(BootRefused, match="CDC_KAFKA_SASL_MECHANISM") as raised:
        async with running(app):
            pass
    said = f"{raised.value!r} {wrong!r} {app.options!r} {app!r} {caplog.text}"
    assert "SaslAuthenticationFailed" in said
    assert "wr0ng-secret" not in said


async def test_a_broker_that_is_away_is_waited_for() -> None:
    away = kafka_connection(Settings(_env_file=None, kafka_bootstrap_servers=DEAD_END))
    with pytest.raises(KafkaConnectionError, match=DEAD_END):
        await refuse_wrong_credentials(away)
