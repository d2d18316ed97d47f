"""Who is told of which events: the operator's addresses, and those of companies for their calls.

Companies' are read from the database now and then and kept in memory, because an event is posted in
the middle of a call. A company's are in its ``settings``, and its keys in its secret ``events``:

    {"events_url": "https://…, https://…", "events": "call.ended, booking", "events_format": …,
     "first_message_url": "https://…"}
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import structlog

from gateway.outbox.event import Endpoint, Shape
from gateway.store.companies import Companies, NoCompanyError
from gateway.store.company import Company
from gateway.store.secrets import SecretError

log = structlog.get_logger(__name__)

SECRET = "events"  # noqa: S105
"""The name of a company's secret that signs its events: several between commas."""

MOST_URLS = 5
"""Addresses of one company."""

_PAGE = 500


class Audience(Protocol):
    """Those who want to know. ``known`` is set once it was found out which companies do."""

    known: asyncio.Event

    def of(self, company: int | None) -> Sequence[Endpoint]:
        """Return who wants to know of a company's calls, or of those that are nobody's."""

    def secrets(self, owner: int | None) -> Sequence[str] | None:
        """Return what signs requests to ``owner``'s addresses; ``None`` if there is no such."""

    async def load(self) -> None:
        """Find out who they are. Raises ``StoreError``."""


@dataclass(frozen=True, slots=True)
class Listening:
    """What a company wants to be told and asked. ``first_message_url`` is a stranger's."""

    id: int
    endpoints: tuple[Endpoint, ...] = ()
    first_message_url: str | None = field(default=None, repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)


class Subscribers:
    """Everybody who wants to know. ``own`` are the operator's, told of every call."""

    def __init__(
        self,
        own: Sequence[Endpoint],
        companies: Companies | None = None,
        *,
        own_secrets: Sequence[str] = (),
    ) -> None:
        self._own, self._own_secrets, self._companies = tuple(own), tuple(own_secrets), companies
        self._listening: Mapping[int, Listening] = {}
        self.known = asyncio.Event()
        if companies is None:
            self.known.set()

    def of(self, company: int | None) -> Sequence[Endpoint]:
        """Return who wants to know of a company's calls, or of those that are nobody's."""
        theirs = self._listening.get(company) if company is not None else None
        return self._own if theirs is None else self._own + theirs.endpoints

    def secrets(self, owner: int | None) -> Sequence[str] | None:
        """Return what signs requests to ``owner``'s addresses; ``None`` if there is no such."""
        if owner is None:
            return self._own_secrets
        theirs = self._listening.get(owner)
        return None if theirs is None else theirs.secrets

    def first_message_url(self, company: int | None) -> str | None:
        """Return what a company has asked for first messages."""
        theirs = self._listening.get(company) if company is not None else None
        return None if theirs is None else theirs.first_message_url

    # From the database -------------------------------------------------------------------------

    async def load(self) -> None:
        """Read all companies. Raises ``StoreError``."""
        if self._companies is None:
            return
        listening: dict[int, Listening] = {}
        page = await self._companies.list(limit=_PAGE)
        while page:
            for company in page:
                listening[company.id] = await self._read(company)
            page = await self._companies.list(page[-1].id, _PAGE)
        self._listening = listening
        self.known.set()

    async def _read(self, company: Company) -> Listening:
        assert self._companies is not None
        keys, said = "", listening_of(company.id, company.settings, ())
        if said.endpoints or said.first_message_url:
            # Not by the names of its secrets: of those that cannot be read there are none.
            try:
                keys = await self._companies.secret(company.id, SECRET) or ""
            except (NoCompanyError, SecretError) as error:
                log.error("a company's events are not signed", company=company.id, why=str(error))  # noqa: TRY400
        return listening_of(company.id, company.settings, listed(keys))


def listening_of(company: int, settings: Mapping[str, Any], secrets: tuple[str, ...]) -> Listening:
    """Return what a company's ``settings`` say. What is nonsense there counts as not said."""
    shape = settings.get("events_format")
    endpoints = tuple(
        Endpoint(
            url,
            company,
            secrets,
            frozenset(listed(settings.get("events"))),
            Shape(shape) if shape in set(Shape) else Shape.CALLFARM,
        )
        for url in listed(settings.get("events_url"))[:MOST_URLS]
    )
    urls = listed(settings.get("first_message_url"))
    return Listening(company, endpoints, urls[0] if urls else None, secrets)


def listed(value: Any) -> tuple[str, ...]:
    """Return the parts of a text between commas, or a list of texts."""
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, list | tuple):
        return ()
    return tuple(part.strip() for part in parts if isinstance(part, str) and part.strip())
