"""Listeners of the sandbox's Kafka that want TLS, certificates or SASL, and what a client needs for them.

Everything is made for one directory and one day; no key here protects anything.
"""

import base64
import hashlib
import ipaddress
import json
import secrets
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    CompactArray,
    CompactBytes,
    CompactString,
    Int8,
    Int16,
    Int32,
    Schema,
    TaggedFields,
)
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from sandbox.kafka.broker import Listener
from sandbox.ports import LOOPBACK

LOGIN_MODULES = "org.apache.kafka.common.security"
SCRAM = {"SCRAM-SHA-256": (1, "sha256"), "SCRAM-SHA-512": (2, "sha512")}
"""Mechanism -> (its number in the protocol, its hash)."""
SCRAM_ITERATIONS = 4096
LIFE = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Certificates:
    """PEM files of an authority, a broker on loopback and a client."""

    authority: Path
    broker: Path
    """Certificate and key together, as Kafka wants them."""
    client: Path
    client_key: Path
    client_key_password: str
    client_key_encrypted: Path


def make_certificates(directory: Path) -> Certificates:
    """A new authority and certificates signed by it."""
    directory.mkdir(parents=True, exist_ok=True)
    authority_key = ec.generate_private_key(ec.SECP256R1())
    authority = _certificate("cdc sandbox authority", authority_key, None, authority_key)
    broker_key, client_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    broker = _certificate("broker", broker_key, authority, authority_key)
    client = _certificate("cdc-worker", client_key, authority, authority_key)
    password = secrets.token_hex(8)
    made = Certificates(
        directory / "authority.pem", directory / "broker.pem", directory / "client.pem", directory / "client-key.pem",
        password, directory / "client-key-encrypted.pem",
    )  # fmt: skip
    made.authority.write_bytes(_pem(authority))
    made.broker.write_bytes(_key_pem(broker_key) + _pem(broker))
    made.client.write_bytes(_pem(client))
    made.client_key.write_bytes(_key_pem(client_key))
    made.client_key_encrypted.write_bytes(_key_pem(client_key, password))
    return made


def _certificate(
    name: str, key: ec.EllipticCurvePrivateKey, issuer: x509.Certificate | None, signer: ec.EllipticCurvePrivateKey
) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    signer_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + LIFE)
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(signer_id, critical=False)
    )
    if issuer is None:
        usage = x509.KeyUsage(
            digital_signature=True, key_cert_sign=True, crl_sign=True, content_commitment=False, key_encipherment=False,
            data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
        )  # fmt: skip
        builder = builder.add_extension(usage, critical=True)
    else:
        names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(LOOPBACK))])
        uses = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
        builder = builder.add_extension(names, critical=False).add_extension(uses, critical=False)
    return builder.sign(signer, hashes.SHA256())


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey, password: str | None = None) -> bytes:
    locked = serialization.BestAvailableEncryption(password.encode()) if password else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, locked)


def tls_listener(name: str, certificates: Certificates, *, client_certificate: bool = False) -> Listener:
    """TLS; with `client_certificate` the client must show one of the same authority."""
    return Listener(name, "SSL", _tls(certificates) | {"ssl.client.auth": "required" if client_certificate else "none"})


def password_listener(
    name: str, mechanism: str, users: dict[str, str], certificates: Certificates | None = None,
    *, reauthenticate_ms: int = 0,
) -> Listener:  # fmt: skip
    """PLAIN with `users` ({name: password}), or SCRAM, whose users `add_scram_user` makes. Without certificates the
    listener is SASL_PLAINTEXT. `reauthenticate_ms`: a connection is cut after this time; 0 = never."""
    if mechanism == "PLAIN":
        known = "".join(f' user_{user}="{password}"' for user, password in users.items())
        login = f"{LOGIN_MODULES}.plain.PlainLoginModule required{known};"
    else:
        login = f"{LOGIN_MODULES}.scram.ScramLoginModule required;"
    return _sasl_listener(name, mechanism, login, certificates, reauthenticate_ms)


def token_listener(name: str, certificates: Certificates | None = None, *, reauthenticate_ms: int = 0) -> Listener:
    """OAUTHBEARER with Kafka's validator for unsigned tokens (`unsigned_token`); it believes everything they say."""
    login = f'{LOGIN_MODULES}.oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub="broker";'
    return _sasl_listener(name, "OAUTHBEARER", login, certificates, reauthenticate_ms)


def _sasl_listener(
    name: str, mechanism: str, login: str, certificates: Certificates | None, reauthenticate_ms: int
) -> Listener:
    prefix = mechanism.lower()
    properties = {
        "sasl.enabled.mechanisms": mechanism,
        f"{prefix}.sasl.jaas.config": login,
        f"{prefix}.connections.max.reauth.ms": str(reauthenticate_ms),
    }
    if certificates is None:
        return Listener(name, "SASL_PLAINTEXT", properties)
    return Listener(name, "SASL_SSL", properties | _tls(certificates))


def _tls(certificates: Certificates) -> dict[str, str]:
    return {
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(certificates.broker),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(certificates.authority),
    }


def unsigned_token(subject: str, seconds: float, *, now: float | None = None) -> str:
    """A token without signature that ends after `seconds` (RFC 7515, "alg": "none")."""
    began = time.time() if now is None else now
    claims = {"sub": subject, "iat": began, "exp": began + seconds}
    parts = (json.dumps(part).encode() for part in ({"alg": "none"}, claims))
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts) + "."


class _AlterScramResponse(Response):
    """https://kafka.apache.org/protocol#The_Messages_AlterUserScramCredentials"""

    API_KEY = 51
    API_VERSION = 0
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "results",
            CompactArray(
                ("user", CompactString("utf-8")),
                ("error_code", Int16),
                ("error_message", CompactString("utf-8")),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class _AlterScramStruct(RequestStruct):
    API_KEY = 51
    API_VERSION = 0
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = _AlterScramResponse
    SCHEMA = Schema(
        ("deletions", CompactArray(("name", CompactString("utf-8")), ("mechanism", Int8), ("tags", TaggedFields))),
        (
            "upsertions",
            CompactArray(
                ("name", CompactString("utf-8")),
                ("mechanism", Int8),
                ("iterations", Int32),
                ("salt", CompactBytes),
                ("salted_password", CompactBytes),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class _AlterScram(Request[_AlterScramStruct]):
    API_KEY = 51

    def __init__(self, upsertions: list[tuple[Any, ...]]) -> None:
        self._upsertions = upsertions

    def build(self, request_struct_class: type[_AlterScramStruct]) -> _AlterScramStruct:
        return request_struct_class([], self._upsertions, {})


async def add_scram_user(bootstrap: str, user: str, password: str, mechanism: str) -> None:
    """Make or change a SCRAM user, through a listener that needs none. Raises RuntimeError if Kafka refuses."""
    number, digest = SCRAM[mechanism]
    salt = secrets.token_bytes(16)
    salted = hashlib.pbkdf2_hmac(digest, password.encode(), salt, SCRAM_ITERATIONS)
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        answer = await admin._send_request(_AlterScram([(user, number, SCRAM_ITERATIONS, salt, salted, {})]))
    finally:
        await admin.close()
    for _, code, message, _ in answer.results:
        if code:
            raise RuntimeError(f"Kafka made no SCRAM user: {code} {message}")
