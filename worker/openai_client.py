"""OpenAI's client over HTTP: built in the template, for one call; others in the process get copies.

What is asked through it is its users' business (`worker.llm.openai`, `worker.tts.openai_speech`).
Here is what they share: key and address, how long connections live, what an error means, and
whether another try is worth while.
"""

import asyncio
import contextlib
import functools
import importlib
import os
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, cast

from worker.credentials import Credentials, credentials
from worker.errors import ProviderError, ProviderLostError, ProviderRefusedError
from worker.sockets import at_address, seconds_of, status_fault
from worker.tls import shared_context

if TYPE_CHECKING:
    import httpx2
    from openai import APIStatusError, AsyncOpenAI
    from openai._base_client import Platform

Value = TypeVar("Value")

NAME = "openai"
KEY = "OPENAI_API_KEY"
DEFAULT_URL = "https://api.openai.com/v1"


@dataclass(frozen=True, slots=True)
class Service:
    """Whose server is asked, as errors name it; ``key`` is the variable that holds its key."""

    name: str
    key: str


OPENAI = Service(NAME, KEY)

KEEPALIVE_SECONDS = 300.0
"""An idle connection is kept for so long: callers think, and a new one costs three round trips."""

CONNECT_SECONDS = 3.0
CLOSE_SECONDS = 1.0

_QUICK_PAUSE_SECONDS = 0.1
_MOST_WAIT_SECONDS = 3.0

_NO_USE = frozenset(
    {"insufficient_quota", "billing_hard_limit_reached", "account_deactivated", "invalid_api_key"}
)
"""Codes that no other try changes, whatever the status."""


def account(base_url: str | None) -> Credentials:
    """Return key and address; ``base_url`` of the author's own goes before the environment's.

    A server of one's own may need no key. Raises `ProviderRefusedError` without one elsewhere.
    """
    if base_url is None:
        return credentials(NAME, DEFAULT_URL, needs_key=False)
    return Credentials(os.environ.get(KEY, "") or "none", base_url.rstrip("/"))


@functools.cache
def template_client(key: str, base_url: str) -> "AsyncOpenAI":
    """Import the SDK and build the client, once for all calls; it opens nothing."""
    from openai import AsyncOpenAI

    client = AsyncOpenAI(api_key=key, base_url=base_url, max_retries=0, http_client=_connections())
    # What is imported at its first use, here for all forks: 15 ms and 2.5 MB of each.
    _ = client.models, client.audio.speech
    importlib.import_module("anyio._backends._asyncio")
    _know_platform(client)
    _rehearse(client)
    return client


def _rehearse(client: "AsyncOpenAI") -> None:
    """Make both kinds of request once, to nobody: what the SDK builds at its first is built here.

    Nothing in them waits, so they need no loop.
    """
    import httpx2

    nobody = httpx2.MockTransport(lambda _: httpx2.Response(200, json={}))
    rehearsing = client.with_options(http_client=httpx2.AsyncClient(transport=nobody))
    _know_platform(rehearsing)
    for request in (
        rehearsing.get("/models", cast_to=httpx2.Response),
        opened(rehearsing, "/chat/completions", {"messages": [], "stream": True}),
    ):
        with contextlib.suppress(StopIteration):
            request.send(None)
        request.close()


def call_client(base_url: str | None) -> "AsyncOpenAI":
    """Return a client for one call, as `client_for` does, for the server at ``base_url``."""
    return client_for(account(base_url))


def client_for(known: Credentials) -> "AsyncOpenAI":
    """Return a client for one call: connections belong to the loop that opened them.

    The template's own serves the first one of a process, which most often is the only one: another
    takes a millisecond and 0.2 MB, while the phone rings.
    """
    unused = _unused(known.key, known.base_url)
    if unused:
        return unused.pop()
    template = template_client(known.key, known.base_url)
    client = template.with_options(http_client=_connections())
    _know_platform(client)
    return client


@functools.cache
def _unused(key: str, base_url: str) -> list["AsyncOpenAI"]:
    """Hold the template's client until a call takes it."""
    return [template_client(key, base_url)]


def _know_platform(client: "AsyncOpenAI") -> None:
    """Tell the client what it runs on.

    It would look that up at its first request, in a thread that then stays for the rest of the
    call (a stack, an arena). There is no public way to have it known: neither an argument nor a
    header of one's own keeps it from looking.
    """
    client._platform = _platform()


@functools.cache
def _platform() -> "Platform":
    """Return what the SDK tells the server of this machine."""
    from openai._base_client import get_platform

    return get_platform()


def _connections() -> "httpx2.AsyncClient":
    import httpx2

    return httpx2.AsyncClient(
        verify=shared_context(),
        # Answers have limits of their own, over several reads; here is only what opens.
        timeout=httpx2.Timeout(None, connect=CONNECT_SECONDS, pool=CONNECT_SECONDS),
        limits=httpx2.Limits(
            max_connections=16, max_keepalive_connections=4, keepalive_expiry=KEEPALIVE_SECONDS
        ),
    )


