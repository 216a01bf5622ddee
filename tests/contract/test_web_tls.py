"""The web server under TLS: client certificates and what they may, cookies, and calls of workers."""

import datetime
import ssl
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.contract.test_web_cluster import Known, answers
from tests.contract.webbing import JSON, READ_TOKEN, served, settings_of
from workers.cluster.peers import Peer
from workers.failures import ConfigurationError
from workers.settings.worker import Settings
from workers.web.tls import server_tls

NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
LATER = datetime.datetime(2126, 1, 1, tzinfo=datetime.UTC)


class Authority:
    """Signs certificates into files."""

    def __init__(self, directory: Path, name: str) -> None:
        self.directory = directory
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.file = self._write(name, self._made(self._name, self._key, authority=True), self._key)[0]

    def certify(self, name: str) -> tuple[Path, Path]:
        """(certificate, key) of a common name."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        return self._write(name, self._made(subject, key), key)

    def _made(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, *, authority: bool = False
    ) -> x509.Certificate:
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(self._name)
        builder = builder.public_key(key.public_key()).serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(NOW).not_valid_after(LATER)
        builder = builder.add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        # Python 3.13 is strict: identifiers everywhere, and an authority says that it is one.
        own = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        signer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        builder = builder.add_extension(own, critical=False).add_extension(signer, critical=False)
        if authority:
            usage = x509.KeyUsage(
                digital_signature=True, key_cert_sign=True, crl_sign=True, content_commitment=False,
                key_encipherment=False, data_encipherment=False, key_agreement=False, encipher_only=False,
                decipher_only=False,
            )  # fmt: skip
            builder = builder.add_extension(usage, critical=True)
        return builder.sign(self._key, hashes.SHA256())

    def _write(self, name: str, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> tuple[Path, Path]:
        files = self.directory / f"{name}.pem", self.directory / f"{name}.key"
        files[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        pem = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        files[1].write_bytes(key.private_bytes(*pem))
        return files


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "authority")


def guarded(tmp_path: Path, authority: Authority, **more: Any) -> Settings:
    certificate, key = authority.certify("worker")
    return settings_of(
        tmp_path, tokens=True, web_certificate_file=certificate, web_key_file=key, web_client_ca_file=authority.file,
        web_clients="ops=write,grafana=read", cluster_ca_file=authority.file, **more,
    )  # fmt: skip


def client(authority: Authority, name: str | None = None, signer: Authority | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=authority.file)
    context.check_hostname = False
    if name is not None:
        context.load_cert_chain(*(signer or authority).certify(name))
    return context


@pytest.mark.parametrize(
    ("name", "read", "write"), [("ops", 200, 200), ("grafana", 200, 403), ("stranger", 401, 401), (None, 401, 401)]
)
async def test_a_client_certificate_may_what_its_common_name_may(
    tmp_path: Path, authority: Authority, name: str | None, read: int, write: int
) -> None:
    async with served(guarded(tmp_path, authority), tls=client(authority, name)) as web:
        assert await web.status("GET", "/api/stages") == read
        assert (await web.ask("POST", "/api/change", JSON | {"Origin": web.url}, "{}"))[0] == write


async def test_a_certificate_of_another_authority_gets_no_connection(tmp_path: Path, authority: Authority) -> None:
    (tmp_path / "other").mkdir()
    foreign = client(authority, "ops", Authority(tmp_path / "other", "authority"))
    async with served(guarded(tmp_path, authority), tls=foreign) as web:
        with pytest.raises((aiohttp.ClientError, OSError)):  # an alert, or a cut, as the version of TLS has it
            await web.ask("GET", "/api/stages")


async def test_under_tls_the_cookie_goes_nowhere_else_and_writes_come_from_https(
    tmp_path: Path, authority: Authority
) -> None:
    async with served(guarded(tmp_path, authority), tls=client(authority, "ops")) as web:
        own = JSON | {"Origin": web.url}
        _, _, headers = await web.ask("POST", "/api/session", own, f'{{"token": "{READ_TOKEN}"}}')
        assert headers["Set-Cookie"].startswith("__Host-cdc_session_")
        assert "Secure" in headers["Set-Cookie"]
        plain = JSON | {"Origin": web.url.replace("https", "http")}
        assert (await web.ask("POST", "/api/change", plain, "{}"))[0] == 403


async def test_workers_under_tls_ask_each_other(tmp_path: Path, authority: Authority) -> None:
    known = Known()
    settings = guarded(tmp_path, authority)
    async with (
        served(settings, directory=lambda _me: known) as one,
        served(settings, name="two") as two,
        served(guarded(tmp_path, authority, web_advertise="https://two.example"), name="three") as three,
    ):
        known.peers = (Peer("two", two.url), Peer("three", three.url))
        found = await answers(one)
        assert (found["one"].error, found["two"].error) == (None, None)
        assert found["three"].error == "another worker answers at its address"


def test_files_that_tls_cannot_take_are_a_configuration_error(tmp_path: Path, authority: Authority) -> None:
    (tmp_path / "none.pem").write_text("nothing")
    settings = guarded(tmp_path, authority).model_copy(update={"web_key_file": tmp_path / "none.pem"})
    with pytest.raises(ConfigurationError, match="CDC_WEB_CERTIFICATE_FILE or CDC_WEB_KEY_FILE"):
        server_tls(settings)
