"""A realtime transcription session: the server's side of the WebSocket, GA shape.

It hears speech where the audio is loud, as a server's voice detection does, and knows the words
from `Hearing.transcripts`. What it refuses it says in an ``error`` event, and goes on.
"""

import asyncio
import base64
import contextlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from aiohttp import WSMsgType, web

from shared.audio import FRAME_BYTES, Resampler, level_dbfs, pcm16_to_ulaw
from shared.speech.endpointing import Endpointing, Endpoints, SpeechEnded, SpeechStarted
from tests.fakes import openai_realtime_session as settings
from tests.fakes.openai_refusal import Refusal, unknown_field
from tests.fakes.speech import words_in

_PREFIX_MS = 300
_LEAST_COMMIT_MS = 100
_MOST_AUDIO = 15 << 20
_FIELDS = {
    "session.update": {"session"},
    "input_audio_buffer.append": {"audio"},
    "input_audio_buffer.commit": set(),
    "input_audio_buffer.clear": set(),
}
_ids = count(1)


@dataclass(slots=True)
class Hearing:
    """What is heard, and how.

    ``transcripts``: the words of each item in turn; then those that its audio says itself
    (`tests.fakes.speech`), and ``words`` if it says none.
    """

    session_s: float = 3600.0
    """How long a session may last."""
    transcripts: list[str | Refusal] = field(default_factory=list)
    """A `Refusal` is a transcription that fails."""
    words: str = "two of us"
    transcribe_s: float = 0.0
    """From an item's commit to its first words."""
    hold: bool = False
    """Transcriptions wait until `Session.release`."""
    speaks_first: bool = True
    """``session.created`` is sent."""
    sessions: "list[Session]" = field(default_factory=list)


def check(request: web.Request) -> None:
    """Refuse a handshake as the server does."""
    if request.headers.get("Upgrade", "").lower() != "websocket":
        raise Refusal(400, None, "Expected a WebSocket upgrade.")
    if "OpenAI-Beta" in request.headers:
        raise Refusal(400, "beta_api_shape_disabled", "The beta shape is not served any more.")
    if request.query.get("intent") != "transcription":
        raise Refusal(400, "missing_model", "You must provide a model parameter.")
    if "model" in request.query:
        raise Refusal(400, "invalid_model", "A transcription session has no model of its own.")


