"""Web addresses as settings hold them: checked once, in one canonical form."""

import re
from collections import deque
from collections.abc import Iterable
from urllib.parse import SplitResult, urlsplit, urlunsplit

_DEFAULT_PORTS = {"http": 80, "https": 443}
_WEBSOCKET = {"http": "ws", "https": "wss"}


def http_url(text: str) -> str:
    """Return an http(s) address in canonical form: lower-case host, no default port, no last slash.

    A path prefix is kept. Raises ``ValueError`` with the fix for anything else.
    """
    parts = _split(text)
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
        raise ValueError("write the whole address, starting with https:// or http://")
    if parts.username is not None or parts.query or parts.fragment:
        raise ValueError("leave out user, query and fragment; a path prefix is allowed")
    return urlunsplit((parts.scheme, _netloc(parts), parts.path.rstrip("/"), "", ""))


def origin(text: str) -> str:
    """Return scheme, host and port of an http(s) address. Raises ``ValueError`` as ``http_url``."""
    parts = urlsplit(http_url(_split(text)._replace(query="", fragment="").geturl()))
    return urlunsplit((parts.scheme, parts.netloc, "", "", ""))


def websocket_url(url: str) -> str:
    """Return the ws(s) form of an http(s) address that ``http_url`` returned."""
    scheme, rest = url.split(":", 1)
    return f"{_WEBSOCKET[scheme]}:{rest}"


def without_password(url: str) -> str:
    """Return ``url`` with the password of its user part, if any, replaced by asterisks."""
    head, at, tail = url.rpartition("@")
    scheme, slashes, user = head.partition("://")
    name, colon, password = user.partition(":")
    if not (at and slashes and colon and password):
        return url
    return f"{scheme}://{name}:****@{tail}"


MASK = "****"
"""What stands for a secret."""

_URL = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]*://)([^\s,/?#]*@)?([^\s,?#]*)(\?[^\s,#]*)?(#[^\s,]*)?")
_IN_QUERY = re.compile(r"([?&])([^=&]*)(=?)[^&]*")


def masked(text: str) -> str:
    """Return a text in which the secrets of all URLs are masked: passwords, and all of queries.

    Who asks by HTTP puts a token into either. A user without a password is one, too.
    """
    return _URL.sub(_masked, text)


class Unmasking:
    """Puts the secrets of known texts back into `masked` ones; of two alike, in their order."""

    def __init__(self, known: Iterable[str]) -> None:
        self._hidden: dict[str, deque[str]] = {}
        for text in known:
            for found in _URL.finditer(text):
                self._hidden.setdefault(_masked(found), deque()).append(found[0])

    def restored(self, text: str) -> str:
        """Return a text as it was. What is masked and not known stays so."""
        return _URL.sub(self._whole, text)

    def _whole(self, found: re.Match[str]) -> str:
        originals = self._hidden.get(found[0])
        return originals.popleft() if originals else found[0]


def is_masked(text: str) -> bool:
    """Tell whether a secret of a URL is masked."""
    return any(MASK in (it[2] or "") + (it[4] or "") for it in _URL.finditer(text))


def _masked(found: re.Match[str]) -> str:
    scheme, user, rest, query, fragment = found.groups(default="")
    if user:
        name, colon, _ = user[:-1].partition(":")
        user = f"{name}:{MASK}@" if colon else f"{MASK}@"
    query = _IN_QUERY.sub(lambda it: f"{it[1]}{it[2]}={MASK}" if it[3] else it[1] + MASK, query)
    return scheme + user + rest + query + fragment


def _split(text: str) -> SplitResult:
    if any(character.isspace() or not character.isprintable() for character in text):
        raise ValueError("write the address without spaces and line breaks")
    return urlsplit(text)


def _netloc(parts: SplitResult) -> str:
    host = parts.hostname or ""
    if ":" in host:
        host = f"[{host}]"
    if parts.port is None or parts.port == _DEFAULT_PORTS[parts.scheme]:
        return host
    return f"{host}:{parts.port}"
