"""Which addresses a company's URL may lead to, and how a URL is read. No I/O.

A company's URL is a stranger's: sent there, the gateway must not become a way into the machine,
its network or the cloud's own services. So: https, few ports, and only addresses that are public
all over the world, whatever form they are written in. The operator's own URLs are believed.

`Target` is read once, and only its parts are used from then on: two readers of one URL that
disagree about its host are an old trick.
"""

import ipaddress
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from urllib.parse import unquote_to_bytes

import httpx2

from shared.settings.types import Network

IPAddress = IPv4Address | IPv6Address

MOST_URL = 2000
"""Characters of a URL."""

PORTS = frozenset({443, 8443})
"""Where a company's URL may lead on a public address."""

_PLAIN_PORTS = frozenset({80, 443})
_FIRST_FREE_PORT = 1024
_MOST_HOST = 253

_CLOUDS_OWN = ipaddress.ip_address("168.63.129.16")
"""Azure's wire server: public by its number alone (learn.microsoft.com, "What is IP address
168.63.129.16")."""

_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_UNICAST = ipaddress.ip_network("2000::/3")
_NEVER = tuple(
    ipaddress.ip_network(text)
    for text in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16"),
        *("172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16"),
        *("198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
        *("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"),
    )
)
"""IANA's special-purpose registries (RFC 6890), whatever a version of Python holds for global. Of
IPv6 only global unicast is left, without Teredo, 6to4 and what is for documentation."""


class AddressRefusedError(Exception):
    """A URL may not be asked. ``sentence`` says why, and nothing of what is in our network."""

    def __init__(self, sentence: str) -> None:
        self.sentence = sentence
        super().__init__(sentence)

    def __str__(self) -> str:
        return self.sentence


@dataclass(frozen=True, slots=True)
class Target:
    """Where a request goes: the URL's parts, ready for the wire. ``target`` may hold a secret."""

    scheme: str
    host: str
    port: int
    target: bytes = field(repr=False)
    authorization: str = field(default="", repr=False)

    @property
    def authority(self) -> str:
        """The value of ``Host``."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        usual = {"http": 80, "https": 443}[self.scheme]
        return host if self.port == usual else f"{host}:{self.port}"


def target_of(url: str) -> Target:
    """Read a URL. Raises `AddressRefusedError` for what is none that can be asked."""
    if len(url) > MOST_URL:
        raise AddressRefusedError(f"the URL is over {MOST_URL} characters")
    try:
        read = httpx2.URL(url.strip())
        host = read.raw_host.decode("ascii").rstrip(".")
        port = read.port
        userinfo = read.userinfo
    except (httpx2.InvalidURL, UnicodeError, ValueError, TypeError):
        raise AddressRefusedError("the URL cannot be read") from None
    if read.scheme not in {"http", "https"}:
        raise AddressRefusedError("the URL begins with https://")
    if not host or len(host) > _MOST_HOST or set(host) & set("%@/\\ "):
        raise AddressRefusedError("the URL names no host that can be looked up")
    if port is None:
        port = 443 if read.scheme == "https" else 80
    if not 0 < port < 65536:
        raise AddressRefusedError("the URL's port is 1 to 65535")
    authorization = ""
    if userinfo:
        authorization = "Basic " + b64encode(unquote_to_bytes(userinfo)).decode()
    return Target(read.scheme, host, port, read.raw_path, authorization)


def check_form(target: Target, allowed: Sequence[Network] = ()) -> None:
    """Raise `AddressRefusedError` for a company's URL that is refused whatever it resolves to."""
    if allowed:
        if target.port in _PLAIN_PORTS or target.port >= _FIRST_FREE_PORT:
            return
        raise AddressRefusedError(f"port {target.port} is not for webhooks")
    if target.scheme != "https":
        raise AddressRefusedError("the URL begins with https://")
    if target.port not in PORTS:
        ports = ", ".join(str(port) for port in sorted(PORTS))
        raise AddressRefusedError(f"port {target.port} is not for webhooks; there are: {ports}")


def check_address(target: Target, address: str, allowed: Sequence[Network] = ()) -> None:
    """Raise `AddressRefusedError` unless ``address``, of which this is a company's, may be dialled.

    ``allowed`` are networks of the operator's that companies may reach.
    """
    try:
        there: IPAddress = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        raise AddressRefusedError("the host's address cannot be read") from None
    there = _meant(there)
    if any(_within(there, network) for network in allowed):
        return
    if not _is_public(there):
        raise AddressRefusedError("the host's address is not a public one (EVENTS_ALLOW_PRIVATE)")
    check_form(target)


def _meant(address: IPAddress) -> IPAddress:
    """Return the address that is reached: behind some of IPv6 there is one of IPv4."""
    if isinstance(address, IPv4Address):
        return address
    if address.ipv4_mapped is not None:  # ::ffff:a.b.c.d is a.b.c.d for the kernel
        return address.ipv4_mapped
    return IPv4Address(int(address) & 0xFFFFFFFF) if address in _NAT64 else address


def _within(address: IPAddress, network: Network) -> bool:
    return address.version == network.version and address in network


def _is_public(address: IPAddress) -> bool:
    if any(_within(address, network) for network in _NEVER) or address == _CLOUDS_OWN:
        return False
    if isinstance(address, IPv6Address) and address not in _UNICAST:
        return False
    return address.is_global and not address.is_multicast
