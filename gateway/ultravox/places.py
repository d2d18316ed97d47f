"""Who may ask at once, so that a server that is slow holds up nobody but those who ask it.

    a company's server ──2 for each host──> 6 for all such ──┐
    the operator's, or Ultravox' own ────────────────────────┴──8 in all──> asks

Places of the narrowest kind are taken first: who waits for a slow host holds no other's place. It
refuses to know what is asked.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from urllib.parse import urlsplit

from gateway.ultravox.rest import Access

MOST_AT_ONCE = 8
"""Who reads at once."""

MOST_OF_STRANGERS = 6
"""Of those, at addresses that companies have named."""

MOST_OF_HOST = 2
"""Of those, at one host."""


class Places:
    """The places of one gateway."""

    def __init__(self) -> None:
        self._all = asyncio.Semaphore(MOST_AT_ONCE)
        self._strangers = asyncio.Semaphore(MOST_OF_STRANGERS)
        self._hosts: dict[str, tuple[asyncio.Semaphore, int]] = {}
        """Places of a host, and how many want one; only of hosts that somebody wants one of."""

    def __len__(self) -> int:
        return len(self._hosts)

    @asynccontextmanager
    async def of(self, access: Access) -> AsyncIterator[None]:
        """Wait for a place to ask ``access``, and hold it."""
        async with AsyncExitStack() as held:
            if not access.trusted:
                await held.enter_async_context(self._of_host(_host(access.url)))
                await held.enter_async_context(self._strangers)
            await held.enter_async_context(self._all)
            yield

    @asynccontextmanager
    async def _of_host(self, host: str) -> AsyncIterator[None]:
        places, wanted = self._hosts.get(host, (asyncio.Semaphore(MOST_OF_HOST), 0))
        self._hosts[host] = places, wanted + 1
        try:
            async with places:
                yield
        finally:
            wanted = self._hosts[host][1] - 1
            if wanted:
                self._hosts[host] = places, wanted
            else:
                del self._hosts[host]


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
