"""The public address that Twilio calls: scheme, host, port and path prefix.

Signed URLs are built from it, and signatures are checked against it. It refuses to know who said
so (a setting, a header): that is the signature check's business.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

_SECURE = {"https": True, "wss": True, "http": False, "ws": False}
_NETLOC = re.compile(r"(?P<host>[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[0-9]{1,5}))?")


class OriginError(ValueError):
    """A text that is no public address. ``text`` is what was given, ``reason`` what is wrong."""

    def __init__(self, text: str, reason: str) -> None:
        super().__init__(text, reason)
        self.text, self.reason = text, reason

    def __str__(self) -> str:
        return f"{self.reason}; write it like https://voice.example.com or https://example.com/ai"


@dataclass(frozen=True, slots=True)
class Origin:
    """A public scheme, host, port and path prefix. ``host`` keeps the brackets of IPv6."""

    secure: bool
    host: str
    port: int | None = None
    prefix: str = ""
    """Empty, or a path that starts with a slash and does not end with one."""

    @classmethod
    def parse(cls, text: str) -> "Origin":
        """Read a public URL as an operator writes it; ws and wss stand for http and https.

        Raises ``OriginError``. Fragment and ``user:password@`` are dropped, as Twilio leaves them
        out of what it signs.
        """
        address, _, _ = text.strip().partition("#")
        try:
            parts = urlsplit(address)
        except ValueError as error:
            raise OriginError(text, "The public URL has no valid host and port") from error
        if parts.scheme not in _SECURE:
            raise OriginError(text, "The public URL does not start with https:// or http://")
        if parts.query or "?" in address:
            raise OriginError(text, "The public URL has a query, which webhooks cannot keep")
        netloc = parts.netloc.rpartition("@")[2]
        origin = cls.of_host(netloc, secure=_SECURE[parts.scheme])
        if origin is None:
            raise OriginError(text, "The public URL has no valid host and port")
        return replace(origin, prefix=parts.path.rstrip("/"))

    @classmethod
    def of_host(cls, host: str, *, secure: bool) -> "Origin | None":
        """Return the origin named by a Host header, ``None`` when that is not host[:port]."""
        match = _NETLOC.fullmatch(host)
        if match is None:
            return None
        port = int(match["port"]) if match["port"] else None
        return (
            None if port is not None and not 0 < port < 65536 else cls(secure, match["host"], port)
        )

    @property
    def scheme(self) -> str:
        """``https`` or ``http``."""
        return "https" if self.secure else "http"

    @property
    def netloc(self) -> str:
        """Host and, if it was given, port."""
        return self.host if self.port is None else f"{self.host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.netloc}{self.prefix}"

    def url(self, path: str) -> str:
        """Return the URL of ``path`` (which starts with a slash) for a webhook."""
        return f"{self}{path}"

    def socket_url(self, path: str) -> str:
        """Return the WebSocket URL of ``path``: wss, or ws where the origin has no TLS."""
        return f"{'wss' if self.secure else 'ws'}://{self.netloc}{self.prefix}{path}"

    def signed_urls(self, target: str, *, socket: bool) -> Iterator[str]:
        """Yield every URL that Twilio may have signed for a request with this raw target.

        Twilio drops the port of an https webhook, keeps that of an http one, and of a handshake
        it says "try appending a trailing slash" (docs, "Security", notes). With a prefix, a proxy
        may have stripped it or not. All of these name the same resource, so trying each loses
        nothing.
        """
        # Twilio opens streams by wss only; ws is what a phone on the same machine may sign.
        schemes = (
            dict.fromkeys(("wss", "wss" if self.secure else "ws")) if socket else (self.scheme,)
        )
        for scheme in schemes:
            for netloc in self._netlocs():
                for path in self._targets(target.partition("#")[0], socket=socket):
                    yield f"{scheme}://{netloc}{path}"

    def _netlocs(self) -> Iterator[str]:
        ports = dict.fromkeys((None, self.port, 443 if self.secure else 80))
        for host in dict.fromkeys((self.host, self.host.lower())):
            for port in ports:
                yield host if port is None else f"{host}:{port}"

    def _targets(self, target: str, *, socket: bool) -> Iterator[str]:
        for candidate in self._prefixed(target):
            yield candidate
            if socket:
                path, mark, query = candidate.partition("?")
                yield (path[:-1] if path.endswith("/") else path + "/") + mark + query

    def _prefixed(self, target: str) -> Iterator[str]:
        # The likelier first: it is the one that a refusal shows.
        if self._has_prefix(target):
            yield target
        yield self.prefix + target

    def _has_prefix(self, path: str) -> bool:
        return bool(self.prefix) and path.startswith(self.prefix + "/")
