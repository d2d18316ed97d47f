"""ElevenLabs' multi-context TTS WebSocket as documented, refusals included.

    async with ElevenLabsFake() as fake:    # ELEVENLABS_BASE_URL=fake.url
        fake.next_contexts.append(Dies(after_ms=300))

Its speech says its own words. What was flushed is spoken even when its context is closed
meanwhile; a context takes room until its ``isFinal`` was sent. Not for use across threads.
"""

import asyncio
import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request

from shared.audio import bytes_of_ms
from tests.fakes.elevenlabs_chunks import Chunk, Spelling, chunk_message, chunks, final_message
from tests.fakes.elevenlabs_request import BadMessage, Query, check, query_of
from tests.fakes.speech import MS_PER_LETTER
from tests.fakes.voice_faults import Dies, Errs, Fault, Refusal, Silent
from tests.fakes.voice_server import EndedError, VoiceServer, end

KEY = "sk_el_test"
MOST_CONTEXTS = 5


class ElevenLabsFake(VoiceServer):
    """A server on a port of its own, an async context manager. Times in seconds.

    ``requests`` holds what came, oldest first, ``handshakes`` the upgrades. ``unpaid_voices`` are
    refused with 402.
    """

    def __init__(
        self,
        key: str = KEY,
        *,
        first_delay_s: float = 0.0,
        pace_s: float = 0.0,
        final_delay_s: float = 0.0,
        chunk_ms: float = 100.0,
        ms_per_letter: float = MS_PER_LETTER,
        spelling: Spelling = "camel",
        voices: frozenset[str] | None = None,
        unpaid_voices: frozenset[str] = frozenset(),
        most_sockets: int | None = None,
    ) -> None:
        super().__init__()
        self.key = key
        self.first_delay_s, self.pace_s, self.final_delay_s = first_delay_s, pace_s, final_delay_s
        self.chunk_ms, self.ms_per_letter = chunk_ms, ms_per_letter
        self.spelling = spelling
        self.voices, self.unpaid_voices, self.most_sockets = voices, unpaid_voices, most_sockets
        self.most_open = 0
        """Most contexts that were ever open on one socket."""

    def body(self, refusal: Refusal) -> str:
        detail: object = {"status": refusal.code, "message": "as programmed"}
        if refusal.status == 422:
            detail = [{"loc": ["query", refusal.code], "msg": "wrong", "type": "value_error"}]
        return json.dumps({"detail": detail})

    def refusal(self, request: Request) -> Refusal | None:
        url = urlsplit(request.path)
        parts = url.path.split("/")
        if parts[:3] != ["", "v1", "text-to-speech"] or parts[4:] != ["multi-stream-input"]:
            return Refusal(404, "not_found")
        if request.headers.get("xi-api-key") != self.key:
            return Refusal(401, "invalid_api_key")
        if parts[3] in self.unpaid_voices:
            return Refusal(402, "paid_plan_required")
        if self.voices is not None and parts[3] not in self.voices:
            return Refusal(400, "voice_not_found")
        try:
            query_of(parse_qs(url.query))
        except BadMessage as bad:
            return Refusal(422, bad.error)
        if self.most_sockets is not None and len(self.connections) >= self.most_sockets:
            return Refusal(429, "too_many_concurrent_requests")
        return None

    async def converse(self, connection: ServerConnection, group: asyncio.TaskGroup) -> None:
        await _Conversation(self, connection, group).run()


@dataclass(slots=True)
class _Context:
    settings: object
    fault: Fault | None
    buffer: str = ""
    flushed: asyncio.Queue[str | None] = field(default_factory=asyncio.Queue)
    sent: int = 0
    closed: bool = False

    def flush(self) -> None:
        """Let what is buffered be spoken."""
        if self.buffer.strip():
            self.flushed.put_nowait(self.buffer)
        self.buffer = ""


