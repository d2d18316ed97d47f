"""Connections to webhooks' addresses: a company's name is looked up, checked, and that dialled.

The check is made on the very address that is connected to, at the moment of connecting, so that a
name which answers differently the second time (DNS rebinding) gains nothing. Certificate, SNI and
``Host`` stay those of the name. No proxy of the environment is used: it would look up the name
itself.
"""

import asyncio
import socket
import ssl
from collections.abc import Iterable, Sequence
from typing import Any

import httpcore2

from gateway.outbox.address import AddressRefusedError, Target, check_address, check_form
from gateway.outbox.lookups import Lookups, Resolve
from shared.settings.types import Network

CONNECT_SECONDS = 5.0

MOST_ADDRESSES = 4
"""Addresses of one name that are dialled, one after the other."""

_IDLE_SECONDS = 20.0
_MOST_CONNECTIONS = 40


async def resolve(host: str, port: int) -> Sequence[str]:
    """Return a host's addresses, off the event loop. Raises ``OSError``."""
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError:
        raise OSError("the host's name cannot be looked up") from None
    return list(dict.fromkeys(str(each[4][0]) for each in found))


class CheckedBackend(httpcore2.AsyncNetworkBackend):
    """Dials for companies. Raises `AddressRefusedError` for what they may not reach."""

    def __init__(self, scheme: str, allowed: Sequence[Network], resolve: Resolve) -> None:
        self._scheme, self._allowed, self._resolve = scheme, allowed, resolve
        self._inner = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Connect to the first address that answers; all of them must be allowed."""
        target = Target(self._scheme, host, port, b"")
        try:
            async with asyncio.timeout(timeout):
                addresses = await self._resolve(host, port)
        except TimeoutError:
            raise httpcore2.ConnectTimeout("the host's name is not looked up in time") from None
        except OSError:
            raise httpcore2.ConnectError("the host's name cannot be looked up") from None
        for address in addresses:
            check_address(target, address, self._allowed)
        failed: Exception = httpcore2.ConnectError("the host has no address")
        for address in addresses[:MOST_ADDRESSES]:
            try:
                return await self._inner.connect_tcp(
                    address, port, timeout, local_address, socket_options
                )
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failed = error
        raise failed

    async def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[Any] | None = None
    ) -> httpcore2.AsyncNetworkStream:
        """There are none: raises `AddressRefusedError`."""
        raise AddressRefusedError("a webhook is no Unix socket")

    async def sleep(self, seconds: float) -> None:
        """Sleep."""
        await asyncio.sleep(seconds)


class Lines:
    """Connections for the operator's addresses and, apart from those, for companies'.

    A company's request never goes over a connection that was opened unchecked.
    """

    def __init__(
        self,
        context: ssl.SSLContext,
        allowed: Sequence[Network] = (),
        resolve: Resolve = resolve,
    ) -> None:
        self._allowed = allowed
        self._own = _pool(context, None)
        self._lookups = Lookups(resolve)
        self._companies = {
            scheme: _pool(context, CheckedBackend(scheme, allowed, self._lookups))
            for scheme in ("http", "https")
        }

    def pool(self, target: Target, trusted: bool) -> httpcore2.AsyncConnectionPool:
        """Return what a request goes by. Raises `AddressRefusedError`."""
        if trusted:
            return self._own
        check_form(target, self._allowed)
        return self._companies[target.scheme]

    async def aclose(self) -> None:
        """Close all connections."""
        await self._own.aclose()
        for pool in self._companies.values():
            await pool.aclose()
        await self._lookups.aclose()


def _pool(
    context: ssl.SSLContext, backend: httpcore2.AsyncNetworkBackend | None
) -> httpcore2.AsyncConnectionPool:
    return httpcore2.AsyncConnectionPool(
        ssl_context=context,
        max_connections=_MOST_CONNECTIONS,
        max_keepalive_connections=_MOST_CONNECTIONS,
        keepalive_expiry=_IDLE_SECONDS,
        network_backend=backend,
    )
