"""Whom a worker trusts when it asks the web servers of others."""

import ssl
from pathlib import Path

from workers.failures import ConfigurationError
from workers.settings.worker import Settings


def cluster_tls(settings: Settings) -> ssl.SSLContext | None:
    """Trust in the authorities that sign the workers' certificates, whatever host these name: workers are found by
    address. None: those of the system, and the host counts. Raises ConfigurationError."""
    if settings.cluster_ca_file is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    trust(context, settings.cluster_ca_file, "CDC_CLUSTER_CA_FILE")
    return context


def trust(context: ssl.SSLContext, authorities: Path, name: str) -> None:
    """Raises ConfigurationError for a file that holds no certificates."""
    try:
        context.load_verify_locations(cafile=authorities)
    except OSError as error:
        raise unusable(name, error) from None


def unusable(name: str, error: Exception) -> ConfigurationError:
    """What to say of a file that TLS cannot take."""
    reason = (error.strerror if isinstance(error, OSError) else None) or type(error).__name__
    return ConfigurationError(f"{name} cannot be used: {reason}", hint="PEM files; the key without a password")
