"""Requests, retries and redirects over a transport that answers as each test says."""

import asyncio
from collections.abc import AsyncIterator, Callable

import httpx2
import pytest

from phone.clock import LoopClock
from phone.signature import Signer
from phone.webhooks import WebhookClient, WebhookError

Handler = Callable[[httpx2.Request], httpx2.Response]


class Server:
    """Answers with what is next in the list; an exception is raised."""

    def __init__(self, *answers: httpx2.Response | Exception) -> None:
        self.answers = list(answers)
        self.requests: list[httpx2.Request] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def client(self) -> WebhookClient:
        http = httpx2.AsyncClient(transport=httpx2.MockTransport(self))
        return WebhookClient(http, Signer("token"), LoopClock(), 15_000)


OK = httpx2.Response(200, text="<Response/>", headers={"content-type": "text/xml"})
REFUSED = httpx2.ConnectError("refused")
SLOW = httpx2.ReadTimeout("slow")
FAILED = httpx2.Response(503)


async def test_a_failed_connection_is_tried_once_more_by_default() -> None:
    server = Server(REFUSED, OK)
    answer = await server.client().send("https://you/voice", "POST", {"A": "1"})
    assert (answer.status, answer.attempts) == (200, 2)
    tokens = {request.headers["i-twilio-idempotency-token"] for request in server.requests}
    assert len(tokens) == 1


@pytest.mark.parametrize(
    ("fragment", "failure", "requests", "code"),
    [
        ("", REFUSED, 2, 11205),
        ("", SLOW, 1, 11203),
        ("", FAILED, 1, 11200),
        ("#rc=0", REFUSED, 1, 11205),
        ("#rc=3&rp=5xx", FAILED, 4, 11200),
        ("#rc=3&rp=4xx", FAILED, 1, 11200),
        ("#rc=2&rp=rt", SLOW, 3, 11203),
        ("#rc=2&rp=rt", REFUSED, 1, 11205),
        ("#rc=5&rp=all", httpx2.Response(404), 6, 11200),
        ("", httpx2.ConnectTimeout("x"), 2, 11201),
        ("", httpx2.RemoteProtocolError("x"), 1, 11206),
        ("#rc=9", OK, 0, 11243),
    ],
)
async def test_retries_follow_the_overrides(
    fragment: str, failure: httpx2.Response | Exception, requests: int, code: int
) -> None:
    server = Server(failure)
    with pytest.raises(WebhookError) as raised:
        await server.client().send("https://you/voice" + fragment, "POST", {})
    assert raised.value.problem.code == code
    assert len(server.requests) == requests
    assert all("#" not in str(request.url) for request in server.requests)


@pytest.mark.parametrize("url", ["/voice", "ftp://you/voice", "https:///voice", ""])
async def test_only_absolute_http_urls_are_requested(url: str) -> None:
    with pytest.raises(WebhookError) as raised:
        await Server(OK).client().send(url, "POST", {})
    assert raised.value.problem.code == 11100


@pytest.mark.parametrize(("status", "method"), [(307, "POST"), (308, "POST"), (302, "GET")])
async def test_redirects_are_followed_and_signed_anew(status: int, method: str) -> None:
    moved = httpx2.Response(status, headers={"location": "https://other/there"})
    server = Server(moved, OK)
    await server.client().send("https://you/voice", "POST", {"A": "1"})
    first, second = server.requests
    assert (second.url.host, second.method) == ("other", method)
    assert first.headers["x-twilio-signature"] != second.headers["x-twilio-signature"]


async def test_a_slow_answer_ends_at_the_total_limit() -> None:
    async def hang(request: httpx2.Request) -> httpx2.Response:
        await asyncio.Event().wait()
        raise AssertionError

    http = httpx2.AsyncClient(transport=httpx2.MockTransport(hang))
    client = WebhookClient(http, Signer("token"), LoopClock(), 15_000)
    with pytest.raises(WebhookError) as raised:
        await client.send("https://you/voice#tt=100", "POST", {})
    assert raised.value.problem.code == 11203


async def test_a_body_without_end_is_read_to_the_limit_only() -> None:
    read = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal read
        while True:
            read += 1
            yield b" " * 4096

    answer = (
        await Server(httpx2.Response(200, content=endless()))
        .client()
        .send("https://you/voice", "POST", {})
    )
    assert len(answer.body) == 64 * 1024 + 1
    assert read <= 18


async def test_empty_values_are_sent_and_signed() -> None:
    server = Server(OK)
    await server.client().send("https://you/voice", "POST", {"FromCity": "", "B": "ü +"})
    (request,) = server.requests
    assert request.content == b"FromCity=&B=%C3%BC+%2B"
    expected = Signer("token").http("https://you/voice", {"FromCity": "", "B": "ü +"})
    assert request.headers["x-twilio-signature"] == expected
