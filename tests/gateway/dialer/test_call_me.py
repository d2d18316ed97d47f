"""The page ``/twilio/call-me``: who opens it, what it says, and how often it calls."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

import httpx2
import pytest
from starlette.applications import Starlette

from gateway.dialer.call_me import AGAIN_SECONDS, MOST_OF_NUMBER, WINDOW_SECONDS, CallMe
from tests.gateway.dialer.exchange import TO, World, world

TOKEN = "call-me-token"
HTML = {"Accept": "text/html,*/*"}


@dataclass
class Door:
    """The page in a world; ``now`` is its clock."""

    it: World
    client: httpx2.AsyncClient
    now: float = 1000.0


async def _may_call(token: str) -> bool:
    return token == "api-token"


@asynccontextmanager
async def door(folder: Path, *, is_set_up: bool = True) -> AsyncIterator[Door]:
    async with world(folder) as it:
        made: list[Door] = []
        call_me = CallMe(
            it.dialer,
            TOKEN,
            _may_call,
            is_set_up=is_set_up,
            prefix="/ai",
            clock=lambda: made[0].now if made else 0.0,
        )
        app = Starlette(routes=call_me.routes())
        transport = httpx2.ASGITransport(app=app, client=("192.0.2.1", 4711))
        async with httpx2.AsyncClient(transport=transport, base_url="http://x") as client:
            made.append(Door(it, client))
            yield made[0]


async def test_the_form_is_a_page_that_needs_nothing_else(tmp_path: Path) -> None:
    class Reads(HTMLParser):
        def __init__(self) -> None:
            super().__init__()
            self.tags: dict[str, list[dict[str, str | None]]] = {}

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            self.tags.setdefault(tag, []).append(dict(attrs))

    async with door(tmp_path) as page:
        answer = await page.client.get("/twilio/call-me")
        assert answer.status_code == 200
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        seen = Reads()
        seen.feed(answer.text)
        assert not {"script", "link", "img", "iframe"} & seen.tags.keys()
        assert seen.tags["html"] == [{"lang": "en"}]
        assert seen.tags["form"] == [{"method": "post", "action": "/ai/twilio/call-me"}]
        labelled = {it["for"] for it in seen.tags["label"]}
        assert labelled == {it["id"] for it in seen.tags["input"]}
        assert not page.it.twilio.requests


async def test_the_form_calls_and_says_so(tmp_path: Path) -> None:
    async with door(tmp_path) as page:
        form = {"to": "030 12345678", "token": TOKEN}
        answer = await page.client.post("/twilio/call-me", data=form, headers=HTML)
        assert answer.status_code == 200
        assert '<p role="status">Calling you now. Answer the phone!</p>' in answer.text
        assert [it.to for it in page.it.twilio.account.calls.values()] == [TO]


@pytest.mark.parametrize(
    "query", ["?to=+493012345678", "?to=%2B493012345678", "?to=%20%2B493012345678"]
)
async def test_a_link_calls_whatever_became_of_its_plus(tmp_path: Path, query: str) -> None:
    async with door(tmp_path) as page:
        answer = await page.client.get(f"/twilio/call-me{query}&token={TOKEN}")
        (call,) = page.it.twilio.account.calls.values()
        assert call.to == TO
        assert answer.json() == {
            "ok": True,
            "message": "Calling you now. Answer the phone!",
            "callSid": call.sid,
        }


async def test_who_asks_for_a_links_head_alone_calls_nobody(tmp_path: Path) -> None:
    async with door(tmp_path) as page:
        link = f"/twilio/call-me?to=%2B493012345678&token={TOKEN}"
        assert (await page.client.head(link)).status_code == 200
        assert not page.it.twilio.requests


async def test_a_token_of_the_api_opens_it_and_no_other(tmp_path: Path) -> None:
    async with door(tmp_path) as page:
        url = "/twilio/call-me?to=%2B493012345678"
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic x"}):
            answer = await page.client.get(url, headers=headers)
            assert (answer.status_code, answer.json()["ok"]) == (401, False)
        assert not page.it.twilio.requests
        answer = await page.client.get(url, headers={"Authorization": "Bearer api-token"})
        assert answer.status_code == 200


async def test_a_number_rings_once_a_minute_however_often_that_is_asked(tmp_path: Path) -> None:
    async with door(tmp_path) as page:
        url = f"/twilio/call-me?to=%2B493012345678&token={TOKEN}"
        first = (await page.client.get(url)).json()
        assert (await page.client.get(url)).json() == first
        assert len(page.it.twilio.placed()) == 1
        page.now += AGAIN_SECONDS + 1
        second = (await page.client.get(url)).json()
        assert second["callSid"] != first["callSid"]
        for _ in range(MOST_OF_NUMBER):
            page.now += AGAIN_SECONDS + 1
            last = await page.client.get(url)
        assert last.status_code == 429
        page.now += WINDOW_SECONDS
        assert (await page.client.get(url)).status_code == 200


async def test_a_number_is_the_same_number_however_it_is_written(tmp_path: Path) -> None:
    async with door(tmp_path) as page:
        for to in ("%2B493012345678", "030 12345678", "0049 30 12345678", "+49 (30) 123 456 78"):
            answer = await page.client.get(f"/twilio/call-me?to={to}&token={TOKEN}")
            assert answer.status_code == 200
        assert len(page.it.twilio.placed()) == 1


async def test_an_address_has_so_many_calls(tmp_path: Path) -> None:
    async with door(tmp_path) as page:
        statuses = [
            (
                await page.client.get(
                    f"/twilio/call-me?to=%2B49301234{n:04}&token={TOKEN}",
                )
            ).status_code
            for n in range(12)
        ]
        assert statuses == [200] * 10 + [429] * 2


async def test_what_cannot_be_called_is_told_on_the_page_and_in_json(tmp_path: Path) -> None:
    async with door(tmp_path) as page:
        form = {"to": "<script>", "token": TOKEN}
        answer = await page.client.post("/twilio/call-me", data=form, headers=HTML)
        assert answer.status_code == 422
        assert '<p role="alert">' in answer.text
        assert "<script>" not in answer.text
        page.it.twilio.fail(400, 21219)
        answer = await page.client.get(f"/twilio/call-me?to=%2B493012345678&token={TOKEN}")
        assert answer.status_code == 500
        assert answer.json()["ok"] is False
        assert "trial" in answer.json()["error"]


async def test_a_refused_call_can_be_asked_for_again_at_once(tmp_path: Path) -> None:
    async with door(tmp_path) as page:
        url = f"/twilio/call-me?to=%2B493012345678&token={TOKEN}"
        page.it.twilio.fail(400, 21215)
        assert (await page.client.get(url)).status_code == 500
        assert (await page.client.get(url)).status_code == 200


async def test_an_unconfigured_gateway_says_what_to_set(tmp_path: Path) -> None:
    async with door(tmp_path, is_set_up=False) as page:
        answer = await page.client.get(f"/twilio/call-me?to=%2B493012345678&token={TOKEN}")
        assert answer.status_code == 500
        assert answer.json() == {
            "error": "Call-me not configured",
            "message": "Set TWILIO_ACCOUNT_SID, TWILIO_AUTH_TOKEN, TWILIO_PHONE_NUMBER in .env",
        }


async def test_a_form_that_is_too_large_is_refused(tmp_path: Path) -> None:
    async with door(tmp_path) as page:
        form = {"to": "1" * 5000, "token": TOKEN}
        assert (await page.client.post("/twilio/call-me", data=form)).status_code == 413
