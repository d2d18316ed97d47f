"""The HTTP API under ``/api``: its sections put together, behind one door.

Over the network a request carries a token; over the control socket, which only the operator's user
can open, it does not. What a part of the gateway is needed for that is not there is answered 503.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import msgspec
from starlette.responses import Response
from starlette.routing import Route

from gateway.api.bulk_calls import BulkCalls
from gateway.api.call_finding import CallFinder
from gateway.api.caller import Scope
from gateway.api.calls import CallsSection
from gateway.api.campaigns import CampaignsSection
from gateway.api.companies import CompaniesSection
from gateway.api.description import description
from gateway.api.do_not_call import DoNotCallSection
from gateway.api.door import Door
from gateway.api.endpoint import Asked, Endpoint, NoQuery, Section
from gateway.api.orders import OrdersSection
from gateway.api.releases import ReleasesSection
from gateway.api.replaced import ReplacedSection
from gateway.api.table import Nowhere, routes
from gateway.api.token_admin import TokensSection
from gateway.api.tokens import ApiTokens
from gateway.api.ultravox_calls import UltravoxCallsSection
from gateway.calls.registry import Calls
from gateway.campaigns.service import Campaigns
from gateway.dialer.dialer import Dialer
from gateway.farm.farm import Farm
from gateway.outbox.webhook_check import WebhookCheck
from gateway.store.companies import Companies
from gateway.store.store import Store


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of the gateway that the API shows, as far as they are there."""

    store: Store | None = None
    companies: Companies | None = None
    campaigns: Campaigns | None = None
    dialer: Dialer | None = None
    webhooks: WebhookCheck | None = None
    sections: tuple[Section, ...] = ()
    """Further sections, of parts that bring their own."""


class Api:
    """The routes under ``/api``."""

    def __init__(
        self,
        calls: Calls,
        farm: Farm,
        token: str,
        destinations: dict[str, str],
        parts: Parts | None = None,
        server: str = "/",
    ) -> None:
        parts = parts or Parts()
        self.tokens = ApiTokens(parts.store) if parts.store is not None else None
        self._door = Door(token, self.tokens)
        self._server = server
        finder, agents = CallFinder(calls, parts.store), partial(_agents_of, farm)
        self._sections: tuple[Section, ...] = (
            CallsSection(calls, finder),
            OrdersSection(finder, destinations, parts.dialer),
            ReleasesSection(farm),
            CampaignsSection(parts.campaigns, parts.dialer),
            CompaniesSection(parts.companies, self.tokens, parts.webhooks, agents),
            DoNotCallSection(parts.store),
            TokensSection(self.tokens, parts.companies),
            ReplacedSection(calls, finder, destinations),
            *_of_ultravox_calls(parts),
            *parts.sections,
            self,
        )
        self._described = b""

    tag = "description"

    def endpoints(self) -> list[Endpoint]:
        """Return its own row of the table."""
        return [
            Endpoint(
                method="GET",
                path="/api/openapi.json",
                scope=None,
                handler=self._describe,
                summary="This description, in OpenAPI 3.1.",
                answer=dict,
            )
        ]

    def table(self) -> list[tuple[str, Endpoint]]:
        """Return all rows, with the tags of their sections."""
        return [(section.tag, it) for section in self._sections for it in section.endpoints()]

    def routes(self) -> list[Route]:
        """Return the routes for the application; behind them all, what is nowhere."""
        return [
            *routes(self._door, (it for _, it in self.table())),
            Route("/api/{rest:path}", Nowhere()),
        ]

    async def may_call(self, token: str) -> bool:
        """Tell whether a token may place calls of anybody's."""
        who = await self._door.known(token)
        return who is not None and who.may(Scope.CALLS) and who.company is None

    async def _describe(self, asked: Asked[NoQuery, None]) -> Response:
        if not self._described:
            self._described = msgspec.json.encode(description(self.table(), self._server))
        return Response(self._described, media_type="application/json")


def _agents_of(farm: Farm) -> Sequence[str]:
    """Return the agents of the live release."""
    return next((it.agents for it in farm.views() if it.current), ())


def _of_ultravox_calls(parts: Parts) -> tuple[Section, ...]:
    if parts.store is None or parts.companies is None or parts.dialer is None:
        return ()
    bulk = BulkCalls(parts.store, parts.campaigns) if parts.campaigns is not None else None
    return (UltravoxCallsSection(parts.dialer, parts.companies, bulk),)
