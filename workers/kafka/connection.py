"""Settings -> arguments of every aiokafka client, and a look whether a broker takes them."""

import asyncio
import logging
import socket
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from aiokafka.conn import AIOKafkaConnection, OAuthAuthenticator, collect_hosts
from aiokafka.errors import (
    AuthenticationFailedError,
    AuthenticationMethodNotSupported,
    IllegalSaslStateError,
    KafkaConnectionError,
    KafkaError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)
from aiokafka.protocol.admin import ApiVersionRequest
from aiokafka.protocol.metadata import MetadataRequest

from workers.engine.errors import BootRefused
from workers.failures import ConfigurationError
from workers.kafka.tokens import CachedToken, ClientCredentials, FileToken, msk_signer
from workers.settings.field_types import secret_text
from workers.settings.worker import Settings

PROBE_TIMEOUT = 10.0
CUTS = (EOFError, ConnectionResetError, BrokenPipeError, ssl.SSLEOFError, ssl.SSLZeroReturnError)
REFUSALS = (
    AuthenticationFailedError, AuthenticationMethodNotSupported, IllegalSaslStateError, SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class KafkaConnection:
    """What `EngineOptions` and every other client of the process need to reach Kafka."""

    bootstrap: str
    security: dict[str, Any] = field(repr=False)
    request_timeout: float

    def client(self, client_id: str) -> dict[str, Any]:
        """Connection arguments of an aiokafka client outside of a stage."""
        return {
            "bootstrap_servers": self.bootstrap,
            "client_id": client_id,
            "request_timeout_ms": int(self.request_timeout * 1000),
            **self.security,
        }


def kafka_connection(settings: Settings) -> KafkaConnection:
    """Read the files the settings name. Raises ConfigurationError if one cannot be used or the msk extra is missing."""
    _no_bytes_in_logs()
    security: dict[str, Any] = {"security_protocol": settings.kafka_security_protocol}
    if settings.kafka_tls:
        security["ssl_context"] = _tls(settings)
    if settings.kafka_sasl:
        security |= _sasl(settings)
    return KafkaConnection(settings.kafka_bootstrap_servers, security, settings.kafka_request_timeout)


def _tls(settings: Settings) -> ssl.SSLContext:
    authorities = settings.kafka_ca_file
    try:
        context = ssl.create_default_context(cafile=authorities)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(
            f"CDC_KAFKA_CA_FILE cannot be used: {_reason(error)}", hint="it must be a readable PEM file"
        ) from None
    context.check_hostname = settings.kafka_check_hostname
    if settings.kafka_client_certificate_file is not None:
        password = secret_text(
            "CDC_KAFKA_CLIENT_KEY_PASSWORD", settings.kafka_client_key_password, settings.kafka_client_key_password_file
        )
        try:
            # A password is always given: without one OpenSSL would ask for it on the terminal.
            context.load_cert_chain(
                settings.kafka_client_certificate_file, settings.kafka_client_key_file, password=lambda: password
            )
        except (OSError, ssl.SSLError) as error:
            raise ConfigurationError(
                f"the client certificate cannot be used: {_reason(error)}",
                hint="CDC_KAFKA_CLIENT_CERTIFICATE_FILE and CDC_KAFKA_CLIENT_KEY_FILE must be readable PEM files that "
                "belong together; an encrypted key needs CDC_KAFKA_CLIENT_KEY_PASSWORD_FILE",
            ) from None
    return context


def _sasl(settings: Settings) -> dict[str, Any]:
    match settings.kafka_sasl_mechanism:
        case "OAUTHBEARER":
            return {"sasl_mechanism": "OAUTHBEARER", "sasl_oauth_token_provider": _tokens(settings)}
        case "AWS_MSK_IAM":
            provider = CachedToken(msk_signer(settings.aws_region))
            return {"sasl_mechanism": "OAUTHBEARER", "sasl_oauth_token_provider": provider}
        case mechanism:
            password = secret_text("CDC_KAFKA_PASSWORD", settings.kafka_password, settings.kafka_password_file)
            if not password:
                raise ConfigurationError("the password of Kafka is empty", hint="see CDC_KAFKA_PASSWORD_FILE")
            return {
                "sasl_mechanism": mechanism,
                "sasl_plain_username": settings.kafka_username,
                "sasl_plain_password": password,
            }


def _tokens(settings: Settings) -> FileToken | CachedToken:
    if settings.kafka_token_file is not None:
        if not _is_readable(settings.kafka_token_file):
            raise ConfigurationError("CDC_KAFKA_TOKEN_FILE cannot be read", hint="check the path and its permissions")
        return FileToken(settings.kafka_token_file)
    secret = secret_text(
        "CDC_KAFKA_TOKEN_CLIENT_SECRET",
        settings.kafka_token_client_secret,
        settings.kafka_token_client_secret_file,
    )
    return CachedToken(
        ClientCredentials(
            settings.kafka_token_url or "", settings.kafka_token_client_id or "", secret, settings.kafka_token_scope
        )
    )


def _is_readable(path: Path) -> bool:
    try:
        return bool(path.read_text(encoding="utf-8").strip())
    except (OSError, UnicodeDecodeError):
        return False


def _reason(error: OSError) -> str:
    """OpenSSL's or the system's own word for it; neither holds a path or a secret."""
    reason = getattr(error, "reason", None)
    return str(reason or error.strerror or type(error).__name__)


class _NoBytes(logging.Filter):
    """At DEBUG aiokafka logs whole requests: passwords of the SASL handshake, records that are produced (P6)."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line may be logged."""
        return record.levelno > logging.DEBUG


_no_bytes = _NoBytes()


def _no_bytes_in_logs() -> None:
    for name in ("aiokafka.conn", "aiokafka.client", "aiokafka.producer.sender", "aiokafka.consumer.fetcher"):
        logging.getLogger(name).addFilter(_no_bytes)


Obstacle = Literal["away", "denied", "tls", "silent"]


@dataclass(frozen=True, slots=True)
class Answer:
    """What one bootstrap server said."""

    server: str
    obstacle: Obstacle | None = None
    """None: it took our credentials and answered. `silent`: it takes connections and cuts them, as a broker does that
    speaks another security protocol, or one that is just ending."""
    reason: str = ""
    """Names of errors only: no secret, no value."""
    versions: dict[int, tuple[int, int]] = field(default_factory=dict)
    """{API key: (lowest, highest version)}."""


class _ProbeTokens(OAuthAuthenticator):
    """aiokafka takes the broker's refusal of a token for success; the broker then waits for a further message and
    cuts the connection at the next request, which looks like a broker that went away."""

    async def step(self, payload: bytes | None) -> Any:
        if payload:
            raise SaslAuthenticationFailed("the token was refused")
        return await super().step(payload)


class _Probe(AIOKafkaConnection):
    def authenticator_oauth(self) -> _ProbeTokens:
        return _ProbeTokens(sasl_oauth_token_provider=self._sasl_oauth_token_provider)


async def ask_servers(connection: KafkaConnection, timeout: float = PROBE_TIMEOUT) -> list[Answer]:
    """Connect to every bootstrap server once, all at the same time. Raises nothing."""
    hosts = collect_hosts(connection.bootstrap)
    return list(await asyncio.gather(*(_ask(connection, host, port, timeout) for host, port, _ in hosts)))


async def _ask(connection: KafkaConnection, host: str, port: int, timeout: float) -> Answer:
    server = f"{host}:{port}"
    probe = _Probe(host, port, client_id="cdc-probe", request_timeout_ms=int(timeout * 1000), **connection.security)
    try:
        async with asyncio.timeout(timeout):
            await probe.connect()
            versions = await probe.send(ApiVersionRequest())
            await probe.send(MetadataRequest([]))
    except (KafkaError, OSError, EOFError) as error:
        return _obstacle(server, error)
    except (ValueError, AssertionError) as error:  # SCRAM: the broker could not prove that it knows the password
        return Answer(server, "denied", type(error).__name__)
    finally:
        closed = probe.close()
        if closed is not None:
            await asyncio.wait([closed], timeout=1)
    return Answer(server, versions={key: (low, high) for key, low, high in versions.api_versions})


def _obstacle(server: str, error: BaseException) -> Answer:
    """aiokafka wraps what its reader met, so the whole chain is read."""
    chain: list[BaseException] = []
    seen: BaseException | None = error
    while seen is not None and seen not in chain:
        chain.append(seen)
        seen = seen.__cause__ or seen.__context__
    for found in chain:
        if isinstance(found, REFUSALS):
            return Answer(server, "denied", type(found).__name__)
        if isinstance(found, ssl.SSLCertVerificationError):
            return Answer(server, "tls", found.verify_message)
        if isinstance(found, ssl.SSLError) and not isinstance(found, CUTS):
            return Answer(server, "tls", _reason(found))
    if any(isinstance(found, CUTS) for found in chain):
        return Answer(server, "silent", "it cut the connection")
    if isinstance(error, socket.gaierror):
        return Answer(server, "away", "unknown host")
    if isinstance(error, KafkaConnectionError):  # names hosts, or says why there is no token
        return Answer(server, "away", " ".join(map(str, error.args)))
    return Answer(server, "away", getattr(error, "strerror", None) or type(error).__name__)


HINTS: dict[Obstacle, str] = {
    "away": "is it running, and are KAFKA_BOOTSTRAP_SERVERS and the network right?",
    "denied": "check CDC_KAFKA_SASL_MECHANISM and the user, password or token that goes with it",
    "tls": "check CDC_KAFKA_SECURITY_PROTOCOL, CDC_KAFKA_CA_FILE and the client certificate, and that the broker's "
    "certificate names this host",
    "silent": "does this port speak the protocol of CDC_KAFKA_SECURITY_PROTOCOL?",
}


async def refuse_wrong_credentials(connection: KafkaConnection) -> None:
    """Raises BootRefused if no server takes our credentials and one said so, KafkaConnectionError if none is there.

    Wrong credentials are a matter of configuration, which no waiting mends; a broker that is away comes back."""
    answers = await ask_servers(connection)
    if any(answer.obstacle is None for answer in answers):
        return
    for answer in answers:
        if answer.obstacle in ("denied", "tls"):
            raise BootRefused(
                f"Kafka at {answer.server} refuses this worker: {answer.reason}; {HINTS[answer.obstacle]}"
            )
    told = ", ".join(f"{answer.server}: {answer.reason}" for answer in answers)
    hints = dict.fromkeys(HINTS[answer.obstacle] for answer in answers if answer.obstacle is not None)
    raise KafkaConnectionError(f"no server answers ({told}); {' '.join(hints)}")
