"""Questions to Ultravox' REST API: what comes back, and where the key goes."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from gateway.outbox.dialling import Lines
from gateway.ultravox import rest as module
from gateway.ultravox.rest import Access, UltravoxError, UltravoxRest

KEY = "uv-not-to-be-told"


class Server:
    """A server that answers by the path, and keeps what it was sent."""

    def __init__(self) -> None:
        self.url = ""
        self.heard: list[tuple[str, str | None]] = []

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer."""
        self.heard.append((request.path_qs, request.headers.get("X-API-Key")))
        match request.path.rpartition("/")[2]:
            case "redirect":
                raise web.HTTPFound(f"{self.url}/elsewhere")
            case "big":
                return web.Response(body=b"[" + b"1," * 200_000 + b"1]")
            case "text":
                return web.Response(text="<html>")
            case "deep":
                return web.Response(body=b"[" * 100_000)
            case "busy":
                return web.Response(status=429, headers={"Retry-After": "7"})
            case "slow":
                await asyncio.sleep(5)
            case "cut":
                assert request.transport is not None
                request.transport.abort()
        return web.json_response({"ok": True})


@asynccontextmanager
async def _serving() -> AsyncIterator[tuple[Server, UltravoxRest, Access]]:
    server = Server()
    app = web.Application()
    app.router.add_get("/{path:.*}", server.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    asking = UltravoxRest(Lines(ssl.create_default_context()))
    try:
        yield server, asking, Access(f"{server.url}/prefix", KEY)
    finally:
        await asking.aclose()
        await runner.cleanup()


async def test_the_key_goes_with_the_question_below_the_addresss_path() -> None:
    async with _serving() as (server, asking, access):
        assert await asking.get(access, "/api/x", {"a": "b c&d"}) == {"ok": True}
        assert server.heard == [("/prefix/api/x?a=b+c%26d", KEY)]
        assert KEY not in repr(access)


async def test_a_redirect_is_not_followed() -> None:
    async with _serving() as (server, asking, access):
        with pytest.raises(UltravoxError) as refused:
            await asking.get(access, "/redirect")
        assert refused.value.is_hopeless
        assert len(server.heard) == 1


async def test_what_is_refused_for_now_says_when_to_ask_again() -> None:
    async with _serving() as (_, asking, access):
        with pytest.raises(UltravoxError) as refused:
            await asking.get(access, "/busy")
        assert (refused.value.status, refused.value.wait) == (429, 7.0)
        assert not refused.value.is_hopeless


@pytest.mark.parametrize("path", ["text", "deep", "cut"])
async def test_what_cannot_be_read_may_be_asked_for_again(path: str) -> None:
    async with _serving() as (server, asking, access):
        with pytest.raises(UltravoxError) as refused:
            await asking.get(access, f"/{path}")
        assert not refused.value.is_hopeless
        for secret in (KEY, server.url):
            assert secret not in str(refused.value)


async def test_an_answer_has_a_size_and_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    async with _serving() as (_, asking, access):
        assert len(await asking.get(access, "/big")) == 200_001
        monkeypatch.setattr(module, "MOST_ANSWER", 100_000)
        with pytest.raises(UltravoxError, match="over 100000 bytes"):
            await asking.get(access, "/big")
        asking.seconds = 0.3
        with pytest.raises(UltravoxError, match=r"within 0.3 s"):
            await asking.get(access, "/slow")


async def test_a_companys_address_is_asked_as_a_strangers() -> None:
    async with _serving() as (server, asking, access):
        strangers = Access(access.url, KEY, trusted=False)
        with pytest.raises(UltravoxError, match="https") as refused:
            await asking.get(strangers, "/x")
        assert refused.value.is_hopeless
        with pytest.raises(UltravoxError):
            await asking.get(Access("https://127.0.0.1", KEY, trusted=False), "/x")
        with pytest.raises(UltravoxError):
            await asking.get(Access("http://[", KEY), "/x")
        assert server.heard == []
