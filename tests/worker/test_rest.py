"""REST of a provider against a server that answers as it is told to."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web

from worker.errors import ProviderError, ProviderLostError, ProviderRefusedError
from worker.rest import Rest, prepare

KEY = "ACME_API_KEY"
SECRET = "sk-very-secret"


@dataclass(slots=True)
class Server:
    """Answers every request alike; keeps what was asked."""

    url: str = ""
    status: int = 200
    text: str = "{}"
    headers: Mapping[str, str] = field(default_factory=dict)
    delay_s: float = 0.0
    trickles: bool = False
    asked: list[dict[str, Any]] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(
            {
                "verb": request.method,
                "path": request.path_qs,
                "key": request.headers.get("X-Key"),
                "type": request.headers.get("Content-Type"),
                "body": await request.text(),
                "peer": request.transport and request.transport.get_extra_info("peername"),
            }
        )
        await asyncio.sleep(self.delay_s)
        if self.trickles:
            return await self._trickle(request)
        return web.Response(status=self.status, text=self.text, headers=self.headers)

    async def _trickle(self, request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        with contextlib.suppress(ConnectionError):
            for _ in range(20):
                await answer.write(b" ")
                await asyncio.sleep(0.1)
        return answer


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Server]:
    monkeypatch.setenv(KEY, SECRET)
    there = Server()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", there.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    there.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield there
    await runner.cleanup()


@pytest.fixture
async def rest(server: Server) -> AsyncIterator[Rest]:
    rest = Rest("acme", KEY, server.url, {"X-Key": SECRET}, timeout_s=0.5)
    yield rest
    await rest.aclose()


async def fault_of(rest: Rest) -> ProviderError:
    """Return what is told when a request fails."""
    with pytest.raises(ProviderError) as caught:
        await rest.get("/v1/calls")
    return caught.value


async def test_json_goes_out_and_comes_back(server: Server, rest: Rest) -> None:
    server.text = '{"id": "c1"}'
    assert await rest.post("/v1/calls", {"prompt": "Grüß Gott"}, {"prior": "a b"}) == {"id": "c1"}
    assert await rest.get("/v1/calls/c1", {"mode": "x"}) == {"id": "c1"}
    posted, got = server.asked
    assert posted["body"] == '{"prompt":"Grüß Gott"}'
    assert (posted["verb"], posted["path"]) == ("POST", "/v1/calls?prior=a+b")
    assert posted["type"] == "application/json"
    assert (got["verb"], got["path"], got["body"]) == ("GET", "/v1/calls/c1?mode=x", "")
    assert {it["key"] for it in server.asked} == {SECRET}
    assert posted["peer"] == got["peer"], "another connection was opened"


async def test_an_answer_without_a_body_is_none(server: Server, rest: Rest) -> None:
    server.status, server.text = 204, ""
    assert await rest.post("/v1/calls/c1/messages", {}) is None


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 422])
async def test_a_refusal_is_one(server: Server, rest: Rest, status: int) -> None:
    server.status, server.text = status, '{"detail": "no"}'
    fault = await fault_of(rest)
    assert isinstance(fault, ProviderRefusedError)
    assert fault.status == status
    assert '{"detail": "no"}' in str(fault)


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_trouble_that_may_pass_is_a_loss_and_says_when(
    server: Server, rest: Rest, status: int
) -> None:
    server.status, server.headers = status, {"Retry-After": "2"}
    fault = await fault_of(rest)
    assert isinstance(fault, ProviderLostError)
    assert (fault.status, fault.retry_after_s) == (status, 2.0)


async def test_no_redirect_is_followed_with_the_key(server: Server, rest: Rest) -> None:
    server.status, server.headers = 302, {"Location": f"{server.url}/elsewhere"}
    fault = await fault_of(rest)
    assert isinstance(fault, ProviderRefusedError)
    assert "ACME_BASE_URL" in str(fault)
    assert len(server.asked) == 1


async def test_no_key_shows_in_what_is_told(server: Server, rest: Rest) -> None:
    server.status, server.text = 401, f"key {SECRET} is wrong"
    assert SECRET not in str(await fault_of(rest))


async def test_an_answer_that_is_late_is_not_waited_for(server: Server, rest: Rest) -> None:
    server.delay_s = 2.0
    fault = await fault_of(rest)
    assert isinstance(fault, ProviderLostError)
    assert "0.5 s" in str(fault)


async def test_an_answer_that_trickles_is_not_waited_for_either(server: Server, rest: Rest) -> None:
    server.trickles = True
    assert "0.5 s" in str(await fault_of(rest))


async def test_an_address_that_is_none_is_a_refusal() -> None:
    rest = Rest("acme", KEY, "http://host:port", {})
    fault = await fault_of(rest)
    await rest.aclose()
    assert isinstance(fault, ProviderRefusedError)
    assert "ACME_BASE_URL" in str(fault)


@pytest.mark.parametrize("text", ["<html>", "{", "\x00", '{"a": 1} trailing'])
async def test_what_is_no_json_is_a_loss(server: Server, rest: Rest, text: str) -> None:
    server.text = text
    assert isinstance(await fault_of(rest), ProviderLostError)


async def test_a_server_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACME_BASE_URL", "http://127.0.0.1:9")
    rest = Rest("acme", KEY, "http://127.0.0.1:9", {"X-Key": SECRET})
    fault = await fault_of(rest)
    assert isinstance(fault, ProviderLostError)
    assert "http://127.0.0.1:9 (ACME_BASE_URL)" in str(fault)
    await rest.aclose()
    await rest.aclose()


@pytest.mark.parametrize("url", ["ftp://host", "host", "http://"])
async def test_an_address_of_another_kind_is_a_refusal_as_well(url: str) -> None:
    rest = Rest("acme", KEY, url, {})
    assert isinstance(await fault_of(rest), ProviderRefusedError)


@pytest.mark.parametrize("key", ["sk-\r\nX-Other: 1", "sk-ü"])
async def test_a_key_that_no_header_can_hold_is_a_refusal(server: Server, key: str) -> None:
    fault = await fault_of(Rest("acme", KEY, server.url, {"X-Key": key}))
    assert isinstance(fault, ProviderRefusedError)
    assert KEY in str(fault)
    assert key not in str(fault)
    assert not server.asked


async def test_two_requests_at_once_are_two_connections(server: Server, rest: Rest) -> None:
    server.delay_s = 0.1
    await asyncio.gather(rest.get("/a"), rest.get("/b"))
    assert len({it["peer"] for it in server.asked}) == 2


async def test_a_proxy_of_the_environment_is_asked(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.text = '{"by": "proxy"}'
    monkeypatch.setenv("HTTP_PROXY", server.url)
    prepare("http://far.example")
    rest = Rest("acme", KEY, "http://far.example", {"X-Key": SECRET})
    assert await rest.get("/v1/calls", {"a": "b"}) == {"by": "proxy"}
    await rest.aclose()


async def test_an_address_with_a_password_gives_it(server: Server) -> None:
    rest = Rest("acme", KEY, server.url.replace("//", "//me:secret@"), {"X-Key": SECRET})
    assert await rest.post("/v1/calls", {}) == {}
    await rest.aclose()


async def test_it_can_be_used_again_after_it_was_closed(server: Server, rest: Rest) -> None:
    await rest.get("/a")
    await rest.aclose()
    await rest.get("/b")
    assert len(server.asked) == 2


def test_what_requests_need_is_imported_beforehand() -> None:
    prepare("http://127.0.0.1:9")
