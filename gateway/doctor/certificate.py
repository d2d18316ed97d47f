"""Does a certificate work: an in-memory handshake with ourselves, trusting that certificate only.

The standard library reads no certificate file, but a handshake does all that matters: key and
chain fit, the dates hold, the name matches.
"""

import ssl
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from gateway.doctor.finding import Finding, fail, ok, warn
from shared.settings import Settings

_DAY = 86_400
_SOON_DAYS = 14
_SUBJECT = "TLS"


def check_tls(settings: Settings) -> Iterator[Finding]:
    """Look whether our own certificate can be used, and for how long yet."""
    cert, key = settings.tls_cert_file, settings.tls_key_file
    if cert is None or key is None:
        yield ok(_SUBJECT, "none of our own: a proxy in front ends TLS")
        return
    host = urlsplit(settings.public_url or "").hostname
    try:
        days = (expiry(cert, key, host) - time.time()) / _DAY
    except OSError as error:  # ssl.SSLError and its verification error are ones, too
        yield fail(_SUBJECT, _reason(error, cert), "renew it, or set TLS_CERT_FILE, TLS_KEY_FILE")
        return
    if days < _SOON_DAYS:
        yield warn(_SUBJECT, f"{cert} expires in {days:.0f} days", "renew it")
    else:
        yield ok(_SUBJECT, f"{cert} is good for {days:.0f} days")


def expiry(cert: Path, key: Path, host: str | None) -> float:
    """Return when ``cert`` expires, in seconds since 1970, after a handshake with it.

    ``host`` is the name it must be for, ``None`` for any. Raises ``OSError`` when a file cannot
    be read, its subclass ``ssl.SSLError`` when they do not fit, expired or name another host.
    """
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(cert, key)
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = host is not None
    client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    client.load_verify_locations(cert)
    peer = _handshake(server, client, host)
    return float(ssl.cert_time_to_seconds(str(peer["notAfter"])))


def _handshake(
    server_context: ssl.SSLContext, client_context: ssl.SSLContext, host: str | None
) -> Mapping[str, object]:
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = server_context.wrap_bio(to_server, to_client, server_side=True)
    client = client_context.wrap_bio(to_client, to_server, server_hostname=host)
    while not _step(client):
        _step(server)
    return client.getpeercert() or {}


def _step(side: ssl.SSLObject) -> bool:
    try:
        side.do_handshake()
    except ssl.SSLWantReadError:
        return False
    return True


def _reason(error: OSError, cert: Path) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"{cert}: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"{cert}: {error.reason or error}: certificate and key are not what they should be"
    return f"{error.filename or cert}: {error.strerror}"
