"""OpenAI's API on loopback: chat completions, models, speech, realtime transcription and voice.

    async with OpenAIFake() as fake:
        fake.replies = ["Good evening.", [Wants("book", {"people": 2})]]
        ... point OPENAI_BASE_URL at fake.url, OPENAI_API_KEY is fake.key ...
        assert fake.chats[0].body["model"] == "gpt-4.1-mini"

It checks what the real server checks and answers as it does; where local servers speak a dialect,
`Dialect` has it. Faults are queued in advance, by endpoint: each request takes the next one.
"""

import asyncio
import json
from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from types import TracebackType
from typing import Any, Literal, Self

from aiohttp import web

from tests.fakes import openai_chat, openai_realtime, openai_realtime_voice, openai_speech
from tests.fakes.openai_chat import Dialect, Replies
from tests.fakes.openai_realtime import Hearing
from tests.fakes.openai_realtime_voice_faults import Voicing
from tests.fakes.openai_refusal import Refusal
from tests.fakes.voice_model import Script

KEY = "sk-fake-0123456789"

Endpoint = Literal["chat", "models", "speech", "realtime"]


class Trouble(Enum):
    """Ways to break an answer off."""

    STALL = auto()
    """Nothing more comes, and the connection stays open."""
    DROP = auto()
    """The connection is reset."""
    ERROR = auto()
    """An error object comes in the stream (chat only)."""
    GARBAGE = auto()
    """Something comes that is not what it should be."""


@dataclass(frozen=True, slots=True)
class Broken:
    """An answer that breaks off after ``after`` of its pieces; -1 is before the headers."""

    trouble: Trouble
    after: int = 0


Fault = Refusal | Broken


@dataclass(slots=True)
class Asked:
    """A request as it came. ``cut_off``: the client went before the answer was whole.

    ``peer`` is the port of its connection.
    """

    endpoint: str
    headers: Mapping[str, str]
    peer: int
    body: dict[str, Any] = field(default_factory=dict)
    cut_off: bool = False
    whole: bool = False


