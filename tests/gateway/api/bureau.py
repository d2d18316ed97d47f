"""The API over a real store and real calls, with a fake farm, asked as the network asks."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import httpx2
from starlette.applications import Starlette

from gateway.api import Api, Parts
from gateway.api.caller import Scope
from gateway.calls.registry import Calls
from gateway.farm.farm import Farm
from gateway.operator_socket import OperatorApp
from gateway.outbox.webhook_check import WebhookCheck
from gateway.store.companies import Companies
from gateway.store.engine import open_store
from gateway.store.recorder import StoreRecords
from gateway.store.secrets import Secrets
from gateway.store.store import Store
from tests.gateway.calls.actors import RULES, FakeFarm
from tests.gateway.store.conftest import QUICK

TOKEN = "the-operator's-token"
DESTINATIONS = {"default": "+15005550009", "kitchen": "+15005550002"}


@dataclass
class Bureau:
    """An API and who may ask it."""

    store: Store
    calls: Calls
    farm: FakeFarm
    api: Api
    app: Starlette
    client: httpx2.AsyncClient
    operator: httpx2.AsyncClient

    async def ask(
        self, verb: str, path: str, token: str = TOKEN, body: object = None
    ) -> httpx2.Response:
        """Send a request with a token."""
        headers = {"Authorization": f"Bearer {token}"}
        return await self.client.request(verb, path, headers=headers, json=body)

    async def told(self, verb: str, path: str, token: str = TOKEN, body: object = None) -> Any:
        """Send a request; return what a successful answer says."""
        answer = await self.ask(verb, path, token, body)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    async def token(self, *scopes: str, company: int | None = None) -> str:
        """Make a token, also of a company that there is not."""
        if company is not None:
            assert self.api.tokens is not None
            return (await self.api.tokens.create("a name", map(Scope, scopes), company))[1]
        body = {"name": "a name", "scopes": list(scopes)}
        return str((await self.told("POST", "/api/tokens", body=body))["token"])


@asynccontextmanager
async def bureau(
    folder: Path, webhooks: WebhookCheck | None = None, *, database: str | None = None
) -> AsyncIterator[Bureau]:
    """Open an API over an empty store, on SQLite unless a ``database`` is named."""
    store = await open_store(database, folder, limits=QUICK)
    farm = FakeFarm()
    farm_ = cast("Farm", farm)
    calls = Calls(farm_, RULES, 100, records=StoreRecords(store))
    companies = Companies(store, Secrets(["a key"]))
    api = Api(calls, farm_, TOKEN, DESTINATIONS, Parts(store, companies, webhooks=webhooks))
    app = Starlette(routes=api.routes())
    async with _client(app) as client, _client(OperatorApp(app)) as operator:
        yield Bureau(store, calls, farm, api, app, client, operator)
    farm.close()
    await store.aclose()


def _client(app: Any) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://callfarm")
