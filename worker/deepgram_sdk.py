"""Deepgram's SDK as this program uses it: one client a process, sockets of ours beneath it.

The SDK knows addresses, parameters, authorization and messages. Its own transport is the legacy
websockets client with a TLS context of each socket's own and limits that cannot be set; ours is
put in its place by ``transport_factory``, the SDK's way to do so, once and for the whole process.

What is said on a socket is not known here: see `worker.stt.deepgram`, `worker.stt.deepgram_flux`
and `worker.tts.deepgram_aura`.
"""

import contextlib
import functools
import importlib
import uuid
import warnings
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar
from urllib.parse import urlsplit

import msgspec
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, ConnectionClosedOK, InvalidStatus

from worker.credentials import Credentials, credentials
from worker.errors import ProviderError, ProviderLostError, ProviderRefusedError
from worker.sockets import socket_fault, status_fault, websocket
from worker.tls import shared_context

if TYPE_CHECKING:
    from deepgram import AsyncDeepgramClient
    from deepgram.core.request_options import RequestOptions

PROVIDER = "deepgram"

_KEY = "DEEPGRAM_API_KEY"
_URL = "https://api.deepgram.com"

Socket = TypeVar("Socket")
Socket_co = TypeVar("Socket_co", covariant=True)
Value = TypeVar("Value")
Shape = TypeVar("Shape")


class Connecting(Protocol[Socket_co]):
    """A provider's settings, as far as the SDK is asked to connect with them."""

    def connecting(self, client: "AsyncDeepgramClient") -> AbstractAsyncContextManager[Socket_co]:
        """Return what opens a socket with these settings."""


class _Named(msgspec.Struct):
    """Any message, as far as it says what it is."""

    type: str


class _Transport:
    """A socket as the SDK wants one: made at once, opened and closed by `opened`."""

    def __init__(self, url: str, headers: Mapping[str, str]) -> None:
        self.url, self.headers = url, headers
        self._connecting = websocket(url, headers)
        self._is_text_raw = urlsplit(url).path.endswith("/listen")
        self._connection: ClientConnection | None = None
        _made.set(self)

    async def open(self) -> None:
        self._connection = await self._connecting

    @property
    def _open(self) -> ClientConnection:
        assert self._connection is not None, "used before `opened` has opened it"
        return self._connection

    async def send(self, data: str | bytes) -> None:
        await self._open.send(data)

    async def recv(self) -> str | bytes:
        return await self._open.recv()

    async def __aiter__(self) -> AsyncIterator[str | bytes]:
        # The SDK hands out bytes as they are. Of a text it makes an object, which for results of
        # a few words takes thirty times as long as reading what is needed of them.
        decode = False if self._is_text_raw else None
        with contextlib.suppress(ConnectionClosedOK):
            while True:
                yield await self._open.recv(decode=decode)

    async def close(self) -> None:
        if self._connection is not None:
            await self._connection.close()


_made: ContextVar[_Transport] = ContextVar("deepgram_transport")
"""The transport that the SDK has just had made in this task: it hands out none of them."""


def client() -> "AsyncDeepgramClient":
    """Return the client for the key and address in the environment, made at the first call.

    Call it in ``prepare``: making it imports the SDK and takes some 0.4 s. Raises
    `ProviderRefusedError` when there is no key or no SDK.
    """
    return _client(credentials(PROVIDER, _URL))


@functools.cache
def _client(account: Credentials) -> "AsyncDeepgramClient":
    try:
        with warnings.catch_warnings():
            # It imports what websockets has deprecated, and with our transport uses none of it.
            warnings.simplefilter("ignore", DeprecationWarning)
            import httpx
            from deepgram import AsyncDeepgramClient
            from deepgram.environment import DeepgramClientEnvironment

            made = AsyncDeepgramClient(
                api_key=account.key,
                environment=DeepgramClientEnvironment(
                    base=account.base_url,
                    production=account.websocket_url,
                    agent=account.websocket_url,
                    agent_rest=account.base_url,
                ),
                # Without one of ours it loads the certificates a second time.
                httpx_client=httpx.AsyncClient(verify=shared_context()),
                transport_factory=_Transport,
            )
    except ImportError as error:
        raise ProviderRefusedError(
            PROVIDER, "its SDK is not installed: pip install 'callfarm[providers]'"
        ) from error
    # The SDK imports a resource when it is first asked for: let it be now.
    _ = made.listen.v1, made.listen.v2, made.speak.v1
    return made


