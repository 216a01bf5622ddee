"""Checks of certificates: until when those of brokers, authorities and the worker itself are valid."""

import asyncio
import contextlib
import re
import ssl
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from aiokafka.conn import collect_hosts

from workers.checks.findings import Finding
from workers.kafka.connection import KafkaConnection
from workers.settings.worker import Settings

SOON = timedelta(days=30)
CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
SEQUENCE, UTC_TIME, GENERALIZED_TIME, VERSION = 0x30, 0x17, 0x18, 0xA0
"""Tags of ASN.1."""


async def check_certificates(
    settings: Settings, connection: KafkaConnection, now: datetime, seconds: float
) -> list[Finding]:
    """What every bootstrap server shows, and the files the settings name. A server that does not answer shows none."""
    if not settings.kafka_tls:
        return []
    found: list[Finding] = []
    context = connection.security["ssl_context"]
    for host, port, _ in collect_hosts(connection.bootstrap):
        shown = await _shown_by(host, port, context, seconds)
        found += _judge(f"{host}:{port}", shown, now)
    files = {
        "CDC_KAFKA_CA_FILE": settings.kafka_ca_file,
        "CDC_KAFKA_CLIENT_CERTIFICATE_FILE": settings.kafka_client_certificate_file,
    }
    for name, path in files.items():
        if path is not None:
            found += _judge(name, read_pem(path), now)
    return found


def _judge(subject: str, certificates: Iterable[bytes], now: datetime) -> list[Finding]:
    """The one that ends first counts: the chain is as good as its worst part."""
    ends = [end for certificate in certificates if (end := valid_until(certificate)) is not None]
    if not ends or min(ends) - now > SOON:
        return []
    end, told = min(ends), f"{min(ends):%Y-%m-%d}"
    if end <= now:
        return [Finding.of("kafka.certificate", subject, f"it ended on {told}", severity="error")]
    return [Finding.of("kafka.certificate", subject, f"it ends on {told}, in {(end - now).days} days")]


async def _shown_by(host: str, port: int, context: ssl.SSLContext, seconds: float) -> list[bytes]:
    """The chain (Python 3.13 and newer) or the broker's own certificate, in DER. Raises nothing."""
    try:
        async with asyncio.timeout(seconds):
            _, writer = await asyncio.open_connection(host, port, ssl=context, server_hostname=host)
    except (OSError, TimeoutError, ValueError):
        return []  # what keeps us out is another finding
    try:
        tls = writer.get_extra_info("ssl_object")
        chain = getattr(tls, "get_verified_chain", None)
        if chain is not None:
            return list(chain())
        own = tls.getpeercert(binary_form=True)
        return [own] if own else []
    finally:
        writer.close()
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(1):
                await writer.wait_closed()


def read_pem(path: Path) -> list[bytes]:
    """Every certificate of a PEM file, in DER; none if it cannot be read, which is another finding."""
    try:
        text = path.read_text(encoding="ascii", errors="ignore")
        return [ssl.PEM_cert_to_DER_cert(found) for found in CERTIFICATE.findall(text)]
    except (OSError, ValueError):
        return []


def valid_until(certificate: bytes) -> datetime | None:
    """The end of the validity of an X.509 certificate in DER (RFC 5280, 4.1.2.5); None if it is none."""
    try:
        (_, whole), *_ = _parts(certificate)
        (_, signed), *_ = _parts(whole)
        inner = [(tag, body) for tag, body in _parts(signed) if tag != VERSION]
        # serial number, signature algorithm, issuer, validity
        (_, _), (tag, end), *_ = _parts(inner[3][1])
        text = end.decode("ascii")
    except (IndexError, ValueError):
        return None
    if tag == UTC_TIME:
        text = ("19" if int(text[:2]) >= 50 else "20") + text
    try:
        return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        return None


def _parts(body: bytes) -> Iterator[tuple[int, bytes]]:
    """(tag, content) of everything that stands one after the other in DER."""
    at = 0
    while at < len(body):
        tag, length = body[at], body[at + 1]
        at += 2
        if length & 0x80:
            size = length & 0x7F
            length = int.from_bytes(body[at : at + size], "big")
            at += size
        if at + length > len(body):
            raise ValueError("cut off")
        yield tag, body[at : at + length]
        at += length
