"""A realtime voice session: the server's side of the WebSocket, GA shape.

It hears what is in the audio (`tests.fakes.speech`), answers by a `Script`, and speaks faster than
real time. Speech of the caller's cancels its response, as far as the settings let it; what was
played of it, it does not know. What it refuses it says in an ``error`` event, and goes on.
"""

import asyncio
import base64
import contextlib
import json
from collections.abc import Callable, Coroutine
from itertools import count
from typing import Any

from aiohttp import WSMsgType, web

from tests.fakes import openai_realtime_voice_settings as settings
from tests.fakes.openai_chat import Reply
from tests.fakes.openai_realtime_voice_faults import Phase, Voicing
from tests.fakes.openai_realtime_voice_items import Item, Items, new_id
from tests.fakes.openai_realtime_voice_mind import Mind
from tests.fakes.openai_realtime_voice_response import Responding
from tests.fakes.openai_refusal import Refusal, unknown_field
from tests.fakes.voice_model import Began, Ears, Ended

_MOST_AUDIO = 15 << 20
_FIELDS = {
    "session.update": {"session"},
    "input_audio_buffer.append": {"audio"},
    "input_audio_buffer.clear": set(),
    "conversation.item.create": {"item", "previous_item_id"},
    "conversation.item.truncate": {"item_id", "content_index", "audio_end_ms"},
    "conversation.item.delete": {"item_id"},
    "response.create": {"response"},
    "response.cancel": {"response_id"},
}
_ids = count(1)


def check(request: web.Request, models: set[str]) -> None:
    """Refuse a handshake as the server does."""
    if request.headers.get("Upgrade", "").lower() != "websocket":
        raise Refusal(400, None, "Expected a WebSocket upgrade.")
    if "OpenAI-Beta" in request.headers:
        raise Refusal(400, "beta_api_shape_disabled", "The beta shape is not served any more.")
    model = request.query.get("model", "")
    if model not in models or "realtime" not in model or "whisper" in model:
        raise Refusal(404, "model_not_found", "There is no such realtime model.", param="model")


class Died(Exception):  # noqa: N818 - not an error of the fake's
    """The connection has ended as a test wanted it to."""


