import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from gateway.http_guard import HEAD_BYTES, GuardedHttpProtocol

REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


class _Hasty(GuardedHttpProtocol):
    head_seconds = 0.2


async def _hello(request: Request) -> Response:
    return PlainTextResponse("hello")


async def _measure(request: Request) -> Response:
    return PlainTextResponse(str(len(await request.body())))


@asynccontextmanager
async def _server(protocol: type[GuardedHttpProtocol]) -> AsyncIterator[int]:
    config = uvicorn.Config(
        Starlette(routes=[Route("/", _hello), Route("/", _measure, methods=["POST"])]),
        http=protocol,
        lifespan="off",
        log_config=None,
        timeout_graceful_shutdown=1,
    )
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    listener = await asyncio.get_running_loop().create_server(
        lambda: protocol(config=config, server_state=server.server_state, app_state={}),
        "127.0.0.1",
        0,
    )
    try:
        yield listener.sockets[0].getsockname()[1]
    finally:
        listener.close()
        for connection in list(server.server_state.connections):
            connection.shutdown()
        await asyncio.sleep(0.05)


async def _rest(reader: asyncio.StreamReader) -> bytes:
    """Return what still comes before the other side ends or resets the connection."""
    try:
        return await reader.read()
    except ConnectionError:
        return b""


@pytest.mark.parametrize("begun", [b"", b"GET / HTTP/1.1\r\nHost:"], ids=["nothing", "a part"])
async def test_a_head_that_is_late_is_cut_off(begun: bytes) -> None:
    async with _server(_Hasty) as port, asyncio.timeout(10):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(begun)
        assert await _rest(reader) == b""
        writer.close()


async def test_a_head_without_end_is_cut_off() -> None:
    async with _server(GuardedHttpProtocol) as port, asyncio.timeout(10):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nX: " + b"x" * (HEAD_BYTES + 1))
        assert await _rest(reader) == b""
        writer.close()


async def test_requests_one_after_the_other_each_have_their_time() -> None:
    async with _server(_Hasty) as port, asyncio.timeout(10):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(3):
            writer.write(REQUEST)
            head = await reader.readuntil(b"\r\n\r\n")
            assert b"200 OK" in head
            assert await reader.readexactly(5) == b"hello"
            await asyncio.sleep(0.1)
        writer.close()


async def test_a_body_that_arrives_with_its_head_may_be_longer_than_a_head() -> None:
    body = b"x" * (3 * HEAD_BYTES)
    async with _server(GuardedHttpProtocol) as port, asyncio.timeout(10):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(2):
            head = f"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
            writer.write(head.encode() + body)
            assert b"200 OK" in await reader.readuntil(b"\r\n\r\n")
            assert await reader.readexactly(6) == str(len(body)).encode()
        writer.close()


async def test_a_long_body_that_nobody_reads_leaves_the_connection_whole() -> None:
    async with _server(GuardedHttpProtocol) as port, asyncio.timeout(10):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        head = f"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: {40 * HEAD_BYTES}\r\n\r\n"
        writer.write(head.encode() + b"x" * (40 * HEAD_BYTES))
        assert b"200 OK" in await reader.readuntil(b"\r\n\r\n")
        assert await reader.readexactly(5) == b"hello"
        writer.write(REQUEST)
        assert b"200 OK" in await reader.readuntil(b"\r\n\r\n")
        writer.close()


async def test_what_is_no_http_is_refused_once_however_long() -> None:
    async with _server(GuardedHttpProtocol) as port, asyncio.timeout(10):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"\0" * (3 * HEAD_BYTES))
        assert (await _rest(reader)).count(b"400 Bad Request") <= 1
        writer.close()