class Session:
    """One socket. ``received`` holds the types of the client's events, ``audio`` all of its sound.

    ``errors`` holds the codes of what was refused.
    """

    def __init__(
        self, socket: web.WebSocketResponse, request: web.Request, hearing: Hearing,
        models: set[str],
    ) -> None:  # fmt: skip
        self._socket, self._request, self._hearing, self._models = socket, request, hearing, models
        self.settings = settings.defaults()
        self.received: list[str] = []
        self.appends: list[int] = []
        """The size of each piece of audio, in bytes of its format."""
        self.errors: list[str | None] = []
        self.audio = bytearray()
        """All that came, as μ-law 8 kHz."""
        self.items: list[tuple[str, bytes]] = []
        self.on_change: Callable[[], None] = lambda: None
        self.updated = False
        self.is_open = True
        self._committed = 0
        self._read = 0
        self._began: int | None = None
        self._item = ""
        self._last_item: str | None = None
        self._endpointing = Endpointing()
        self._resampler = Resampler(24_000)
        self._released = asyncio.Event()
        self._answered: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Serve the socket until it ends."""
        if self._hearing.speaks_first:
            await self.send("session.created", session=self.settings)
        try:
            async with asyncio.timeout(self._hearing.session_s):
                async for message in self._socket:
                    if message.type is not WSMsgType.TEXT:
                        await self._error(Refusal(400, "invalid_event", "Text frames only."))
                        continue
                    await self._receive(message.data)
        except TimeoutError:
            await self._error(Refusal(400, "session_expired", "The session was too long."))
            await self._socket.close(code=1001)
        finally:
            self.is_open = False
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def send(self, kind: str, **fields: Any) -> None:
        """Send an event; what cannot be sent any more is dropped."""
        event = {"type": kind, "event_id": f"event_{next(_ids)}", **fields}
        with contextlib.suppress(ConnectionError):
            if not self._socket.closed:
                await self._socket.send_str(json.dumps(event))

    def drop(self) -> None:
        """Cut the connection without a close."""
        assert self._request.transport is not None
        self._request.transport.abort()

    async def close(self, code: int) -> None:
        """Close the socket from the server's side."""
        await self._socket.close(code=code)

    def release(self) -> None:
        """Let the transcriptions come that `Hearing.hold` keeps back."""
        self._released.set()

    # What comes in ---------------------------------------------------------------------------

    async def _receive(self, text: str) -> None:
        event: dict[str, Any] = {}
        try:
            event = _object(text)
            await self._do(event)
        except Refusal as refusal:
            await self._error(refusal, event.get("event_id"))
        self.on_change()

    async def _do(self, event: dict[str, Any]) -> None:
        kind = event.get("type")
        if kind not in _FIELDS:
            raise Refusal(400, "invalid_value", f"Invalid value: '{kind}'.", param="type")
        unknown_field(event, frozenset(_FIELDS[kind] | {"type", "event_id"}))
        self.received.append(kind)
        match kind:
            case "session.update":
                self.settings = settings.updated(self.settings, event.get("session"), self._models)
                self.updated = True
                self._start_detection()
                await self.send("session.updated", session=self.settings)
            case "input_audio_buffer.append":
                await self._append(event.get("audio"))
            case "input_audio_buffer.commit":
                await self._commit_by_client()
            case "input_audio_buffer.clear":
                self._committed = len(self.audio)
                await self.send("input_audio_buffer.cleared")

    async def _error(self, refusal: Refusal, event_id: str | None = None) -> None:
        self.errors.append(refusal.code)
        await self.send("error", error={**refusal.error(), "event_id": event_id})

    @property
    def _input(self) -> dict[str, Any]:
        found: dict[str, Any] = self.settings["audio"]["input"]
        return found

    def _start_detection(self) -> None:
        turns = self._input["turn_detection"] or {}
        self._silence_ms = turns.get("silence_duration_ms", 500)
        self._endpointing = Endpointing(
            Endpoints(end_silence_ms=self._silence_ms, longest_ms=3_600_000)
        )

    async def _append(self, text: object) -> None:
        if not isinstance(text, str):
            raise Refusal(400, "missing_required_parameter", "No 'audio'.", param="audio")
        try:
            audio = base64.b64decode(text, validate=True)
        except ValueError:
            raise Refusal(400, "invalid_audio", "'audio' is no base64.", param="audio") from None
        if not audio or len(audio) > _MOST_AUDIO:
            raise Refusal(400, "invalid_audio", "Too much audio, or none.", param="audio")
        self.appends.append(len(audio))
        if self._input["format"]["type"] == "audio/pcm":
            audio = pcm16_to_ulaw(self._resampler.feed(audio[: len(audio) // 2 * 2]))
        self.audio += audio
        if self._input["turn_detection"] is not None:
            await self._detect()

    async def _detect(self) -> None:
        while self._read + FRAME_BYTES <= len(self.audio):
            frame = bytes(self.audio[self._read : self._read + FRAME_BYTES])
            self._read += FRAME_BYTES
            match self._endpointing.frame(level_dbfs(frame)):
                case SpeechStarted(at_ms):
                    self._began = max(self._committed, (at_ms - _PREFIX_MS) * 8, 0)
                    self._item = f"item_{next(_ids)}"
                    await self.send(
                        "input_audio_buffer.speech_started",
                        audio_start_ms=self._began // 8,
                        item_id=self._item,
                    )
                case SpeechEnded():
                    await self.send(
                        "input_audio_buffer.speech_stopped",
                        audio_end_ms=self._read // 8,
                        item_id=self._item,
                    )
                    await self._commit(self._read)

    async def _commit_by_client(self) -> None:
        waiting = (len(self.audio) - self._committed) / 8
        if waiting < _LEAST_COMMIT_MS:
            raise Refusal(
                400,
                "input_audio_buffer_commit_empty",
                f"Error committing input audio buffer: it has {waiting:.2f}ms, expected 100ms.",
            )
        await self._commit(len(self.audio))

    # What goes out ---------------------------------------------------------------------------

    async def _commit(self, end: int) -> None:
        item = self._item or f"item_{next(_ids)}"
        start = self._began if self._began is not None else self._committed
        self.items.append((item, bytes(self.audio[start:end])))
        self._committed, self._began, self._item = end, None, ""
        await self.send(
            "input_audio_buffer.committed", item_id=item, previous_item_id=self._last_item
        )
        await self.send(
            "conversation.item.added",
            item={"id": item, "type": "message", "role": "user", "status": "completed"},
        )
        self._last_item = item
        task = asyncio.create_task(self._transcribe(item, self._words(self.items[-1][1])))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _words(self, audio: bytes) -> str | Refusal:
        if self._hearing.transcripts:
            return self._hearing.transcripts.pop(0)
        return " ".join(words_in(audio)) or self._hearing.words

    async def _transcribe(self, item: str, words: str | Refusal) -> None:
        if self._input["transcription"] is None:
            return
        if self._hearing.transcribe_s:
            await asyncio.sleep(self._hearing.transcribe_s)
        if self._hearing.hold:
            await self._released.wait()
        if item in self._answered:
            return
        await self.transcribed(item, words)

    async def transcribed(self, item: str, words: str | Refusal) -> None:
        """Send the transcription of an item, or that it failed."""
        self._answered.add(item)
        kind = "conversation.item.input_audio_transcription"
        place = {"item_id": item, "content_index": 0}
        if isinstance(words, Refusal):
            await self.send(f"{kind}.failed", **place, error=words.error())
            return
        for at, word in enumerate(words.split()):
            await self.send(f"{kind}.delta", **place, delta=f"{' ' if at else ''}{word}")
        usage = {"type": "duration", "seconds": 1}
        await self.send(f"{kind}.completed", **place, transcript=words, usage=usage)


def _object(text: str) -> dict[str, Any]:
    try:
        event = json.loads(text)
    except ValueError:
        raise Refusal(400, "invalid_json", "The event is no JSON.") from None
    if not isinstance(event, dict):
        raise Refusal(400, "invalid_event", "The event is no object.")
    return event
