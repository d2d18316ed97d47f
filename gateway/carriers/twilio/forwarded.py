"""Proxies whose word is taken for the scheme and host that the client used.

It refuses to know what is done with them: until a signature verified, nothing is.
"""

import ipaddress
from collections.abc import Iterable, Mapping

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_SCHEMES = {"https": True, "wss": True, "http": False, "ws": False}


class TrustedProxies:
    """Addresses and networks from ``TRUSTED_PROXIES``; ``*`` trusts every peer.

    Raises ``ValueError`` naming the entry that is neither an address, a network nor ``*``.
    """

    def __init__(self, entries: Iterable[str | Network]) -> None:
        texts = tuple(str(entry).strip() for entry in entries)
        self._everyone = "*" in texts
        self._networks = tuple(_network(text) for text in texts if text != "*")

    def trusts(self, peer: str | None) -> bool:
        """Tell whether the peer's forwarding headers count; a Unix socket's peer is ``None``."""
        if self._everyone:
            return True
        try:
            address = ipaddress.ip_address(peer or "")
        except ValueError:
            return False
        if isinstance(address, ipaddress.IPv6Address):
            address = address.ipv4_mapped or address
        return any(address in network for network in self._networks)


def forwarded_scheme(headers: Mapping[str, str]) -> bool | None:
    """Tell whether X-Forwarded-Proto says TLS; ``None`` when it says nothing known."""
    return _SCHEMES.get(_first(headers, "x-forwarded-proto").lower())


def forwarded_host(headers: Mapping[str, str]) -> str | None:
    """Return the first value of X-Forwarded-Host, the one that the outermost proxy saw."""
    return _first(headers, "x-forwarded-host") or None


def _first(headers: Mapping[str, str], name: str) -> str:
    return headers.get(name, "").partition(",")[0].strip()


def _network(entry: str) -> Network:
    try:
        return ipaddress.ip_network(entry, strict=False)
    except ValueError as error:
        raise ValueError(
            f"TRUSTED_PROXIES: {entry!r} is no address or network; write 10.0.0.1, 10.0.0.0/8 or *"
        ) from error
