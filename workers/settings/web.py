"""Settings of the web server and of the probes: where they listen, who may ask, how workers know each other."""

import ipaddress
import re
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_settings import BaseSettings

from workers.settings.field_types import OptionalPath, OptionalPort, OptionalSecret, blank_is_unset, env, one_way

LOOPBACK = "127.0.0.1"
ADVERTISED = re.compile(r"https?://(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:]+\])(?::\d{1,5})?/?")
CLIENTS = re.compile(r"[^=,]+=(?:read|write)(?:,[^=,]+=(?:read|write))*")


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches it."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _address(value: str) -> str:
    try:
        return value if value == "localhost" else str(ipaddress.ip_address(value.strip("[]")))
    except ValueError:
        raise ValueError("an IP address or localhost, such as 127.0.0.1, 0.0.0.0 or ::") from None


def _advertised(value: str | None) -> str | None:
    if value is not None and not ADVERTISED.fullmatch(value):
        raise ValueError("http:// or https://, a host and perhaps a port, without a path")
    return value.rstrip("/") if value else None


def _clients(value: str | None) -> str | None:
    if value is not None and not CLIENTS.fullmatch(value):
        raise ValueError("write NAME=read,NAME=write: common names of client certificates")
    return value


Address = Annotated[str, AfterValidator(_address)]
Advertised = Annotated[str | None, BeforeValidator(blank_is_unset), AfterValidator(_advertised)]
Clients = Annotated[str | None, BeforeValidator(blank_is_unset), AfterValidator(_clients)]
OptionalSwitch = Annotated[bool | None, BeforeValidator(blank_is_unset)]


class WebSettings(BaseSettings):
    """Any address but loopback wants tokens or client certificates: docs/web.md."""

    web_port: OptionalPort = Field(
        None, ge=1, le=65535, validation_alias=env("CDC_WEB_PORT"),
        description="unset: 6066, else the next free port",
    )  # fmt: skip
    web_bind: Address = Field(
        LOOPBACK, validation_alias=env("CDC_WEB_BIND"),
        description="address of the web server; any but loopback needs CDC_WEB_TOKEN_FILE or CDC_WEB_CLIENT_CA_FILE",
    )  # fmt: skip
    web_advertise: Advertised = Field(
        None, validation_alias=env("CDC_WEB_ADVERTISE"),
        description="URL at which the other workers reach this one; unset: http(s)://<CDC_WEB_BIND>:<port>, and the "
        "host's name where that is no address to go to",
    )  # fmt: skip
    web_token_file: OptionalPath = Field(
        None, validation_alias=env("CDC_WEB_TOKEN_FILE"),
        description="file with a line `read TOKEN [NAME]` or `write TOKEN [NAME]` each, at least 32 characters a "
        "token, 8 of them different; read again when it changes",
    )  # fmt: skip
    web_write: OptionalSwitch = Field(
        None, validation_alias=env("CDC_WEB_WRITE"),
        description="whether the page may change anything; unset: with tokens or client certificates, and with "
        "ENVIRONMENT=LOCAL",
    )  # fmt: skip
    web_certificate_file: OptionalPath = Field(
        None, validation_alias=env("CDC_WEB_CERTIFICATE_FILE"),
        description="certificate of the web server (PEM, with the chain); switches TLS on",
    )  # fmt: skip
    web_key_file: OptionalPath = Field(
        None, validation_alias=env("CDC_WEB_KEY_FILE"), description="private key of that certificate (PEM)"
    )
    web_client_ca_file: OptionalPath = Field(
        None, validation_alias=env("CDC_WEB_CLIENT_CA_FILE"),
        description="authorities whose client certificates are let in (PEM), as CDC_WEB_CLIENTS says",
    )  # fmt: skip
    web_clients: Clients = Field(
        None, validation_alias=env("CDC_WEB_CLIENTS"),
        description="what client certificates may, by common name: `prometheus=read,ops=write`; others get nothing",
    )  # fmt: skip
    cluster_key: OptionalSecret = Field(
        None, validation_alias=env("CDC_CLUSTER_KEY"),
        description="secret with which workers sign what they ask each other, at least 32 characters; unset: derived "
        "from the redaction key",
    )  # fmt: skip
    cluster_key_file: OptionalPath = Field(
        None, validation_alias=env("CDC_CLUSTER_KEY_FILE"), description="file that holds the cluster key"
    )
    cluster_ca_file: OptionalPath = Field(
        None, validation_alias=env("CDC_CLUSTER_CA_FILE"),
        description="authorities of the workers' own web certificates (PEM); unset: those of the system",
    )  # fmt: skip
    health_port: OptionalPort = Field(
        None, ge=1, le=65535, validation_alias=env("CDC_HEALTH_PORT"),
        description="port of /livez, /readyz and /metrics, which hold no data; unset: none. Containers use 8081",
    )  # fmt: skip
    health_bind: Address = Field(
        LOOPBACK, validation_alias=env("CDC_HEALTH_BIND"), description="address of that port; any may be used"
    )


def web_mistakes(settings: WebSettings) -> list[str]:
    """Settings of the web server that contradict each other, in words without values."""
    found = one_way(CDC_CLUSTER_KEY=settings.cluster_key, CDC_CLUSTER_KEY_FILE=settings.cluster_key_file)
    if not is_loopback(settings.web_bind) and not (settings.web_token_file or settings.web_client_ca_file):
        found.append(
            "CDC_WEB_BIND is not loopback: set CDC_WEB_TOKEN_FILE (or CDC_WEB_CLIENT_CA_FILE), so that nobody looks "
            "unasked"
        )
    if bool(settings.web_certificate_file) != bool(settings.web_key_file):
        found.append("CDC_WEB_CERTIFICATE_FILE and CDC_WEB_KEY_FILE belong together")
    if settings.web_client_ca_file and not settings.web_certificate_file:
        found.append("CDC_WEB_CLIENT_CA_FILE needs TLS: set CDC_WEB_CERTIFICATE_FILE and CDC_WEB_KEY_FILE")
    if bool(settings.web_client_ca_file) != bool(settings.web_clients):
        found.append("CDC_WEB_CLIENT_CA_FILE and CDC_WEB_CLIENTS belong together")
    if settings.health_port is not None and settings.health_port == settings.web_port:
        found.append("CDC_HEALTH_PORT and CDC_WEB_PORT are the same; give each a port of its own")
    return found
