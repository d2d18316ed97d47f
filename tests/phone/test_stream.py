"""Media sockets that fail, each in its own way, against real servers."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from phone import Phone, PhoneSettings
from phone.events import StreamEnded, StreamEnding
from phone.report import Report
from tests.phone.app import TOKEN, App, serving, stream, twiml

Handler = Callable[[ServerConnection], Awaitable[None]]


@asynccontextmanager
async def sockets(handler: Handler) -> AsyncIterator[str]:
    async with serve(handler, "127.0.0.1", 0, compression=None) as server:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/media"


async def report_of(url: str, settings: PhoneSettings | None = None) -> Report:
    app = App({"/voice": lambda _: twiml(stream(url))})
    async with serving(app), Phone(app.url(), auth_token=TOKEN, settings=settings).dial() as call:
        return await call.ended()


async def until_start(connection: ServerConnection) -> None:
    await connection.recv()
    await connection.recv()


async def garbage(connection: ServerConnection) -> None:
    await until_start(connection)
    connection.transport.write(b"\xff\xff\xff\xff")
    await connection.wait_closed()


async def abort(connection: ServerConnection) -> None:
    await until_start(connection)
    connection.transport.abort()


async def away(connection: ServerConnection) -> None:
    await until_start(connection)
    await connection.close(1001)


async def not_utf8(connection: ServerConnection) -> None:
    await until_start(connection)
    await connection.send(b"\xff\xfe", text=True)
    await connection.wait_closed()


@pytest.mark.parametrize(
    ("handler", "how", "code"),
    [
        (garbage, StreamEnding.FAILED, 31924),
        (not_utf8, StreamEnding.FAILED, 31924),
        (abort, StreamEnding.LOST, 31903),
        (away, StreamEnding.SERVER_CLOSED, 31921),
    ],
)
async def test_a_socket_that_breaks_has_twilios_code(
    handler: Handler, how: StreamEnding, code: int
) -> None:
    async with sockets(handler) as url:
        report = await report_of(url)
    assert [problem.code for problem in report.problems] == [code]
    assert report.of(StreamEnded)[0].how is how
    assert report.status == "completed"


async def test_a_redirect_of_the_handshake_is_not_followed() -> None:
    def redirect(connection: ServerConnection, request: Request) -> Response:
        del connection, request
        return Response(302, "Found", Headers(Location="/elsewhere"), b"")

    async with serve(abort, "127.0.0.1", 0, process_request=redirect) as server:
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/media"
        report = await report_of(url)
    assert [problem.code for problem in report.problems] == [31920]


async def test_a_handshake_without_an_answer_is_given_up() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    async with server:
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/media"
        report = await report_of(url, PhoneSettings(handshake_limit_s=0.1))
    assert [problem.code for problem in report.problems] == [31901]


async def test_a_fragmented_message_is_one_message() -> None:
    async def fragments(connection: ServerConnection) -> None:
        await until_start(connection)
        await connection.send(['{"event":', '"clear"', "}"])
        await connection.close()

    async with sockets(fragments) as url:
        report = await report_of(url)
    assert report.messages_dropped == 1
    assert [problem.code for problem in report.problems] == [31951]
