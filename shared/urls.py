"""Web addresses as settings hold them: checked once, in one canonical form."""

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