class OpenAIFake:
    """One account behind ``url``, an async context manager.

    ``replies`` is what the model answers, a list or a function of the request's messages;
    ``token_s`` passes before each piece of an answer. ``hearing`` programs the transcription.
    ``port`` 0 takes any free one.
    """

    def __init__(self, *, key: str | None = KEY, port: int = 0, session_s: float = 3600.0) -> None:
        self.key, self.url, self._port = key, "", port
        self.models = {
            "gpt-4.1-mini", "gpt-4o-mini-tts", "tts-1", "gpt-4o-mini-transcribe",
            "gpt-4o-transcribe", "gpt-live-transcribe", "gpt-realtime-whisper", "whisper-1",
            "gpt-realtime-2.1", "gpt-realtime-2.1-mini", "gpt-realtime",
        }  # fmt: skip
        self.replies: Replies = []
        self.dialect = Dialect()
        self.token_s = 0.0
        self.letter_ms = 50.0
        """How long the voice takes for a letter."""
        self.hearing = Hearing(session_s=session_s)
        self.script = Script()
        """What the realtime voice model answers."""
        self.voice = Voicing(self.script, session_s)
        self.requests: list[Asked] = []
        self._faults: dict[str, deque[Fault]] = defaultdict(deque)
        self._changed = asyncio.Event()
        self.closing = asyncio.Event()

    def fail(self, endpoint: Endpoint, *faults: Fault) -> None:
        """Let the next requests of an endpoint fail, one with each fault."""
        self._faults[endpoint].extend(faults)

    def of(self, endpoint: Endpoint) -> list[Asked]:
        """Return what was asked of one endpoint."""
        return [asked for asked in self.requests if asked.endpoint == endpoint]

    @property
    def sessions(self) -> list[openai_realtime_voice.VoiceSession]:
        """The sessions of the realtime voice model."""
        return self.voice.sessions

    @property
    def chats(self) -> list[Asked]:
        """The requests of chat completions."""
        return self.of("chat")

    async def until(self, condition: Callable[[], bool], seconds: float = 30.0) -> None:
        """Wait until a condition on what came is true; ``TimeoutError`` if it never is."""
        async with asyncio.timeout(seconds):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    def changed(self) -> None:
        """Something came or went: whoever waits in `until` looks again."""
        self._changed.set()

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=32 << 20)
        app.router.add_post("/v1/chat/completions", self._chat)
        app.router.add_post("/v1/audio/speech", self._speech)
        app.router.add_get("/v1/models", self._models)
        app.router.add_get("/v1/realtime", self._realtime)
        self._runner = web.AppRunner(
            app, access_log=None, shutdown_timeout=0.5, handler_cancellation=True
        )
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}/v1"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.closing.set()
        await self._runner.cleanup()

    # What every endpoint does ----------------------------------------------------------------

    async def _open(self, request: web.Request, endpoint: Endpoint) -> tuple[Asked, Fault | None]:
        assert request.transport is not None
        peer = request.transport.get_extra_info("peername")[1]
        asked = Asked(endpoint, dict(request.headers), peer)
        self.requests.append(asked)
        self.changed()
        self._authorise(request)
        fault = self._faults[endpoint].popleft() if self._faults[endpoint] else None
        if isinstance(fault, Refusal):
            raise fault
        if request.method == "POST":
            asked.body = await _json(request)
        return asked, fault

    def _authorise(self, request: web.Request) -> None:
        given = request.headers.get("Authorization", "")
        if self.key is None or given == f"Bearer {self.key}":
            return
        if not given.startswith("Bearer "):
            raise Refusal(401, None, "You didn't provide an API key.")
        raise Refusal(401, "invalid_api_key", f"Incorrect API key provided: {given[7:]}.")

    async def _streamed(
        self, request: web.Request, asked: Asked, content_type: str, pieces: list[bytes],
        fault: Fault | None,
    ) -> web.StreamResponse:  # fmt: skip
        """Send the pieces one after the other, as far as the fault lets it."""
        try:
            response = await self._pieces(request, content_type, pieces, fault)
            asked.whole = True
        except (asyncio.CancelledError, ConnectionError):
            asked.cut_off = True
            raise
        finally:
            self.changed()
        return response

    async def _pieces(
        self, request: web.Request, content_type: str, pieces: list[bytes], fault: Fault | None
    ) -> web.StreamResponse:
        broken = fault if isinstance(fault, Broken) else None
        if broken is not None and broken.after < 0:
            await self._break(request, broken, None)
        response = web.StreamResponse(headers={"Content-Type": content_type})
        await response.prepare(request)
        for number, piece in enumerate(pieces):
            if broken is not None and number == broken.after:
                await self._break(request, broken, response)
                return response
            if self.token_s:
                await asyncio.sleep(self.token_s)
            await response.write(piece)
        await response.write_eof()
        return response

    async def _break(
        self, request: web.Request, broken: Broken, response: web.StreamResponse | None
    ) -> None:
        match broken.trouble:
            case Trouble.STALL:
                await self.closing.wait()
            case Trouble.ERROR if response is not None:
                await response.write(openai_chat.error_event())
            case Trouble.GARBAGE if response is not None:
                await response.write(b"data: {<html>\n\n")
            case _:
                assert request.transport is not None
                request.transport.abort()
                await asyncio.sleep(0)
                raise ConnectionResetError

    # The endpoints ---------------------------------------------------------------------------

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        try:
            asked, fault = await self._open(request, "chat")
            openai_chat.check(asked.body, self.models, self.dialect)
            reply = openai_chat.next_reply(self.replies, asked.body["messages"])
            if not asked.body.get("stream"):
                raise Refusal(400, "unsupported", "This fake streams only.")
        except Refusal as refusal:
            return refusal.response()
        pieces = openai_chat.events(reply, asked.body, self.dialect)
        return await self._streamed(request, asked, "text/event-stream", pieces, fault)

    async def _speech(self, request: web.Request) -> web.StreamResponse:
        try:
            asked, fault = await self._open(request, "speech")
            openai_speech.check(asked.body, self.models)
        except Refusal as refusal:
            return refusal.response()
        pieces = openai_speech.pieces(asked.body, self.letter_ms)
        return await self._streamed(request, asked, "audio/pcm", pieces, fault)

    async def _models(self, request: web.Request) -> web.StreamResponse:
        try:
            _, fault = await self._open(request, "models")
        except Refusal as refusal:
            return refusal.response()
        if isinstance(fault, Broken):
            await self._break(request, fault, None)
        data = [{"id": model, "object": "model"} for model in sorted(self.models)]
        return web.json_response({"object": "list", "data": data})

    async def _realtime(self, request: web.Request) -> web.StreamResponse:
        try:
            asked, fault = await self._open(request, "realtime")
            is_voice = "model" in request.query and "intent" not in request.query
            if is_voice:
                openai_realtime_voice.check(request, self.models)
            else:
                openai_realtime.check(request)
        except Refusal as refusal:
            return refusal.response()
        if isinstance(fault, Broken):
            await self._break(request, fault, None)
        socket = web.WebSocketResponse(max_msg_size=32 << 20)
        await socket.prepare(request)
        session = self._session(socket, request, is_voice=is_voice)
        session.on_change = self.changed
        self.changed()
        try:
            await session.run()
        finally:
            asked.whole = True
            self.changed()
        return socket

    def _session(
        self, socket: web.WebSocketResponse, request: web.Request, *, is_voice: bool
    ) -> openai_realtime.Session | openai_realtime_voice.VoiceSession:
        if is_voice:
            voice = openai_realtime_voice.VoiceSession(socket, request, self.voice, self.models)
            self.voice.sessions.append(voice)
            return voice
        ears = openai_realtime.Session(socket, request, self.hearing, self.models)
        self.hearing.sessions.append(ears)
        return ears


async def _json(request: web.Request) -> dict[str, Any]:
    if request.content_type != "application/json":
        raise Refusal(400, None, "We could not parse the JSON body of your request.")
    try:
        body = json.loads(await request.read())
    except ValueError:
        raise Refusal(400, None, "We could not parse the JSON body of your request.") from None
    if not isinstance(body, dict):
        raise Refusal(400, None, "The body of the request must be an object.")
    return body
