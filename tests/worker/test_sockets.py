import asyncio
import logging
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus

import pytest
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed, InvalidURI
from websockets.frames import Close
from websockets.http11 import Request, Response

from worker.errors import ProviderError, ProviderLostError, ProviderRefusedError
from worker.sockets import seconds_of, socket_fault, status_fault, websocket

KEY = "ACME_API_KEY"
SECRET = "sk-very-secret"


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY, SECRET)


class Answers:
    """A server that answers each handshake with a status; keeps what was asked."""

    def __init__(self, status: int = 101, body: str = "", **headers: str) -> None:
        self.status, self.body, self.headers = status, body, headers
        self.requests: list[Request] = []
        self.url = ""

    def check(self, connection: ServerConnection, request: Request) -> Response | None:
        self.requests.append(request)
        if self.status == 101:
            return None
        response = connection.respond(HTTPStatus(self.status), self.body)
        for name, value in self.headers.items():
            response.headers[name.replace("_", "-")] = value
        return response


async def echo(connection: ServerConnection) -> None:
    async for message in connection:
        if message == "close":
            await connection.close(1008, f"key {SECRET} is no good")
            return
        await connection.send(message)


@asynccontextmanager
async def running(answers: Answers) -> AsyncIterator[Answers]:
    server: Server
    async with serve(echo, "127.0.0.1", 0, process_request=answers.check) as server:
        answers.url = f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}/speak"
        yield answers


async def fault_of(url: str) -> ProviderError:
    """Return what is told when the socket does not open."""
    try:
        async with websocket(url, {"X-Api-Key": SECRET}):
            raise AssertionError("it opened")
    except Exception as error:
        return socket_fault("acme", KEY, error)


async def test_it_opens_with_its_headers_and_without_compression() -> None:
    async with running(Answers()) as there:
        async with websocket(there.url, {"X-Api-Key": SECRET}) as socket:
            await socket.send(b"\xff" * 160)
            assert await socket.recv() == b"\xff" * 160
        headers = there.requests[0].headers
        assert headers["X-Api-Key"] == SECRET
        assert "Sec-WebSocket-Extensions" not in headers


async def test_a_key_is_not_written_to_the_log_whatever_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, "websockets")
    logging.getLogger("websockets.server").setLevel(logging.INFO)
    async with running(Answers()) as there, websocket(there.url, {"X-Api-Key": SECRET}) as socket:
        await socket.send("my name is Miller")
        await socket.recv()
    assert SECRET not in caplog.text
    assert "Miller" not in caplog.text


async def test_a_redirect_is_not_followed_with_the_key() -> None:
    async with running(Answers()) as elsewhere:
        async with running(Answers(302, Location=elsewhere.url)) as there:
            fault = await fault_of(there.url)
        assert isinstance(fault, ProviderRefusedError)
        assert fault.status == 302
        assert "ACME_BASE_URL" in str(fault)
        assert elsewhere.requests == []


@pytest.mark.parametrize(
    ("status", "says"),
    [
        (400, "a parameter is wrong"),
        (401, "check ACME_API_KEY"),
        (402, "no credit"),
        (403, "check the plan"),
        (404, "no such model or voice"),
        (422, "a parameter is wrong"),
        (418, "it refuses"),
    ],
)
async def test_a_refused_handshake_says_what_to_do(status: int, says: str) -> None:
    async with running(Answers(status, body='{"err": "nope"}')) as there:
        fault = await fault_of(there.url)
    assert isinstance(fault, ProviderRefusedError)
    assert fault.status == status
    assert says in str(fault)
    assert f'HTTP {status} ({{"err": "nope"}})' in str(fault)


@pytest.mark.parametrize("status", [408, 409, 425, 429, 500, 502, 503, 504])
async def test_what_may_pass_is_worth_another_try(status: int) -> None:
    async with running(Answers(status, Retry_After="2.5")) as there:
        fault = await fault_of(there.url)
    assert isinstance(fault, ProviderLostError)
    assert fault.status == status
    assert fault.retry_after_s == 2.5


async def test_what_a_provider_says_is_shortened_and_never_has_the_key() -> None:
    body = f"Key {SECRET} is unknown.\r\n\x1b[31mINFO forged line\n" + "<p>" * 500
    async with running(Answers(401, body=body)) as there:
        text = str(await fault_of(there.url))
    assert SECRET not in text
    assert len(text) < 320
    assert text.isprintable()
    assert "Key ... is unknown." in text


async def test_a_close_says_its_code_and_1008_is_a_refusal() -> None:
    async with running(Answers()) as there, websocket(there.url, {}) as socket:
        await socket.send("close")
        with pytest.raises(ConnectionClosed) as caught:
            await socket.recv()
    fault = socket_fault("acme", KEY, caught.value)
    assert isinstance(fault, ProviderRefusedError)
    assert str(fault) == "acme: closed the connection: 1008 key ... is no good"
    assert fault.status == 1008


async def test_a_socket_that_drops_is_a_loss() -> None:
    async with running(Answers()) as there, websocket(there.url, {}) as socket:
        socket.transport.abort()
        with pytest.raises(ConnectionClosed) as caught:
            await socket.recv()
    fault = socket_fault("acme", KEY, caught.value)
    assert isinstance(fault, ProviderLostError)
    assert fault.status == 1006


async def test_where_nobody_listens_it_cannot_be_reached() -> None:
    server = await asyncio.start_server(lambda _, __: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    fault = await fault_of(f"ws://127.0.0.1:{port}")
    assert isinstance(fault, ProviderLostError)
    assert "cannot be reached" in str(fault)


async def test_what_speaks_no_websocket_cannot_be_reached() -> None:
    def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 smtp ready\r\n")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        fault = await fault_of(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    assert isinstance(fault, ProviderLostError)
    assert "cannot be reached" in str(fault)


async def test_an_address_that_is_none_is_refused_without_being_repeated() -> None:
    fault = socket_fault("acme", KEY, InvalidURI(f"http://x/?key={SECRET}", "no scheme"))
    assert isinstance(fault, ProviderRefusedError)
    assert "check ACME_BASE_URL" in str(fault)
    assert SECRET not in str(fault)


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (TimeoutError(), "did not answer in time"),
        (ConnectionResetError(104, "Connection reset by peer"), "cannot be reached"),
        (ssl.SSLCertVerificationError(1, "certificate verify failed"), "certificate verify failed"),
        (ConnectionClosed(None, Close(1011, ""), None), "the connection dropped"),
        (ValueError("my name is Miller"), "failed: ValueError"),
    ],
)
def test_whatever_goes_wrong_becomes_a_loss_that_hides_what_was_said(
    error: Exception, says: str
) -> None:
    fault = socket_fault("acme", KEY, error)
    assert isinstance(fault, ProviderLostError)
    assert says in str(fault)
    assert "Miller" not in str(fault)


def test_what_is_an_error_of_a_provider_already_stays_what_it_is() -> None:
    error = ProviderRefusedError("acme", "no such voice", 404)
    assert socket_fault("acme", KEY, error) is error


def test_a_key_that_is_not_set_hides_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(KEY)
    assert str(status_fault("acme", KEY, 400, "bad voice")).endswith("HTTP 400 (bad voice)")


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("2", 2.0),
        (" 0.5 ", 0.5),
        ("-1", 0.0),
        ("nan", None),
        ("soon", None),
        ("Wed, 21 Oct 2026 07:28:00 GMT", None),
    ],
)
def test_retry_after_is_read_where_it_is_a_number(
    header: str | None, seconds: float | None
) -> None:
    assert seconds_of(header) == seconds
