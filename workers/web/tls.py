"""TLS of the web server, and of the calls to the web servers of other workers."""

import ssl
from pathlib import Path

from workers.failures import ConfigurationError
from workers.settings import Settings


def server_tls(settings: Settings) -> ssl.SSLContext | None:
    """None without a certificate. A client's certificate is asked for, not demanded: tokens and signed calls go
    without. Raises ConfigurationError for files that cannot be used."""
    if settings.web_certificate_file is None or settings.web_key_file is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(settings.web_certificate_file, settings.web_key_file, password=_no_password)
    except (OSError, ValueError) as error:
        raise _unusable("CDC_WEB_CERTIFICATE_FILE or CDC_WEB_KEY_FILE", error) from None
    if settings.web_client_ca_file is not None:
        _trust(context, settings.web_client_ca_file, "CDC_WEB_CLIENT_CA_FILE")
        context.verify_mode = ssl.CERT_OPTIONAL
    return context


def cluster_tls(settings: Settings) -> ssl.SSLContext | None:
    """Trust in the authorities that sign the workers' certificates, whatever host these name: workers are found by
    address. None: those of the system, and the host counts. Raises ConfigurationError."""
    if settings.cluster_ca_file is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    _trust(context, settings.cluster_ca_file, "CDC_CLUSTER_CA_FILE")
    return context


def _trust(context: ssl.SSLContext, authorities: Path, name: str) -> None:
    try:
        context.load_verify_locations(cafile=authorities)
    except OSError as error:
        raise _unusable(name, error) from None


def _unusable(name: str, error: Exception) -> ConfigurationError:
    reason = (error.strerror if isinstance(error, OSError) else None) or type(error).__name__
    return ConfigurationError(f"{name} cannot be used: {reason}", hint="PEM files; the key without a password")


def _no_password() -> str:
    """Nobody is there to be asked for one."""
    raise ValueError
