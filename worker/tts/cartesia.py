"""Cartesia's voices: Sonic over one WebSocket a call, a context an utterance.

The socket is the Cartesia SDK's (4.x), its events raw: the context helper of the SDK hangs when
the server goes away. What is said is in `worker.tts.cartesia_wire`, when it is said in
`worker.tts.contexts`. Needs ``CARTESIA_API_KEY``; ``CARTESIA_BASE_URL`` names another server.
"""

import functools
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import msgspec

from worker.backoff import Retry
from worker.credentials import Credentials, credentials
from worker.errors import ProviderError, ProviderRefusedError
from worker.sockets import socket_fault, socket_options
from worker.tls import shared_context
from worker.tts import TTS, TTSListener, TTSSession
from worker.tts.cartesia_wire import PROVIDER, CartesiaWire
from worker.tts.context_session import ContextSession
from worker.tts.utterance import Habits
from worker.tts.wire import Said

if TYPE_CHECKING:
    from cartesia import AsyncCartesia, BaseModel
    from cartesia.resources.tts import AsyncTTSResourceConnection
    from cartesia.types.websocket_connection_options import WebsocketConnectionOptions

KEY = "CARTESIA_API_KEY"
_URL = "https://api.cartesia.ai"

_PAUSE_S = 0.6
"""A context expires 1 s after its last audio (Cartesia, contexts): it is ended before that."""

_OURS = (
    *("context_id", "model_id", "voice", "language", "output_format", "transcript", "continue"),
    *("add_timestamps", "max_buffer_delay_ms", "generation_config", "pronunciation_dict_id"),
)
"""Fields of a request that are set by a field here, or that a phone leaves no choice about."""

_FORMAT = {"container": "raw", "encoding": "pcm_mulaw", "sample_rate": 8000}


@dataclass(frozen=True, slots=True)
class Cartesia:
    """Speaks with ``voice``, the id of a voice in Cartesia's library or a cloned one.

    Clauses are spoken as they are posted: Cartesia's own buffering (3 s by default) is off.
    """

    voice: str
    model: str = "sonic-3.5"
    """An alias follows the newest stable snapshot; a dated one stays (``sonic-3-2026-01-12``)."""

    language: str = "en"
    speed: float | None = None
    """0.6-1.5; 1.0 is the voice's own."""

    volume: float | None = None
    """0.5-2.0; 1.0 is the voice's own."""

    emotion: str | None = None
    pronunciation_dict_id: str | None = None
    options: Mapping[str, object] = field(default_factory=dict)
    """More fields of every request: ``{"use_normalized_timestamps": True}``."""

    answer_s: float = 3.0
    """How long Cartesia may be silent while it owes speech, in seconds; then the rest of the
    utterance goes to a new socket, once."""

    retry: Retry = field(default_factory=Retry)

    def __post_init__(self) -> None:
        if not self.voice:
            raise ValueError("Cartesia needs the id of a voice: Cartesia(voice='...')")
        for name, value, least, most in (
            ("speed", self.speed, 0.6, 1.5),
            ("volume", self.volume, 0.5, 2.0),
        ):
            if value is not None and not least <= value <= most:
                raise ValueError(f"Cartesia's {name} is {least} to {most}, not {value}")
        if taken := sorted(set(self.options) & set(_OURS)):
            raise ValueError(f"{', '.join(taken)} in options: that is set by a field, or for you")

    def prepare(self) -> None:
        """Import the SDK, build its client and the TLS context.

        Raises `ProviderRefusedError` without a key, or when the SDK is not installed.
        """
        client = _client(credentials(PROVIDER, _URL))
        # The SDK imports its resources, looks up its headers and builds a model when first asked.
        _ = client.tts, client.default_headers, _request_type()("")

    async def connect(self, listener: TTSListener) -> TTSSession:
        """Open a session. Raises `ProviderError`."""
        account = credentials(PROVIDER, _URL)
        session = ContextSession(
            PROVIDER,
            listener,
            opening=functools.partial(_opening, account),
            wire=functools.partial(CartesiaWire, self._settings()),
            fault=_fault,
            habits=Habits(self.answer_s, pause_s=_PAUSE_S),
            retry=self.retry,
        )
        await session.start()
        return session

    def stand_in(self) -> TTS:
        """Return a voice that needs no network."""
        from worker.stand_ins import ToneTTS

        return ToneTTS()

    def _settings(self) -> dict[str, object]:
        """What every request repeats (Cartesia, TTS WebSocket)."""
        config = {"speed": self.speed, "volume": self.volume, "emotion": self.emotion}
        config = {name: value for name, value in config.items() if value is not None}
        settings: dict[str, object] = {
            "model_id": self.model,
            "voice": {"id": self.voice},
            "language": self.language,
            "output_format": _FORMAT,
            "add_timestamps": True,
            "max_buffer_delay_ms": 0,
        }
        if config:
            settings["generation_config"] = config
        if self.pronunciation_dict_id is not None:
            settings["pronunciation_dict_id"] = self.pronunciation_dict_id
        return settings | dict(self.options)


@functools.cache
def _client(account: Credentials) -> "AsyncCartesia":
    try:
        import httpx
        from cartesia import AsyncCartesia
    except ImportError as error:
        sentence = "its SDK is not installed: pip install 'callfarm[providers]'"
        raise ProviderRefusedError(PROVIDER, sentence) from error
    return AsyncCartesia(
        api_key=account.key,
        base_url=account.base_url,
        websocket_base_url=account.websocket_url,
        # Never used, and would load the certificates again.
        http_client=httpx.AsyncClient(verify=shared_context()),
    )


class _Socket:
    """The SDK's connection without its pydantic events, either way."""

    def __init__(self, connection: "AsyncTTSResourceConnection") -> None:
        self._connection = connection
        self._request = _request_type()

    async def receive(self) -> bytes:
        """Return the next message."""
        return await self._connection.recv_bytes()

    async def send(self, said: Said) -> None:
        """Send a request."""
        request: Any = self._request(msgspec.json.encode(said).decode())
        await self._connection.send(request)


@functools.cache
def _request_type() -> "Callable[[str], BaseModel]":
    """Return a request that has its JSON with it: the SDK asks each for that when it is sent.

    To make it out of the fields takes the SDK longer than all that is done for a clause here
    (0.15-0.3 ms), and the caller waits.
    """
    from cartesia import BaseModel

    class Request(BaseModel):
        written: str

        def to_json(self, **_: object) -> str:
            return self.written

    return lambda written: Request.construct(written=written)


@asynccontextmanager
async def _opening(account: Credentials) -> AsyncGenerator[_Socket, None]:
    options = cast("WebsocketConnectionOptions", socket_options(account.websocket_url))
    tts = _client(account).tts
    async with tts.websocket_connect(websocket_connection_options=options) as connection:
        yield _Socket(connection)


def _fault(error: BaseException) -> ProviderError:
    return socket_fault(PROVIDER, KEY, error)
