"""ElevenLabs' voices over one WebSocket a call, a context an utterance.

What is said is in `worker.tts.elevenlabs_wire`, when it is said in `worker.tts.contexts`; at most
five contexts are open on a socket, those included that were closed and are not yet final. Needs
``ELEVENLABS_API_KEY``; ``ELEVENLABS_BASE_URL`` names another server or region. No SDK: theirs
has no asynchronous socket.
"""

import functools
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import quote, urlencode

import msgspec
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, InvalidStatus

from shared.log import get_logger
from worker.backoff import Retry
from worker.credentials import Credentials, credentials
from worker.errors import ProviderError, ProviderRefusedError
from worker.sockets import socket_fault, status_fault, websocket
from worker.tls import shared_context
from worker.tts import TTS, TTSListener, TTSSession
from worker.tts.context_session import ContextSession
from worker.tts.elevenlabs_wire import PROVIDER, ElevenLabsWire, fault_of
from worker.tts.utterance import Habits
from worker.tts.wire import Said

KEY = "ELEVENLABS_API_KEY"
_URL = "https://api.elevenlabs.io"

MOST_CONTEXTS = 5
"""A sixth closes the socket (ElevenLabs, multi-context: ``max_active_conversations``)."""

MOST_INACTIVE_S = 180
"""Longest ``inactivity_timeout`` that is taken (the default there is 20)."""

RACHEL = "21m00Tcm4TlvDq8ikWAM"
"""A voice that every plan may use."""

_OURS = (
    *("model_id", "output_format", "auto_mode", "inactivity_timeout", "sync_alignment"),
    "language_code",
)
"""Query parameters that have a field, or that a phone leaves no choice about."""

_KEEP_ALIVE_S = 10.0
_ROOM_S = 2.0
"""How long closed contexts may take to become final, when room is needed for another."""

_log = get_logger(__name__)
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class ElevenLabs:
    """Speaks with ``voice``, the id of a voice of the account's."""

    voice: str = "JBFqnCBsd6RMkjVDRZzb"
    model: str = "eleven_flash_v2_5"
    stability: float | None = None
    """0-1; ``None`` is the voice's own, as for the next two."""

    similarity_boost: float | None = None
    """0-1."""

    speed: float | None = None
    """0.7-1.2."""

    language: str | None = None
    """ISO 639-1, for models that take one; ``None`` lets the text decide."""

    inactivity_timeout_s: int = MOST_INACTIVE_S
    """How long ElevenLabs keeps a socket that says nothing, in seconds, 1-180. It is kept alive."""

    auto_mode: bool = True
    """Speak each text at once: clauses are whole when they are posted."""

    fallback_voice: str | None = RACHEL
    """Speaks when the plan does not pay for ``voice`` (402); ``None`` to fail instead."""

    options: Mapping[str, object] = field(default_factory=dict)
    """More query parameters of the socket: ``{"apply_text_normalization": "off"}``."""

    answer_s: float = 3.0
    """How long ElevenLabs may be silent while it owes speech, in seconds; then the rest of the
    utterance goes to a new socket, once."""

    retry: Retry = field(default_factory=Retry)

    def __post_init__(self) -> None:
        if not self.voice:
            raise ValueError("ElevenLabs needs the id of a voice: ElevenLabs(voice='...')")
        for name, value, least, most in (
            ("stability", self.stability, 0.0, 1.0),
            ("similarity_boost", self.similarity_boost, 0.0, 1.0),
            ("speed", self.speed, 0.7, 1.2),
            ("inactivity_timeout_s", self.inactivity_timeout_s, 1, MOST_INACTIVE_S),
        ):
            if value is not None and not least <= value <= most:
                raise ValueError(f"ElevenLabs' {name} is {least} to {most}, not {value}")
        if taken := sorted(set(self.options) & set(_OURS)):
            raise ValueError(f"{', '.join(taken)} in options: that is set by a field, or for you")

    def prepare(self) -> None:
        """Read the key and build the TLS context. Raises `ProviderRefusedError` without a key."""
        credentials(PROVIDER, _URL)
        shared_context()

    async def connect(self, listener: TTSListener) -> TTSSession:
        """Open a session. Raises `ProviderError`."""
        account = credentials(PROVIDER, _URL)
        settings = {
            "stability": self.stability,
            "similarity_boost": self.similarity_boost,
            "speed": self.speed,
        }
        given = {name: value for name, value in settings.items() if value is not None}
        session = ContextSession(
            PROVIDER,
            listener,
            opening=_Opening(account, self).open,
            wire=functools.partial(ElevenLabsWire, given),
            fault=_fault,
            habits=Habits(
                self.answer_s,
                keep_alive_s=min(_KEEP_ALIVE_S, self.inactivity_timeout_s / 3),
                most_contexts=MOST_CONTEXTS,
                room_s=_ROOM_S,
            ),
            retry=self.retry,
        )
        await session.start()
        return session

    def stand_in(self) -> TTS:
        """Return a voice that needs no network."""
        from worker.stand_ins import ToneTTS

        return ToneTTS()

    def path(self, voice: str) -> str:
        """Return what is opened for ``voice``: it belongs to the socket, as the format does."""
        query = {
            "model_id": self.model,
            "output_format": "ulaw_8000",
            "auto_mode": str(self.auto_mode).lower(),
            "inactivity_timeout": self.inactivity_timeout_s,
            "sync_alignment": "true",
        }
        if self.language is not None:
            query["language_code"] = self.language
        for name, value in self.options.items():
            query[name] = str(value).lower() if isinstance(value, bool) else str(value)
        voice = quote(voice, safe="")
        return f"/v1/text-to-speech/{voice}/multi-stream-input?{urlencode(query)}"


