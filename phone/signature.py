"""Signatures as Twilio makes them, over HTTP requests and over the media socket's handshake.

Source: Twilio's "Security" page and twilio-python's `RequestValidator`. The fragment and
``user:pass@`` are never signed; a voice callback over HTTPS drops the port, one over HTTP keeps
it; the handshake of a media socket is signed as ``wss`` with its host and port as written.
"""

from collections.abc import Mapping
from urllib.parse import SplitResult, urlsplit

from twilio.request_validator import RequestValidator


def _host(parts: SplitResult, *, keep_port: bool) -> str:
    host = parts.netloc.rpartition("@")[2]
    if keep_port or parts.port is None:
        return host
    return host.rpartition(":")[0]


def signed_http_url(url: str) -> str:
    """Return the form of a webhook's ``url`` that is signed."""
    parts = urlsplit(url)
    host = _host(parts, keep_port=parts.scheme != "https")
    return parts._replace(netloc=host, path=parts.path or "/", fragment="").geturl()


def signed_socket_url(url: str) -> str:
    """Return the form of a media socket's ``url`` that is signed: always ``wss``."""
    parts = urlsplit(url)
    return parts._replace(
        scheme="wss", netloc=_host(parts, keep_port=True), path=parts.path or "/", fragment=""
    ).geturl()


class Signer:
    """Signs for one account with its auth token."""

    def __init__(self, auth_token: str) -> None:
        self._validator = RequestValidator(auth_token)

    def http(self, url: str, form: Mapping[str, str]) -> str:
        """Return ``X-Twilio-Signature`` for ``url`` (with its query) and a form body, or {}."""
        return str(self._validator.compute_signature(signed_http_url(url), dict(form)))

    def socket(self, url: str) -> str:
        """Return ``x-twilio-signature`` for the handshake of a media socket at ``url``."""
        return str(self._validator.compute_signature(signed_socket_url(url), {}))
