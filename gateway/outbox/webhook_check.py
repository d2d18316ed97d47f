"""What a company's settings say of webhooks, checked as they are saved.

A URL that would be refused whenever it is asked is refused at once, to whoever can mend it. That is
a courtesy: what counts is the check of the very address that is connected to (`dialling`), since a
name may lead elsewhere the next time.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from gateway.outbox.address import AddressRefusedError, check_address, check_form, target_of
from gateway.outbox.audience import MOST_URLS, listed
from gateway.outbox.dialling import resolve
from gateway.outbox.event import Shape
from gateway.outbox.lookups import Resolve
from gateway.store.company import CompanyError
from shared.event_names import EventNameError, event_names
from shared.settings.types import Network

RESOLVE_SECONDS = 2.0
"""What a name may take to be looked up; one that takes longer is taken as it is."""


class WebhookCheck:
    """Knows which addresses a company may name. ``allowed`` are networks of the operator's."""

    def __init__(self, allowed: Sequence[Network] = (), resolve: Resolve = resolve) -> None:
        self._allowed, self._resolve = allowed, resolve

    async def check(self, settings: Mapping[str, Any]) -> None:
        """Raise `CompanyError` for webhooks that would never be asked, or never be told."""
        urls = {name: _urls(settings, name) for name in ("events_url", "first_message_url")}
        most = {"events_url": MOST_URLS, "first_message_url": 1}
        for name, found in urls.items():
            if len(found) > most[name]:
                raise CompanyError(f"settings.{name} holds at most {most[name]}")
        try:
            event_names(listed(settings.get("events")))
        except EventNameError as error:
            raise CompanyError(f"settings.events: {error}") from None
        shape = settings.get("events_format", Shape.CALLFARM)
        if shape not in set(Shape):
            raise CompanyError(f"settings.events_format is {' or '.join(Shape)}")
        every = [(name, url) for name, found in urls.items() for url in found]
        await asyncio.gather(*(self._check(name, url) for name, url in every))

    async def _check(self, name: str, url: str) -> None:
        try:
            target = target_of(url)
            check_form(target, self._allowed)
            for address in await self._addresses(target.host, target.port):
                check_address(target, address, self._allowed)
        except AddressRefusedError as error:
            raise CompanyError(f"settings.{name}: {error}") from None

    async def _addresses(self, host: str, port: int) -> Sequence[str]:
        try:
            async with asyncio.timeout(RESOLVE_SECONDS):
                return await self._resolve(host, port)
        except (OSError, TimeoutError):
            return ()


def _urls(settings: Mapping[str, Any], name: str) -> tuple[str, ...]:
    given = settings.get(name)
    if given is not None and not isinstance(given, str | list):
        raise CompanyError(f"settings.{name} is a URL")
    return listed(given)
