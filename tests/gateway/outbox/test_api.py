"""The outbox over the API, with companies' tokens as well."""

import time
from dataclasses import dataclass, replace
from typing import Any, cast

import httpx2
import pytest
from starlette.applications import Starlette

from gateway.api import Api, Parts
from gateway.calls.registry import Calls
from gateway.farm.farm import Farm
from gateway.outbox.api import WebhooksSection
from gateway.outbox.deliveries import WAITING, Deliveries, Delivery
from gateway.outbox.event import Endpoint, Shape
from gateway.outbox.outbox import Outbox
from gateway.store.store import Store
from tests.fakes.n8n import N8nFake
from tests.gateway.calls.actors import RULES, FakeFarm
from tests.gateway.outbox.post_office import booking, outbox
from tests.harness import eventually

TOKEN = "the-operator's-token"


@dataclass
class Desk:
    """An API and a client of it."""

    client: httpx2.AsyncClient

    async def ask(
        self, verb: str, path: str, body: object = None, token: str = TOKEN
    ) -> httpx2.Response:
        headers = {"Authorization": f"Bearer {token}"}
        return await self.client.request(verb, path, headers=headers, json=body)

    async def told(self, path: str, token: str = TOKEN) -> Any:
        answer = await self.ask("GET", path, token=token)
        assert answer.is_success, answer.text
        return answer.json()


def desk(store: Store, box: Outbox) -> Desk:
    farm = cast("Farm", FakeFarm())
    api = Api(
        Calls(farm, RULES, 10), farm, TOKEN, {}, Parts(store, sections=(WebhooksSection(box),))
    )
    transport = httpx2.ASGITransport(Starlette(routes=api.routes()))
    return Desk(httpx2.AsyncClient(transport=transport, base_url="http://callfarm"))


async def test_what_was_told_is_shown_and_told_again(store: Store) -> None:
    async with N8nFake() as n8n, outbox(store, Endpoint(f"{n8n.url}/webhook/calls", None)) as box:
        it = desk(store, box)
        box.post(booking(7))
        await eventually(lambda: box.statistics.delivered == 1)
        await store.flush()
        (shown,) = (await it.told("/api/webhooks"))["webhooks"]
        assert (shown["event"], shown["state"], shown["tries"]) == ("booking", "delivered", 1)
        whole = await it.told(f"/api/webhooks/{shown['id']}")
        assert whole["body"]["data"] == {"number": 7}
        assert whole["log"][0]["status"] == 200
        assert (await it.told("/api/webhooks/statistics"))["delivered"] == 1
        assert (await it.told("/api/webhooks?state=failed"))["webhooks"] == []
        assert (await it.told("/api/webhooks?event=booking&call=CA1"))["webhooks"]
        again = await it.ask("POST", "/api/webhooks/redeliver", {"ids": [shown["id"]]})
        assert (again.status_code, again.json()) == (202, {"addresses": 1})
        await eventually(lambda: len(n8n.taken()) == 2)


@pytest.mark.parametrize(
    ("verb", "path", "body", "status"),
    [
        ("GET", "/api/webhooks/dl_unknown", None, 404),
        ("GET", "/api/webhooks?cursor=nonsense", None, 422),
        ("GET", "/api/webhooks?cursor=nan-x", None, 422),
        ("GET", "/api/webhooks?state=held", None, 400),
        ("POST", "/api/webhooks/redeliver", {}, 422),
        ("POST", "/api/webhooks/redeliver", {"ids": ["a"], "failed": True}, 422),
        ("POST", "/api/webhooks/redeliver", {"ids": ["a b"]}, 400),
    ],
)
async def test_what_cannot_be_is_refused(
    store: Store, verb: str, path: str, body: object, status: int
) -> None:
    async with outbox(store) as box:
        answer = await desk(store, box).ask(verb, path, body)
        assert answer.status_code == status, answer.text
        assert answer.json()["detail"]


async def test_pages_hold_each_delivery_once_even_of_one_moment(store: Store) -> None:
    kept = Deliveries(store)
    made = time.time()
    for number in range(25):
        kept.add(_delivery(number, made - number // 10), WAITING)
    await store.flush()
    async with outbox(store) as box:
        it = desk(store, box)
        seen: list[str] = []
        path = "/api/webhooks?limit=7"
        while True:
            page = await it.told(path)
            seen += [each["id"] for each in page["webhooks"]]
            if page["next"] is None:
                break
            path = f"/api/webhooks?limit=7&cursor={page['next']}"
        assert len(seen) == len(set(seen)) == 25


async def test_a_companys_token_sees_what_goes_to_that_company(store: Store) -> None:
    kept = Deliveries(store)
    kept.add(replace(_delivery(1, time.time()), owner=7), WAITING)
    kept.add(_delivery(2, time.time()), WAITING)
    await store.flush()
    async with outbox(store) as box:
        it = desk(store, box)
        body = {"name": "theirs", "scopes": ["read"], "company": 7}
        token = (await it.ask("POST", "/api/tokens", body)).json()["token"]
        assert [e["id"] for e in (await it.told("/api/webhooks", token))["webhooks"]] == ["dl_1"]
        assert (await it.ask("GET", "/api/webhooks/dl_2", token=token)).status_code == 404
        assert (await it.ask("GET", "/api/webhooks/dl_1", token=token)).status_code == 200
        again = await it.ask("POST", "/api/webhooks/redeliver", {"failed": True}, token)
        assert again.status_code == 403


async def test_a_password_in_an_address_is_not_shown(store: Store) -> None:
    kept = Deliveries(store)
    secret = replace(_delivery(1, time.time()), url="https://me:hunter2@hooks.example/x")
    kept.add(secret, WAITING)
    await store.flush()
    async with outbox(store) as box:
        it = desk(store, box)
        assert "hunter2" not in str(await it.told("/api/webhooks"))
        assert "hunter2" not in str(await it.told("/api/webhooks/dl_1"))


def _delivery(number: int, created: float) -> Delivery:
    url = "https://hooks.invalid/x"
    return Delivery(f"dl_{number}", "x", url, None, Shape.CALLFARM, b"{}", None, created)
