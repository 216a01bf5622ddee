"""Settings of the connection to Kafka, and which of them go together."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field
from pydantic_settings import BaseSettings

from workers.settings.field_types import OptionalPath, OptionalSecret, OptionalText, blank_is_unset, env

Protocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
Mechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER", "AWS_MSK_IAM"]
Compression = Literal["none", "gzip", "snappy", "lz4", "zstd"]


class KafkaSettings(BaseSettings):
    """How to reach Kafka. Whether they fit together: `mistakes`."""

    kafka_bootstrap_servers: str = Field(
        "localhost:9092", validation_alias=env("KAFKA_BOOTSTRAP_SERVERS"), description="host:port, comma separated"
    )
    kafka_security_protocol: Protocol = Field(
        "PLAINTEXT", validation_alias=env("CDC_KAFKA_SECURITY_PROTOCOL"),
        description="PLAINTEXT, SSL, SASL_SSL or SASL_PLAINTEXT",
    )  # fmt: skip
    kafka_ca_file: OptionalPath = Field(
        None, validation_alias=env("CDC_KAFKA_CA_FILE"),
        description="PEM file of the authorities that sign the brokers' certificates; unset: those of the system",
    )  # fmt: skip
    kafka_client_certificate_file: OptionalPath = Field(
        None, validation_alias=env("CDC_KAFKA_CLIENT_CERTIFICATE_FILE"),
        description="PEM file of the worker's own certificate, for brokers that ask for one",
    )  # fmt: skip
    kafka_client_key_file: OptionalPath = Field(
        None, validation_alias=env("CDC_KAFKA_CLIENT_KEY_FILE"),
        description="PEM file of its private key; unset: the key stands in the certificate file",
    )  # fmt: skip
    kafka_client_key_password: OptionalSecret = Field(
        None, validation_alias=env("CDC_KAFKA_CLIENT_KEY_PASSWORD"), description="password of an encrypted private key"
    )
    kafka_client_key_password_file: OptionalPath = Field(
        None, validation_alias=env("CDC_KAFKA_CLIENT_KEY_PASSWORD_FILE"), description="file that holds this password"
    )
    kafka_check_hostname: bool = Field(
        True, validation_alias=env("CDC_KAFKA_CHECK_HOSTNAME"),
        description="the broker's certificate must name the host that was asked for",
    )  # fmt: skip
    kafka_sasl_mechanism: Annotated[Mechanism | None, BeforeValidator(blank_is_unset)] = Field(
        None, validation_alias=env("CDC_KAFKA_SASL_MECHANISM"),
        description="PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER or AWS_MSK_IAM (needs the extra msk)",
    )  # fmt: skip
    kafka_allow_plaintext_sasl: bool = Field(
        False, validation_alias=env("CDC_KAFKA_ALLOW_PLAINTEXT_SASL"),
        description="credentials may travel without TLS; always allowed with ENVIRONMENT=LOCAL",
    )  # fmt: skip
    kafka_username: OptionalText = Field(
        None, validation_alias=env("CDC_KAFKA_USERNAME"), description="user of PLAIN and SCRAM"
    )
    kafka_password: OptionalSecret = Field(
        None, validation_alias=env("CDC_KAFKA_PASSWORD"), description="password of this user"
    )
    kafka_password_file: OptionalPath = Field(
        None, validation_alias=env("CDC_KAFKA_PASSWORD_FILE"), description="file that holds this password"
    )
    kafka_token_file: OptionalPath = Field(
        None, validation_alias=env("CDC_KAFKA_TOKEN_FILE"),
        description="OAUTHBEARER: file that holds the token, read again for every connection",
    )  # fmt: skip
    kafka_token_url: OptionalText = Field(
        None, validation_alias=env("CDC_KAFKA_TOKEN_URL"),
        description="OAUTHBEARER: endpoint that gives tokens for client credentials (OAuth 2)",
    )  # fmt: skip
    kafka_token_client_id: OptionalText = Field(
        None, validation_alias=env("CDC_KAFKA_TOKEN_CLIENT_ID"), description="client id for that endpoint"
    )
    kafka_token_client_secret: OptionalSecret = Field(
        None, validation_alias=env("CDC_KAFKA_TOKEN_CLIENT_SECRET"), description="client secret for that endpoint"
    )
    kafka_token_client_secret_file: OptionalPath = Field(
        None, validation_alias=env("CDC_KAFKA_TOKEN_CLIENT_SECRET_FILE"), description="file that holds this secret"
    )
    kafka_token_scope: OptionalText = Field(
        None, validation_alias=env("CDC_KAFKA_TOKEN_SCOPE"), description="scope to ask for, if the endpoint wants one"
    )
    kafka_compression: Compression = Field(
        "none", validation_alias=env("CDC_KAFKA_COMPRESSION"),
        description="of what the worker writes: none, gzip, snappy, lz4 or zstd",
    )  # fmt: skip
    kafka_request_timeout: float = Field(
        40, ge=5, le=300, validation_alias=env("CDC_KAFKA_REQUEST_TIMEOUT"),
        description="seconds to wait for an answer of Kafka; writes wait at most 20, joining a group at least 40",
    )  # fmt: skip

    @property
    def kafka_tls(self) -> bool:
        """Whether connections are encrypted."""
        return self.kafka_security_protocol in ("SSL", "SASL_SSL")

    @property
    def kafka_sasl(self) -> bool:
        """Whether the worker says who it is by SASL."""
        return self.kafka_security_protocol in ("SASL_SSL", "SASL_PLAINTEXT")


def mistakes(settings: KafkaSettings, *, local: bool) -> list[str]:
    """Settings that contradict each other, in words without values.

    A credential that would not be used is a mistake too: whoever set it believes that the worker says who it is."""
    return [*_tls(settings), *_sasl(settings, local), *_password(settings), *_tokens(settings, local)]


def _tls(s: KafkaSettings) -> list[str]:
    found = []
    files = {
        "CDC_KAFKA_CA_FILE": s.kafka_ca_file,
        "CDC_KAFKA_CLIENT_CERTIFICATE_FILE": s.kafka_client_certificate_file,
    }
    if not s.kafka_tls:
        found += [f"{name} is set, but CDC_KAFKA_SECURITY_PROTOCOL is without TLS" for name in files if files[name]]
    password = _either("CDC_KAFKA_CLIENT_KEY_PASSWORD", s.kafka_client_key_password, s.kafka_client_key_password_file)
    has_key = s.kafka_client_key_file or s.kafka_client_key_password or s.kafka_client_key_password_file
    if has_key and not s.kafka_client_certificate_file:
        found.append("a client key needs CDC_KAFKA_CLIENT_CERTIFICATE_FILE")
    return found + password


def _sasl(s: KafkaSettings, local: bool) -> list[str]:
    if s.kafka_sasl and s.kafka_sasl_mechanism is None:
        return [f"CDC_KAFKA_SECURITY_PROTOCOL={s.kafka_security_protocol} needs CDC_KAFKA_SASL_MECHANISM"]
    if not s.kafka_sasl and s.kafka_sasl_mechanism is not None:
        return ["CDC_KAFKA_SASL_MECHANISM needs CDC_KAFKA_SECURITY_PROTOCOL=SASL_SSL"]
    if s.kafka_sasl and not s.kafka_tls and not local and not s.kafka_allow_plaintext_sasl:
        way_out = "use SASL_SSL, or set CDC_KAFKA_ALLOW_PLAINTEXT_SASL=true"
        return [f"SASL without TLS shows the credentials to the network: {way_out}"]
    return []


def _password(s: KafkaSettings) -> list[str]:
    given = s.kafka_username or s.kafka_password or s.kafka_password_file
    if s.kafka_sasl_mechanism not in ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"):
        return ["CDC_KAFKA_USERNAME and CDC_KAFKA_PASSWORD are for PLAIN and SCRAM only"] if given else []
    found = _either("CDC_KAFKA_PASSWORD", s.kafka_password, s.kafka_password_file)
    if not s.kafka_username:
        found.append(f"{s.kafka_sasl_mechanism} needs CDC_KAFKA_USERNAME")
    if not s.kafka_password and not s.kafka_password_file:
        found.append(f"{s.kafka_sasl_mechanism} needs CDC_KAFKA_PASSWORD or CDC_KAFKA_PASSWORD_FILE")
    return found


def _tokens(s: KafkaSettings, local: bool) -> list[str]:
    secret = s.kafka_token_client_secret or s.kafka_token_client_secret_file
    endpoint = s.kafka_token_url or s.kafka_token_client_id or secret or s.kafka_token_scope
    if s.kafka_sasl_mechanism != "OAUTHBEARER":
        return ["CDC_KAFKA_TOKEN_* are for OAUTHBEARER only"] if endpoint or s.kafka_token_file else []
    if s.kafka_token_file and endpoint:
        return ["set CDC_KAFKA_TOKEN_FILE or CDC_KAFKA_TOKEN_URL, not both"]
    if s.kafka_token_file:
        return []
    if not s.kafka_token_url:
        return ["OAUTHBEARER needs CDC_KAFKA_TOKEN_FILE or CDC_KAFKA_TOKEN_URL"]
    found = _either("CDC_KAFKA_TOKEN_CLIENT_SECRET", s.kafka_token_client_secret, s.kafka_token_client_secret_file)
    if not s.kafka_token_client_id:
        found.append("CDC_KAFKA_TOKEN_URL needs CDC_KAFKA_TOKEN_CLIENT_ID")
    if not secret:
        found.append("CDC_KAFKA_TOKEN_URL needs CDC_KAFKA_TOKEN_CLIENT_SECRET or CDC_KAFKA_TOKEN_CLIENT_SECRET_FILE")
    if not s.kafka_token_url.startswith("https://") and not local and not s.kafka_allow_plaintext_sasl:
        found.append("CDC_KAFKA_TOKEN_URL must begin with https://")
    return found


def _either(name: str, value: object, file: object) -> list[str]:
    return [f"set {name} or {name}_FILE, not both"] if value and file else []
