"""Where a ``<Stream>`` connects to, and what Twilio refuses to connect to.

Source: "TwiML Voice: <Stream>" and error dictionary 319xx. ``ws://`` is let through on loopback,
where a server under test has no certificate.
"""

from urllib.parse import urljoin, urlsplit

from phone.problem import Problem
from phone.verbs import Stream

_SOCKET_SCHEME = {"https": "wss", "http": "ws"}


class StreamRefusedError(Exception):
    """A stream that Twilio does not even try to open."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.problem = problem

    def __str__(self) -> str:
        return str(self.problem)


def _is_loopback(host: str) -> bool:
    return host in ("localhost", "::1") or host.startswith("127.")


def resolve(stream: Stream, document_url: str, *, allow_plain: bool) -> str:
    """Return the absolute URL of ``stream``; relative ones refer to the document's.

    Raises `StreamRefusedError`: 31922 not ``wss``, 31923 malformed or with a query string, 31941 a
    track other than the inbound one.
    """
    if stream.track != "inbound_track":
        text = f"track {stream.track!r}; only inbound_track can be used in <Connect>"
        raise StreamRefusedError(Problem(31941, text))
    try:
        url = stream.url
        if not urlsplit(url).scheme:
            base = urlsplit(document_url)
            url = urljoin(document_url, url)
            url = urlsplit(url)._replace(scheme=_SOCKET_SCHEME[base.scheme]).geturl()
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise StreamRefusedError(Problem(31923, f"{stream.url!r}: {error}")) from error
    if parts.scheme not in ("ws", "wss"):
        raise StreamRefusedError(Problem(31922, f"{url!r}: the scheme must be wss"))
    if not host:
        raise StreamRefusedError(Problem(31923, f"{url!r} names no host"))
    if parts.query or parts.fragment or "?" in url:
        raise StreamRefusedError(
            Problem(31923, f"{url!r} has a query string; use the path or <Parameter>")
        )
    if parts.scheme == "ws" and not (allow_plain or _is_loopback(host)):
        raise StreamRefusedError(Problem(31922, f"{url!r}: the scheme must be wss"))
    return url
