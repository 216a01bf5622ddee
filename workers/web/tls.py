"""TLS of the web server."""

import ssl

from workers.cluster.tls import trust, unusable
from workers.settings.worker import Settings


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
        raise unusable("CDC_WEB_CERTIFICATE_FILE or CDC_WEB_KEY_FILE", error) from None
    if settings.web_client_ca_file is not None:
        trust(context, settings.web_client_ca_file, "CDC_WEB_CLIENT_CA_FILE")
        context.verify_mode = ssl.CERT_OPTIONAL
    return context


def _no_password() -> str:
    """Nobody is there to be asked for one."""
    raise ValueError