class VoiceSession:
    """One socket. ``received`` holds the client's events but for the audio, ``ears`` all of its
    sound, ``errors`` the codes of what was refused."""

    def __init__(
        self, socket: web.WebSocketResponse, request: web.Request, voicing: Voicing,
        models: set[str],
    ) -> None:  # fmt: skip
        self._socket, self._request, self._models = socket, request, models
        self.voicing = voicing
        self.id = new_id("sess")
        self.settings = settings.defaults(request.query["model"])
        self.items, self._mind = Items(), Mind(voicing.script)
        self.received: list[dict[str, Any]] = []
        self.sent: list[str] = []
        """The types of the events that went out."""
        self.appends: list[int] = []
        self.errors: list[str | None] = []
        self.on_change: Callable[[], None] = lambda: None
        self.updated = self.has_spoken = self.is_over = False
        self._is_owed = False
        self.ears = Ears(500)
        self._voice_item = ""
        self._responding: Responding | None = None
        self._idle: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def audio(self) -> bytes:
        """All that was heard, μ-law 8 kHz."""
        return bytes(self.ears.audio)

    def of(self, kind: str) -> list[dict[str, Any]]:
        """Return the client's events of a type."""
        return [event for event in self.received if event["type"] == kind]

    async def run(self) -> None:
        """Serve the socket until it ends."""
        if not self.voicing.is_silent:
            session = {**self.settings, "id": self.id}
            await self.send("session.created", session=session)
        try:
            async with asyncio.timeout(self.voicing.session_s):
                async for message in self._socket:
                    if message.type is not WSMsgType.TEXT:
                        await self._error(Refusal(400, "invalid_event", "Text frames only."))
                    elif not self.voicing.is_silent:
                        await self._receive(message.data)
        except TimeoutError:
            await self._error(Refusal(400, "session_expired", "The session was too long."))
            await self._socket.close(code=1001)
        except Died:
            pass
        finally:
            self.is_over = True
            self._rest()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    # What a test does ------------------------------------------------------------------------

    async def send(self, kind: str, **fields: Any) -> None:
        """Send an event; what cannot be sent any more is dropped."""
        if self.voicing.is_chatty:
            await self.send_text(json.dumps({"type": "response.sparkle", "delta": [1]}))
        self.sent.append(kind)
        await self.send_text(json.dumps({"type": kind, "event_id": new_id("event"), **fields}))

    async def send_text(self, text: str) -> None:
        """Send any text."""
        with contextlib.suppress(ConnectionError):
            if not self._socket.closed:
                await self._socket.send_str(text)

    def drop(self) -> None:
        """Cut the connection without a close."""
        assert self._request.transport is not None
        self._request.transport.abort()

    async def close(self, code: int) -> None:
        """Close the socket from the server's side."""
        await self._socket.close(code=code)

    async def dies(self, phase: Phase, pieces: int = 0) -> None:
        """End the connection if it is to end now. Raises `Died`."""
        dies = self.voicing.death(phase, pieces)
        if dies is None:
            return
        if dies.code is None:
            self.drop()
        else:
            await self.close(dies.code)
        raise Died

    # What comes in ---------------------------------------------------------------------------

    async def _receive(self, text: str) -> None:
        event: dict[str, Any] = {}
        try:
            event = _object(text)
            await self._do(event)
        except Refusal as refusal:
            await self._error(refusal, event.get("event_id"))
        self.on_change()

    async def _error(self, refusal: Refusal, event_id: str | None = None) -> None:
        self.errors.append(refusal.code)
        await self.send("error", error={**refusal.error(), "event_id": event_id})

    async def _do(self, event: dict[str, Any]) -> None:
        kind = event.get("type")
        if kind not in _FIELDS:
            raise Refusal(400, "invalid_value", f"Invalid value: '{kind}'.", param="type")
        unknown_field(event, frozenset(_FIELDS[kind] | {"type", "event_id"}))
        if kind != "input_audio_buffer.append":
            self.received.append(event)
        match kind:
            case "session.update":
                await self._update(event.get("session"))
            case "input_audio_buffer.append":
                await self._append(event.get("audio"))
            case "input_audio_buffer.clear":
                await self.send("input_audio_buffer.cleared")
            case "conversation.item.create":
                item, previous = self.items.create(event)
                for said in ("added", "done"):
                    kind = f"conversation.item.{said}"
                    await self.send(kind, item=item.wire(), previous_item_id=previous)
            case "conversation.item.truncate":
                await self.send("conversation.item.truncated", **self.items.truncate(event))
            case "conversation.item.delete":
                gone = self.items.delete(event.get("item_id"))
                await self.send("conversation.item.deleted", item_id=gone.id)
            case "response.create":
                self._create(settings.checked_response(event.get("response"), self._model))
            case "response.cancel":
                self._cancel(event.get("response_id"))

    @property
    def _model(self) -> str:
        return str(self.settings["model"])

    @property
    def _turns(self) -> dict[str, Any]:
        return self.settings["audio"]["input"]["turn_detection"] or {}

    async def _update(self, change: Any) -> None:
        await self.dies(Phase.OPENING)
        self.settings = settings.updated(
            self.settings, change, self._models, has_spoken=self.has_spoken
        )
        if not self.updated:
            self.ears = Ears(self._turns.get("silence_duration_ms", self.voicing.semantic_ms))
        self.updated = True
        await self.send("session.updated", session={**self.settings, "id": self.id})

    async def _append(self, text: object) -> None:
        if not isinstance(text, str):
            raise Refusal(400, "missing_required_parameter", "No 'audio'.", param="audio")
        try:
            audio = base64.b64decode(text, validate=True)
        except ValueError:
            raise Refusal(400, "invalid_audio", "'audio' is no base64.", param="audio") from None
        if not audio or len(audio) > _MOST_AUDIO:
            raise Refusal(400, "invalid_audio", "Too much audio, or none.", param="audio")
        if self.settings["audio"]["input"]["format"] != {"type": "audio/pcmu"}:
            raise Refusal(400, "unsupported", "This fake hears audio/pcmu only.", param="audio")
        self.appends.append(len(audio))
        for event in self.ears.feed(audio):
            await self._heard(event)

    async def _heard(self, event: Began | Ended) -> None:
        buffer = "input_audio_buffer"
        if not self._turns:
            return
        if isinstance(event, Began):
            self._voice_item = new_id("item")
            self._rest()
            start = max(0, int(event.at_ms - self._turns.get("prefix_padding_ms", 300)))
            at = {"audio_start_ms": start, "item_id": self._voice_item}
            await self.send(f"{buffer}.speech_started", **at)
            if self._responding is not None and self._turns["interrupt_response"]:
                self._responding.cancel("turn_detected")
            await self.dies(Phase.LISTENING)
            return
        at = {"audio_end_ms": int(event.at_ms), "item_id": self._voice_item}
        await self.send(f"{buffer}.speech_stopped", **at)
        item = Item(self._voice_item or new_id("item"), "message", "user", event.text, 1.0)
        await self._commit(item)
        self._start(self._transcribe(item))

    async def _commit(self, item: Item) -> None:
        previous = self.items.last_id
        place = {"item_id": item.id, "previous_item_id": previous}
        await self.send("input_audio_buffer.committed", **place)
        self.items.add(item)
        for said in ("added", "done"):
            kind = f"conversation.item.{said}"
            await self.send(kind, item=item.wire(), previous_item_id=previous)
        if self._turns["create_response"]:
            running = self._responding
            if running is None:
                self._create({})
            # One that runs and may not be interrupted is why none comes; a cancelled one is ending.
            self._is_owed = running is not None and bool(running.reason)

    async def _transcribe(self, item: Item) -> None:
        if self.settings["audio"]["input"]["transcription"] is None:
            return
        await asyncio.sleep(self.voicing.transcribe_s)
        kind = "conversation.item.input_audio_transcription"
        place = {"item_id": item.id, "content_index": 0}
        await self.send(f"{kind}.delta", **place, delta=item.text)
        usage = {"type": "duration", "seconds": 1}
        await self.send(f"{kind}.completed", **place, transcript=item.text, usage=usage)

    # Responses -------------------------------------------------------------------------------

    def think(self, asked: dict[str, Any]) -> Reply:
        """Return what a response says."""
        choice = asked.get("tool_choice", self.settings["tool_choice"])
        return self._mind.reply(self.items.all, asked.get("instructions", ""), choice)

    def _create(self, asked: dict[str, Any]) -> None:
        if self._responding is not None:
            message = "Conversation already has an active response in progress."
            raise Refusal(400, "conversation_already_has_active_response", message)
        self._rest()
        self._responding = Responding(self, asked)
        self._start(self._responding.run())

    def _cancel(self, response_id: object) -> None:
        running = self._responding
        if running is None or response_id not in (None, running.id):
            message = "Cancellation failed: no active response found"
            raise Refusal(400, "response_cancel_not_active", message)
        running.cancel("client_cancelled")

    def responded(self, response: Responding, audio_ms: float) -> None:
        """A response has ended, and said so much."""
        if self._responding is response:
            self._responding = None
        timeout_ms = self._turns.get("idle_timeout_ms")
        if timeout_ms is not None and not self._is_owed:
            loop = asyncio.get_running_loop()
            seconds = (audio_ms + timeout_ms) / 1000
            self._idle = loop.call_later(seconds, lambda: self._start(self._nobody_spoke()))

    def go_on(self) -> None:
        """Answer the turn that a cancelled response has kept waiting."""
        if self._is_owed and self._responding is None:
            self._create({})
        self._is_owed = False

    async def _nobody_spoke(self) -> None:
        item, at = Item(new_id("item"), "message", "user", "", 0.0), len(self.ears.audio) // 8
        times = {"audio_start_ms": at, "audio_end_ms": at}
        await self.send("input_audio_buffer.timeout_triggered", **times, item_id=item.id)
        await self._commit(item)

    def _rest(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        async def quietly() -> None:
            with contextlib.suppress(Died):
                await work
            self.on_change()

        task = asyncio.get_running_loop().create_task(quietly())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        # One that is cancelled before its first step has never begun what it was to run.
        task.add_done_callback(lambda _: work.close())


def _object(text: str) -> dict[str, Any]:
    try:
        event = json.loads(text)
    except ValueError:
        raise Refusal(400, "invalid_json", "The event is no JSON.") from None
    if not isinstance(event, dict):
        raise Refusal(400, "invalid_event", "The event is no object.")
    return event
