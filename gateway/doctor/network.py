"""Can calls come in: the port, the public address, the way from there to here."""

import errno
import http.client
import ipaddress
import socket
import ssl
from collections.abc import Callable, Iterator
from urllib.parse import SplitResult, urlsplit

from websockets.exceptions import InvalidHandshake, InvalidStatus
from websockets.sync.client import connect

from gateway.doctor.finding import Finding, fail, ok, warn
from shared.settings import Settings
from shared.urls import websocket_url

_TIME_LIMIT = 3.0  # seconds for each look at the network
_PROBE = "/twilio/media/doctor"
_UNSIGNED = 400  # what callfarm answers to a WebSocket upgrade without a signature
_NO_UPGRADE = frozenset({404, 405, 426})  # what it answers to a plain GET of that path


def check_port(settings: Settings) -> Iterator[Finding]:
    """Look whether the port is free, or taken by a running callfarm."""
    where = f"{settings.host}:{settings.port}"
    try:
        _try_to_listen(settings.host, settings.port)
    except OSError as error:
        yield _port_fault(settings, where, error)
    else:
        yield ok("PORT", f"{where} is free")


def check_public_url(
    settings: Settings, upgrade_status: Callable[[str], int] | None = None
) -> Iterator[Finding]:
    """Look at the form of ``PUBLIC_URL`` and whether a WebSocket upgrade gets through to us.

    ``upgrade_status`` asks a ws(s) address for an upgrade and returns the HTTP status; it raises
    ``OSError`` or ``InvalidHandshake`` when it gets none.
    """
    url = settings.public_url
    if url is None:
        yield ok("PUBLIC_URL", "not set: taken from each signed request")
        return
    parts = urlsplit(url)
    if _is_private(parts):
        yield warn("PUBLIC_URL", f"Twilio cannot reach {url}", "set the address it has outside")
        return
    if parts.scheme != "https":
        fix = f"set PUBLIC_URL=https://{parts.netloc}{parts.path} and end TLS in front or here"
        yield fail("PUBLIC_URL", "Twilio opens media streams over TLS only", fix)
        return
    yield _reach(url, upgrade_status or _upgrade_status)


def _reach(url: str, upgrade_status: Callable[[str], int]) -> Finding:
    try:
        status = upgrade_status(websocket_url(url) + _PROBE)
    except (OSError, InvalidHandshake) as error:
        fix = "check DNS, firewall and proxy; start the server; some networks cannot see themselves"
        return warn("PUBLIC_URL", f"{url} was not reached from here: {error}", fix)
    if status == _UNSIGNED:
        return ok("PUBLIC_URL", f"{url}: WebSocket upgrades reach callfarm")
    if status in _NO_UPGRADE:
        fix = "have the proxy pass the Upgrade header on, and the path as it is"
        return warn("PUBLIC_URL", f"{url}: upgrades are lost on the way ({status})", fix)
    return warn("PUBLIC_URL", f"{url} answers {status}", "start the server; point the proxy at it")


def _upgrade_status(url: str) -> int:
    try:
        with connect(url, open_timeout=_TIME_LIMIT, proxy=None):
            return 101
    except InvalidStatus as error:
        return error.response.status_code


def _is_private(parts: SplitResult) -> bool:
    host = parts.hostname or ""
    if host == "localhost" or host.endswith((".localhost", ".local", ".internal")):
        return True
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return False


def _try_to_listen(host: str, port: int) -> None:
    family, kind, protocol, _, address = socket.getaddrinfo(
        host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    with socket.socket(family, kind, protocol) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        sock.listen(1)


def _port_fault(settings: Settings, where: str, error: OSError) -> Finding:
    if error.errno == errno.EADDRINUSE:
        if _answers_health(settings):
            return ok("PORT", f"{where} is taken by a server that answers /health: callfarm runs")
        return fail("PORT", f"{where} is taken by another program", "stop it, or set another PORT")
    if error.errno == errno.EACCES:
        fix = "set PORT=8000 behind a proxy, or give the unit CAP_NET_BIND_SERVICE"
        return fail("PORT", f"{where} is for privileged users", fix)
    return fail("PORT", f"{where}: {error.strerror}", "set HOST to an address of this machine")


def _answers_health(settings: Settings) -> bool:
    host = "127.0.0.1" if settings.host in ("", "0.0.0.0", "::") else settings.host
    connection: http.client.HTTPConnection
    if settings.tls_cert_file:
        unverified = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # for a name, not for this address
        unverified.check_hostname = False
        unverified.verify_mode = ssl.CERT_NONE
        connection = http.client.HTTPSConnection(
            host, settings.port, timeout=_TIME_LIMIT, context=unverified
        )
    else:
        connection = http.client.HTTPConnection(host, settings.port, timeout=_TIME_LIMIT)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