class _Conversation:
    """One connection."""

    def __init__(
        self, fake: ElevenLabsFake, connection: ServerConnection, group: asyncio.TaskGroup
    ) -> None:
        self._fake, self._connection, self._group = fake, connection, group
        assert connection.request is not None
        self._query: Query = query_of(parse_qs(urlsplit(connection.request.path).query))
        self._contexts: dict[str, _Context] = {}
        self._sent = 0

    async def run(self) -> None:
        try:
            while True:
                await self._take(await self._receive())
        except BadMessage as bad:
            await self._fail(bad.error, bad.message)

    async def _receive(self) -> dict[str, Any]:
        seconds = self._query.inactivity_s
        try:
            async with asyncio.timeout(seconds):
                raw = await self._connection.recv()
        except TimeoutError:
            raise BadMessage(
                "input_timeout_exceeded",
                f"Have not received a new text input within the timeout of {seconds} seconds",
            ) from None
        message = check(raw)
        self._fake.requests.append(message)
        return message

    async def _take(self, message: dict[str, Any]) -> None:
        if message.get("close_socket"):
            await self._connection.close(1000)
            raise EndedError
        name = message.get("context_id")
        if name is None:
            if message.get("text") != "":
                raise BadMessage("invalid_message", "a text needs a context_id")
            return
        context = self._contexts.get(name)
        if context is None:
            if message.get("close_context"):
                return
            context = self._open(name, message)
        elif context.closed:
            raise BadMessage("invalid_message", "the context is closed")
        elif _settings_of(message) not in (None, context.settings):
            raise BadMessage(
                "invalid_message",
                "voice_settings field must be provided in the first message and then either be "
                "not provided or not change",
            )
        if isinstance(context.fault, Errs) and str(message.get("text", "")).strip():
            await self._fail(context.fault.code, context.fault.message, context.fault.status)
        context.buffer += message.get("text", "")
        auto = self._query.auto_mode or len(context.buffer) >= 120
        if message.get("flush") or (auto and context.buffer.strip()):
            context.flush()
        if message.get("close_context"):
            context.closed = True
            context.flushed.put_nowait(None)

    def _open(self, name: str, message: dict[str, Any]) -> _Context:
        if len(self._contexts) >= MOST_CONTEXTS:
            raise BadMessage(
                "max_active_conversations",
                "Maximum simultaneous contexts per WebSocket connection exceeded (5)",
            )
        fault = self._fake.take_fault()
        context = self._contexts[name] = _Context(_settings_of(message), fault)
        self._fake.most_open = max(self._fake.most_open, len(self._contexts))
        if not isinstance(fault, Silent):
            self._group.create_task(self._speak(name, context))
        return context

    async def _speak(self, name: str, context: _Context) -> None:
        while (text := await context.flushed.get()) is not None:
            await asyncio.sleep(self._fake.first_delay_s)
            await self._say(name, context, text)
        await asyncio.sleep(self._fake.final_delay_s)
        # A client that counts contexts may open the next one on hearing this.
        self._contexts.pop(name, None)
        await self._send(final_message(name, self._spelling()))

    async def _say(self, name: str, context: _Context, text: str) -> None:
        for at, chunk in enumerate(self._chunks(context, text)):
            if at and self._fake.pace_s:
                await asyncio.sleep(self._fake.pace_s)
            if chunk.audio:
                encoded = base64.b64encode(chunk.audio).decode()
                await self._send(
                    chunk_message(name, encoded, chunk, self._spelling(), self._query.alignment)
                )
            context.sent += len(chunk.audio)
            fault = context.fault
            if isinstance(fault, Dies) and context.sent >= bytes_of_ms(fault.after_ms):
                await end(self._connection, fault.code, fault.reason)
                raise EndedError

    def _chunks(self, context: _Context, text: str) -> Iterator[Chunk]:
        size = bytes_of_ms(self._fake.chunk_ms)
        cut = None
        if isinstance(context.fault, Dies):
            cut = max(0, bytes_of_ms(context.fault.after_ms) - context.sent)
        return chunks(text, self._fake.ms_per_letter, size, cut)

    def _spelling(self) -> Literal["camel", "snake"]:
        self._sent += 1
        if self._fake.spelling == "mixed":
            return "snake" if self._sent % 2 else "camel"
        return self._fake.spelling

    async def _send(self, message: dict[str, Any]) -> None:
        await self._connection.send(json.dumps(message))

    async def _fail(self, error: str, message: str, code: int = 1008) -> None:
        await self._send({"message": message, "error": error, "code": code})
        await self._connection.close(code, message[:120])
        raise EndedError


def _settings_of(message: dict[str, Any]) -> object:
    given = {
        name: message[name] for name in ("voice_settings", "generation_config") if name in message
    }
    return given or None