def options(query: Mapping[str, object]) -> "RequestOptions":
    """Return the SDK's options of a connection: more query parameters."""
    words = {True: "true", False: "false"}
    return {
        "additional_query_parameters": {
            name: words[value] if isinstance(value, bool) else value
            for name, value in query.items()
        }
    }


@dataclass(frozen=True, slots=True)
class _Way(Generic[Socket]):
    """Where the SDK connects to with some settings, and what it makes of the connection."""

    url: str
    headers: Mapping[str, str]
    socket: Callable[..., Socket]


_ways: dict[tuple[Credentials, str], _Way[Any]] = {}
"""What the template has asked the SDK, by account and settings."""


def plan(settings: Connecting[Socket]) -> None:
    """Ask the SDK how to connect with these settings, once for all calls.

    It looks its own version up for each connection, in files, and builds the query by way of
    pydantic: 3 ms and more than a megabyte of each call, while the caller waits.
    """
    _ways[credentials(PROVIDER, _URL), repr(settings)] = _asked(settings)


def _asked(settings: Connecting[Socket]) -> _Way[Socket]:
    connecting = settings.connecting(client())
    socket = _at_once(connecting.__aenter__())
    made = _made.get()
    _at_once(connecting.__aexit__(None, None, None))
    return _Way(made.url, made.headers, type(socket))


def _at_once(work: Coroutine[Any, Any, Value]) -> Value:
    """Run what waits for nothing, on no loop: with our transport the SDK's ``connect`` does not."""
    try:
        work.send(None)
    except StopIteration as ended:
        value: Value = ended.value
        return value
    work.close()
    raise ProviderLostError(PROVIDER, "its SDK connects in another way than it did: downgrade it")


@contextlib.asynccontextmanager
async def opened(settings: Connecting[Socket]) -> AsyncIterator[Socket]:
    """Open a connection with these settings; yield the SDK's socket when it is open.

    Each has a session id of its own: the client is inherited by every fork, and would name all
    calls by the same one.
    """
    way = _ways.get((credentials(PROVIDER, _URL), repr(settings))) or _asked(settings)
    headers = {**way.headers, "x-deepgram-session-id": str(uuid.uuid4())}
    transport = _Transport(way.url, headers)
    await transport.open()
    try:
        yield way.socket(websocket=transport)
    finally:
        await transport.close()


def shaped(message: object, shape: type[Shape]) -> Shape | None:
    """Return a message as ``shape``, ``None`` when it has another shape.

    It is JSON as it came, or an object of the SDK, which builds them without validation: anything
    may be missing or of any type.
    """
    try:
        if isinstance(message, bytes):
            return msgspec.json.decode(message, type=shape)
        return msgspec.convert(message, shape, from_attributes=True)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def rehearse(sockets: str, response: str, message: Mapping[str, object], shape: type) -> None:
    """Read a sample once, so that the template pays for what the SDK builds at the first message.

    It takes 2 ms, which the caller of each fork would wait. ``sockets`` is the SDK's module,
    ``response`` the name of its type of what comes on a socket.
    """
    with contextlib.suppress(ImportError, AttributeError):  # the SDK's own affair: it may move
        module: Any = importlib.import_module(sockets)
        shaped(module.construct_type(type_=getattr(module, response), object_=message), shape)


def type_of(message: object) -> str:
    """Return a message's type, empty for what has none."""
    if isinstance(message, bytes):
        named = shaped(message, _Named)
        return named.type if named is not None else ""
    kind: Any = getattr(message, "type", None)
    return kind if isinstance(kind, str) else ""


def fault(error: BaseException) -> ProviderError:
    """Make a `ProviderError` of what a socket raised.

    A refused upgrade says why in ``dg-error``; ``dg-request-id`` is what the support asks for.
    1008 ``DATA-0001`` is too much text in a minute and passes; other 1008s do not
    (docs: tts-troubleshooting-websocket-net-and-data-errors).
    """
    if isinstance(error, InvalidStatus):
        headers = error.response.headers
        said = (headers.get("dg-error"), headers.get("dg-request-id"))
        if any(said):
            reason = ", request ".join(part for part in said if part)
            status, wait = error.response.status_code, headers.get("Retry-After")
            return status_fault(PROVIDER, _KEY, status, reason, wait)
    if isinstance(error, ConnectionClosed) and error.rcvd is not None:
        code, reason = error.rcvd.code, error.rcvd.reason
        if code == 1008 and "DATA-0001" in reason:
            return ProviderLostError(PROVIDER, "too many characters in a minute", code)
    return socket_fault(PROVIDER, _KEY, error)