class _Socket:
    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection

    async def receive(self) -> bytes:
        """Return the next message."""
        return await self._connection.recv(decode=False)

    async def send(self, said: Said) -> None:
        """Send a message."""
        await self._connection.send(_encode(said), text=True)


class _Opening:
    """Opens the sockets of one call, and remembers a voice that is not paid for."""

    def __init__(self, account: Credentials, settings: ElevenLabs) -> None:
        self._account, self._settings = account, settings
        self._voice = settings.voice

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[_Socket, None]:
        """Open one. Raises what `websocket` raises."""
        connection = await self._connection()
        async with connection:
            yield _Socket(connection)

    async def _connection(self) -> ClientConnection:
        try:
            return await self._connect()
        except InvalidStatus as error:
            fallback = self._settings.fallback_voice
            is_unpaid = error.response.status_code == HTTPStatus.PAYMENT_REQUIRED
            if not is_unpaid or fallback in (None, self._voice):
                raise
            _log.warning("voice_not_paid_for", provider=PROVIDER, voice=self._voice, now=fallback)
            self._voice = fallback
            return await self._connect()

    async def _connect(self) -> ClientConnection:
        url = self._account.websocket_url + self._settings.path(self._voice)
        return await websocket(url, {"xi-api-key": self._account.key})


class _Detail(msgspec.Struct):
    status: str = ""
    message: str = ""


class _Refusal(msgspec.Struct):
    detail: _Detail


def _fault(error: BaseException) -> ProviderError:
    """Make an error of what the socket raised; a close by 1008 may pass or not, it says why."""
    if isinstance(error, ConnectionClosed) and error.rcvd is not None and error.rcvd.code == 1008:
        return fault_of(error.rcvd.reason or "closed the connection: 1008", 1008)
    if isinstance(error, InvalidStatus):
        answer = error.response
        try:
            detail = msgspec.json.decode(bytes(answer.body or b""), type=_Refusal).detail
        except msgspec.MsgspecError:  # a 422 has a list there, a proxy a page
            return socket_fault(PROVIDER, KEY, error)
        said, status = f"{detail.status}: {detail.message}", answer.status_code
        if status in (400, 401) and "api_key" not in detail.status:
            # A quota that is used up is a 401 here, too: no reason to check the key.
            return ProviderRefusedError(PROVIDER, f"{said[:200]} (HTTP {status})", status)
        return status_fault(PROVIDER, KEY, status, said, answer.headers.get("Retry-After"))
    return socket_fault(PROVIDER, KEY, error)
