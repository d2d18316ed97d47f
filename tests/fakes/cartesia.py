"""Cartesia's TTS WebSocket as documented, refusals included; its speech says its own words.

    async with CartesiaFake() as fake:      # CARTESIA_BASE_URL=fake.url
        fake.next_contexts.append(Dies(after_ms=300))

Generation is instant unless ``first_delay_s`` or ``pace_s`` (between chunks) are set. A cancel
stops what has not begun; the input that is being spoken goes on, as the documentation says. Not
for use across threads.
"""

import asyncio
import base64
import json
import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request

from shared.audio import bytes_of_ms, ms_of_bytes
from tests.fakes.cartesia_request import BadRequest, Settings, check, settings_of
from tests.fakes.speech import MS_PER_LETTER, speech, timings
from tests.fakes.voice_faults import Dies, Errs, Fault, Refusal, Silent
from tests.fakes.voice_server import EndedError, VoiceServer, end

KEY = "sk_car_test"
_VERSION = re.compile(r"^\d{4}-\d{2}-\d{2}$")


class CartesiaFake(VoiceServer):
    """A server on a port of its own, an async context manager. Times in seconds.

    ``requests`` holds what came, oldest first; ``most_contexts`` is the plan's limit for the whole
    account; ``cancelled`` the contexts that were cancelled.
    """

    def __init__(
        self,
        key: str = KEY,
        *,
        first_delay_s: float = 0.0,
        pace_s: float = 0.0,
        chunk_ms: float = 100.0,
        ms_per_letter: float = MS_PER_LETTER,
        idle_s: float = 300.0,
        expiry_s: float = 1.0,
        most_contexts: int | None = None,
        voices: frozenset[str] | None = None,
        chatty: bool = False,
    ) -> None:
        super().__init__()
        self.key = key
        self.first_delay_s, self.pace_s = first_delay_s, pace_s
        self.chunk_ms, self.ms_per_letter = chunk_ms, ms_per_letter
        self.idle_s, self.expiry_s, self.most_contexts = idle_s, expiry_s, most_contexts
        self.voices = voices
        self.chatty = chatty
        """Send events of types that nobody knows, and phonemes."""
        self.cancelled: set[str] = set()
        self.active: set[str] = set()

    def body(self, refusal: Refusal) -> str:
        error = {
            "error_code": refusal.code,
            "title": HTTPStatus(refusal.status).phrase,
            "message": "as programmed",
            "request_id": "7c0d3a52-0000-4000-8000-000000000000",
        }
        return json.dumps(error)

    def refusal(self, request: Request) -> Refusal | None:
        url = urlsplit(request.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        headers = request.headers
        if url.path != "/tts/websocket":
            return Refusal(404, "not_found")
        given = headers.get("Authorization", "").removeprefix("Bearer ")
        if self.key not in (given, headers.get("X-API-Key"), query.get("api_key")):
            return Refusal(401, "unauthorized")
        version = query.get("cartesia_version", headers.get("Cartesia-Version", ""))
        if not _VERSION.match(version):
            return Refusal(400, "missing_version")
        if self.most_contexts is not None and len(self.connections) >= 10 * self.most_contexts:
            return Refusal(429, "concurrency_limited")
        return None

    async def converse(self, connection: ServerConnection, group: asyncio.TaskGroup) -> None:
        await _Conversation(self, connection, group).run()


@dataclass(slots=True)
class _Context:
    settings: Settings
    fault: Fault | None
    inputs: asyncio.Queue[str | None] = field(default_factory=asyncio.Queue)
    sent: int = 0
    """Bytes of audio so far."""
    ended: bool = False
    expires_at: float | None = None


class _Conversation:
    """One connection."""

    def __init__(
        self, fake: CartesiaFake, connection: ServerConnection, group: asyncio.TaskGroup
    ) -> None:
        self._fake, self._connection, self._group = fake, connection, group
        self._contexts: dict[str, _Context] = {}
        self._loop = asyncio.get_running_loop()

    async def run(self) -> None:
        try:
            while True:
                try:
                    async with asyncio.timeout(self._fake.idle_s):
                        raw = await self._connection.recv()
                except TimeoutError:
                    await self._connection.close(1000, "idle")
                    raise EndedError from None
                await self._take(raw)
        finally:
            self._fake.active -= self._contexts.keys()

    async def _take(self, raw: str | bytes) -> None:
        name: str | None = None
        try:
            request = json.loads(raw)
            self._fake.requests.append(request)
            name = check(request)
            if request.get("cancel"):
                self._cancel(name)
            else:
                await self._generate(name, request)
        except json.JSONDecodeError:
            await self._error(None, BadRequest(400, "invalid_json", "not JSON"))
        except BadRequest as bad:
            await self._error(bad.context or name, bad)

    def _cancel(self, name: str) -> None:
        self._fake.cancelled.add(name)
        self._fake.active.discard(name)
        context = self._contexts.get(name)
        if context is not None:
            context.ended = True
            while not context.inputs.empty():
                context.inputs.get_nowait()
            context.inputs.put_nowait(None)

    async def _generate(self, name: str, request: dict[str, Any]) -> None:
        settings = settings_of(request)
        context = self._contexts.get(name)
        if context is None:
            context = self._open(name, settings)
        elif context.ended:
            raise BadRequest(400, "context_closed", "the context has ended")
        elif context.expires_at is not None and self._loop.time() > context.expires_at:
            self._fake.active.discard(name)
            raise BadRequest(400, "context_expired", "the context has expired")
        elif context.settings != settings:
            raise BadRequest(400, "context_changed", "only the transcript may change")
        context.expires_at = None
        if isinstance(context.fault, Errs):
            fault, context.fault = context.fault, None
            del self._contexts[name]
            self._fake.active.discard(name)
            await self._error(
                name if fault.named else None, BadRequest(fault.status, fault.code, fault.message)
            )
            return
        if request["transcript"]:
            context.inputs.put_nowait(request["transcript"])
        if not request.get("continue", False):
            context.ended = True
            context.inputs.put_nowait(None)

    def _open(self, name: str, settings: Settings) -> _Context:
        fake = self._fake
        if fake.voices is not None and settings.voice not in fake.voices:
            raise BadRequest(404, "voice_not_found", "there is no such voice")
        if fake.most_contexts is not None and len(fake.active) >= fake.most_contexts:
            raise BadRequest(429, "concurrency_limited", "too many concurrent requests")
        fault = fake.take_fault()
        context = self._contexts[name] = _Context(settings, fault)
        fake.active.add(name)
        if not isinstance(fault, Errs | Silent):
            self._group.create_task(self._speak(name, context))
        return context

    async def _speak(self, name: str, context: _Context) -> None:
        flushes = 0
        while (text := await context.inputs.get()) is not None:
            await asyncio.sleep(max(self._fake.first_delay_s, context.settings.buffer_s))
            await self._say(name, context, text)
            flushes += 1
            if context.settings.buffer_s == 0:
                await self._event("flush_done", name, flush_done=True, flush_id=flushes)
            if not context.ended:
                context.expires_at = self._loop.time() + self._fake.expiry_s
        self._fake.active.discard(name)
        if name not in self._fake.cancelled:
            await self._event("done", name, done=True)

    async def _say(self, name: str, context: _Context, text: str) -> None:
        base_ms = ms_of_bytes(context.sent)
        words = deque(timings(text, self._fake.ms_per_letter))
        for at, chunk in enumerate(self._chunks(context, text)):
            if at and self._fake.pace_s:
                await asyncio.sleep(self._fake.pace_s)
            await self._event("chunk", name, data=base64.b64encode(chunk).decode(), step_time=1.5)
            context.sent += len(chunk)
            if isinstance(context.fault, Dies) and context.sent >= bytes_of_ms(
                context.fault.after_ms
            ):
                await end(self._connection, context.fault.code, context.fault.reason)
                raise EndedError
            begun = []
            while words and base_ms + words[0].start_ms < ms_of_bytes(context.sent):
                begun.append(words.popleft())
            if begun and context.settings.timestamps:
                await self._timestamps(name, begun, base_ms)

    def _chunks(self, context: _Context, text: str) -> Iterator[bytes]:
        audio, size = speech(text, self._fake.ms_per_letter), bytes_of_ms(self._fake.chunk_ms)
        if isinstance(context.fault, Dies):
            left = max(0, bytes_of_ms(context.fault.after_ms) - context.sent)
            yield from (audio[at : min(at + size, left)] for at in range(0, left, size))
            audio = audio[left:]
        yield from (audio[at : at + size] for at in range(0, len(audio), size))

    async def _timestamps(self, name: str, words: list[Any], base_ms: float) -> None:
        if self._fake.chatty:
            phonemes = {"phonemes": ["h"], "start": [0.0], "end": [0.1]}
            await self._event("phoneme_timestamps", name, phoneme_timestamps=phonemes)
            await self._event("weather", name, data={"sun": [1, 2]}, word_timestamps="none")
        await self._event(
            "timestamps",
            name,
            word_timestamps={
                "words": [word.text for word in words],
                "start": [(base_ms + word.start_ms) / 1000 for word in words],
                "end": [(base_ms + word.end_ms) / 1000 for word in words],
            },
        )

    async def _event(self, kind: str, name: str, *, done: bool = False, **fields: object) -> None:
        event = {"type": kind, "context_id": name, "done": done, "status_code": 206, **fields}
        await self._connection.send(json.dumps(event))

    async def _error(self, name: str | None, bad: BadRequest) -> None:
        event: dict[str, Any] = {
            "type": "error",
            "done": True,
            "status_code": bad.status,
            "error_code": bad.code,
            "title": HTTPStatus(bad.status).phrase,
            "message": bad.message,
            "request_id": f"7c0d3a52-0000-4000-8000-000000000000:{name}:0",
        }
        if name is not None:
            event["context_id"] = name
        await self._connection.send(json.dumps(event))