async def warm(client: "AsyncOpenAI", seconds: float) -> None:
    """Open a connection by a small question, so that the first real one finds it.

    Raises `ProviderRefusedError` when the key is no good. Everything else (no such address on this
    server, no answer in time) will show when it matters.
    """
    import httpx2

    try:
        async with asyncio.timeout(seconds):
            await client.get("/models", cast_to=httpx2.Response)
    except TimeoutError:
        return
    except Exception as error:
        said = fault(error)
        if said.status in (401, 402, 403):
            raise said from error


class Warmth:
    """Opens a connection anew when one was cut off: an answer is cancelled by closing its own."""

    def __init__(self, client: "AsyncOpenAI", seconds: float) -> None:
        self._client, self._seconds = client, seconds
        self._task: asyncio.Task[None] | None = None
        self._is_closed = False

    def renew(self) -> None:
        """Open a connection in the background, unless that is going on."""
        if not self._is_closed and (self._task is None or self._task.done()):
            self._task = asyncio.get_running_loop().create_task(self._warm())

    async def _warm(self) -> None:
        with contextlib.suppress(ProviderError):
            await warm(self._client, self._seconds)

    async def aclose(self) -> None:
        """Stop, and close the client with all its connections, in bounded time."""
        self._is_closed = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task], timeout=CLOSE_SECONDS)
        await close(self._client)


async def opened(client: "AsyncOpenAI", path: str, body: dict[str, Any]) -> "httpx2.Response":
    """Post ``body``; return the answer as soon as its headers are there, unread, to be closed.

    Past the SDK's typed parameters, which cost more than the request (`worker.llm.openai`).
    """
    import httpx2
    from openai import AsyncStream

    answer = await client.post(
        path,
        cast_to=httpx2.Response,
        body=body,
        stream=True,
        stream_cls=AsyncStream[httpx2.Response],
    )
    # Asked for a response as such, the SDK gives it out unread, whatever its types say.
    return cast("httpx2.Response", answer)


async def within(deadline: float, awaitable: Awaitable[Value]) -> Value:
    """Await something until ``deadline`` on the loop's clock, then raise ``TimeoutError``."""
    async with asyncio.timeout_at(deadline):
        return await awaitable


async def close(client: "AsyncOpenAI") -> None:
    """Close all connections, in `CLOSE_SECONDS` at most."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(CLOSE_SECONDS):
            await client.close()


def fault(error: BaseException, service: Service = OPENAI) -> ProviderError:
    """Make a `ProviderError` of what a request raised, its answer's streaming included.

    The server's own sentence may quote the caller or the key: it stays in ``__cause__``.
    """
    import httpx2
    from openai import APIConnectionError, APIError, APIStatusError, APITimeoutError

    match error:
        case ProviderError():
            return error
        case APIStatusError():
            return _status(error, service)
        case APITimeoutError() | httpx2.TimeoutException() | TimeoutError():
            sentence = "did not answer in time"
        case APIConnectionError():
            why = type(error.__cause__ or error).__name__
            sentence = f"cannot be reached{at_address(service.key)}: {why}"
        case APIError():
            return stream_fault(error.code, error.type, service)
        case _:
            sentence = f"the connection dropped: {type(error).__name__}"
    return ProviderLostError(service.name, sentence)


def stream_fault(
    code: str | int | None, kind: str | None = None, service: Service = OPENAI
) -> ProviderError:
    """Return the error for an ``error`` object in the middle of an answer."""
    if code in _NO_USE or kind in _NO_USE:
        return ProviderRefusedError(service.name, f"it refuses: {code or kind}")
    said = str(code)
    status = int(said) if len(said) == 3 and said.isdecimal() else 0  # vLLM's way
    if 400 <= status < 600:
        return status_fault(service.name, service.key, status)
    return ProviderLostError(service.name, f"broke the answer off: {code or kind or 'an error'}")


def _status(error: "APIStatusError", service: Service) -> ProviderError:
    # Every one of these is a word of the protocol, never a text.
    words = [word for word in (error.code or error.type, error.param) if isinstance(word, str)]
    reason = ", ".join(words)
    headers = error.response.headers
    retry_after = seconds_of(headers.get("retry-after"))
    in_ms = seconds_of(headers.get("retry-after-ms"))
    if in_ms is not None:
        retry_after = in_ms / 1000
    if error.code in _NO_USE or error.type in _NO_USE:
        sentence = f"the account has no credit left, or {service.key} is wrong: {reason}"
        return ProviderRefusedError(service.name, sentence, error.status_code)
    asked = None if retry_after is None else str(retry_after)
    return status_fault(service.name, service.key, error.status_code, reason, asked)


def pause_before_retry(error: ProviderError) -> float | None:
    """Return how long to wait before one more try, in seconds; ``None``: it is no use.

    A caller waits: a server that asks for more than 3 s is not waited for.
    """
    if not isinstance(error, ProviderLostError):
        return None
    asked = error.retry_after_s
    if asked is None:
        return _QUICK_PAUSE_SECONDS if error.status is not None else 0.0
    return asked if asked <= _MOST_WAIT_SECONDS else None
