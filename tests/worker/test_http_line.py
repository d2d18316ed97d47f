"""HTTP/1.1 against a server that answers byte for byte as it is told to."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fakes.certificates import LOCALHOST
from worker.http_line import MOST_BODY, Answer, Line, LineError, host_of, target_of


@contextlib.asynccontextmanager
async def server(*answers: bytes) -> AsyncIterator[tuple[Line, list[bytes]]]:
    """Answer each request on a connection with the next of ``answers``, then close it."""
    asked: list[bytes] = []
    talks: list[asyncio.Task[None]] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        talks.append(task)
        with contextlib.suppress(ConnectionError, EOFError):
            for answer in answers:
                head = await reader.readuntil(b"\r\n\r\n")
                size = head.lower().partition(b"content-length: ")[2].partition(b"\r")[0]
                asked.append(head + await reader.readexactly(int(size or b"0")))
                writer.write(answer)
                await writer.drain()
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    there = await asyncio.start_server(talk, "127.0.0.1", 0)
    port = there.sockets[0].getsockname()[1]
    line = await Line.connect(urlsplit(f"http://127.0.0.1:{port}"))
    try:
        yield line, asked
    finally:
        await line.aclose()
        there.close()
        await asyncio.gather(*talks)


async def test_a_request_is_sent_as_it_is_and_the_connection_is_kept() -> None:
    ok = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nRetry-After: 3\r\n\r\n{}"
    async with server(ok, ok) as (line, asked):
        answer = await line.ask("POST", "/a?b=c", {"Host": "h", "X-Key": "k"}, b"[1]")
        assert answer == Answer(200, {"content-length": "2", "retry-after": "3"}, b"{}")
        assert line.is_open
        await line.ask("GET", "/", {"Host": "h"}, None)
    assert asked == [
        b"POST /a?b=c HTTP/1.1\r\nHost: h\r\nX-Key: k\r\nContent-Length: 3\r\n\r\n[1]",
        b"GET / HTTP/1.1\r\nHost: h\r\n\r\n",
    ]


@pytest.mark.parametrize(
    ("answer", "body", "is_kept"),
    [
        (b"HTTP/1.1 204 No Content\r\n\r\n", b"", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b"", True),
        (b"HTTP/1.1 200\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx", b"x", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", b"x", False),
        (b"HTTP/1.1 200 OK\r\n\r\nall there is", b"all there is", False),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", b"x", True),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"3;a=b\r\nabc\r\nA\r\n0123456789\r\n0\r\nTrailer: t\r\n\r\n",
            b"abc0123456789",
            True,
        ),
    ],
)
async def test_the_end_of_an_answer_is_found(answer: bytes, body: bytes, is_kept: bool) -> None:
    async with server(answer, *([answer] if is_kept else [])) as (line, _):
        assert (await line.ask("GET", "/", {"Host": "h"}, None)).content == body
        assert line.is_open == is_kept


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0-x\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: ten\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (MOST_BODY + 1),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffff\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 20_000 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nA: " + b"b" * 100_000 + b"\r\n\r\n",
    ],
)
async def test_what_is_no_answer_or_no_whole_one_is_none(answer: bytes) -> None:
    async with server(answer) as (line, _):
        with pytest.raises(LineError):
            await line.ask("GET", "/", {"Host": "h"}, None)
        assert not line.is_open


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(
        st.sampled_from(
            [
                *(b"HTTP/1.1 ", b"200", b" OK", b"\r\n", b"Content-Length:", b"3", b"chunked"),
                *(b"abc", b"Transfer-Encoding: ", b"0", b"\xff", b":", b"\n"),
            ]
        ),
        max_size=20,
    )
)
async def test_whatever_a_server_says_is_an_answer_or_a_fault(pieces: list[bytes]) -> None:
    async with server(b"".join(pieces)) as (line, _):
        with contextlib.suppress(LineError, OSError):
            await line.ask("GET", "/", {"Host": "h"}, None)


async def test_a_connection_that_the_server_closed_is_not_used_again() -> None:
    async with server(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") as (line, _):
        await line.ask("GET", "/", {"Host": "h"}, None)
        await asyncio.sleep(0.1)
        assert not line.is_open


@pytest.mark.parametrize(
    ("url", "host", "target"),
    [
        ("https://api.ultravox.ai", "api.ultravox.ai", "/api/calls?a=b"),
        ("https://host:443/", "host", "//api/calls?a=b"),
        ("http://host:8080/v1", "host:8080", "/v1/api/calls?a=b"),
        ("http://[::1]:80/v%201", "[::1]", "/v%201/api/calls?a=b"),
        ("https://bücher.example/ü", "xn--bcher-kva.example", "/%C3%BC/api/calls?a=b"),
    ],
)
def test_a_server_is_asked_for_by_its_own_name(url: str, host: str, target: str) -> None:
    split = urlsplit(url)
    assert host_of(split) == host
    assert target_of(split, "/api/calls", "a=b") == target


@pytest.mark.parametrize("url", ["ftp://host", "http://", "host", "http://host:port", ""])
def test_what_is_no_servers_address_is_told(url: str) -> None:
    split = urlsplit(url)
    with pytest.raises(ValueError):  # noqa: PT011 - whatever it says
        host_of(split)


def test_no_line_of_a_request_can_be_made_up() -> None:
    assert target_of(urlsplit("http://h"), "/a\r\nX: y z", "") == "/a%0D%0AX:%20y%20z"


@pytest.mark.parametrize("is_known", [True, False])
async def test_over_tls_a_server_shows_who_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_known: bool
) -> None:
    chain, key = LOCALHOST.write(tmp_path)
    here = ssl.create_default_context(cafile=str(chain) if is_known else None)
    monkeypatch.setattr("worker.http_line.shared_context", lambda: here)
    there = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    there.load_cert_chain(chain, key)
    done = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, EOFError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
            await reader.read()
        writer.transport.abort()
        done.set()

    listening = await asyncio.start_server(talk, "127.0.0.1", 0, ssl=there)
    url = urlsplit(f"https://localhost:{listening.sockets[0].getsockname()[1]}")
    if is_known:
        line = await Line.connect(url)
        assert (await line.ask("GET", "/", {"Host": host_of(url)}, None)).content == b"{}"
        await line.aclose()
        await done.wait()
    else:
        with pytest.raises(ssl.SSLCertVerificationError):
            await Line.connect(url)
    listening.close()
    await asyncio.sleep(0.05)
