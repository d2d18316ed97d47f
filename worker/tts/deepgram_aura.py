"""Deepgram's Aura voices (``/v1/speak``), through its SDK: one utterance after the other.

    post ──> `Clauses` ──portion──> Speak, Flush ──> audio …, Flushed ──> listener
    abort of what is spoken: Clear; audio is dropped until Cleared

Here is one call's connection; what is said when is in `worker.tts.deepgram_clauses`. Aura times
no words: a timing is a clause, exact at the ends of a portion.
"""

import asyncio
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from uuid import UUID

import msgspec

from worker import deepgram_sdk as sdk
from worker.errors import ProviderError, ProviderLostError
from worker.link import Link
from worker.message import Message
from worker.tts import TTS, TTSListener, TTSSession
from worker.tts.deepgram_clauses import Clauses

if TYPE_CHECKING:
    from deepgram import AsyncDeepgramClient
    from deepgram.speak.v1.client import AsyncV1Client
    from deepgram.speak.v1.socket_client import AsyncV1SocketClient

ANSWER_SECONDS = 5.0
"""How long Aura may keep silent about what it was told to speak; 0.15 s is usual."""


class _Answer(msgspec.Struct, frozen=True):
    """What is not audio; ``code`` is a warning's."""

    type: str
    code: str | None = None


@dataclass(frozen=True, slots=True)
class DeepgramAura:
    """Speaks with an Aura voice. Needs ``DEEPGRAM_API_KEY``."""

    model: str = "aura-2-thalia-en"
    """The voice."""

    speed: float | None = None
    """Speaking rate, times the voice's own; some languages have none."""

    options: Mapping[str, object] = field(default_factory=dict)
    """More query parameters of ``/v1/speak``: ``{"mip_opt_out": True}``."""

    def prepare(self) -> None:
        """Import the SDK and ask it how to connect. Raises `ProviderRefusedError` without a key."""
        sdk.plan(self)
        from deepgram.speak.v1 import SpeakV1Flush, SpeakV1Text

        _ = SpeakV1Text(text="").dict(), SpeakV1Flush(type="Flush").dict()
        flushed = {"type": "Flushed", "sequence_id": 0}
        sdk.rehearse("deepgram.speak.v1.socket_client", "V1SocketClientResponse", flushed, _Answer)

    async def connect(self, listener: TTSListener) -> TTSSession:
        """Open a session. Raises `ProviderError`."""
        speaking = _Speaking(self, listener)
        await speaking.start()
        return speaking

    def stand_in(self) -> TTS:
        """Return one that needs no network."""
        from worker.stand_ins import ToneTTS

        return ToneTTS()

    def connecting(
        self, client: "AsyncDeepgramClient"
    ) -> "AbstractAsyncContextManager[AsyncV1SocketClient]":
        """Return what opens a socket with these settings."""
        speak: AsyncV1Client = client.speak.v1
        return speak.connect(
            model=self.model,
            encoding="mulaw",
            sample_rate=8000,
            speed=self.speed,
            request_options=sdk.options(self.options),
        )


class _Speaking:
    """A call's voice."""

    def __init__(self, settings: DeepgramAura, listener: TTSListener) -> None:
        self._settings, self._listener = settings, listener
        self._loop = asyncio.get_running_loop()
        self._clauses = Clauses()
        self._wake = asyncio.Event()
        self._heard_at = 0.0
        self._is_closed = False
        self._link: Link[AsyncV1SocketClient] = Link(
            sdk.PROVIDER, self._opening, self._serve, sdk.fault, self._failed, self._lost
        )

    async def start(self) -> None:
        """Open the connection. Raises `ProviderError`."""
        await self._link.start()

    def post(self, message: Message[str]) -> None:
        """Take a piece of text; its audio comes later."""
        if not self._is_closed:
            self._clauses.post(message)
            self._wake.set()

    def abort(self, uuid: UUID) -> None:
        """Forget the utterance, text of it that is still to come included."""
        self._clauses.abort(uuid)
        self._wake.set()

    def _opening(self) -> "AbstractAsyncContextManager[AsyncV1SocketClient]":
        return sdk.opened(self._settings)

    async def _serve(self, socket: "AsyncV1SocketClient") -> None:
        async with asyncio.TaskGroup() as tasks:
            speaking = tasks.create_task(self._speak(socket))
            await self._read(socket)
            speaking.cancel()

    async def _speak(self, socket: "AsyncV1SocketClient") -> None:
        from deepgram.speak.v1 import SpeakV1Text

        while True:
            self._wake.clear()
            if self._clauses.must_clear:
                self._clauses.must_clear, self._clauses.is_clearing = False, True
                await socket.send_clear()
                self._heard_at = self._loop.time()
            elif portion := self._clauses.next(self._loop.time()):
                self._heard_at = self._loop.time()
                await socket.send_text(SpeakV1Text(text=portion.text))
                await socket.send_flush()
            elif not self._finish():
                await self._doze()

    async def _doze(self) -> None:
        """Wait for text, for an answer, or for the audience to catch up."""
        now, is_awaiting = self._loop.time(), self._clauses.is_awaiting
        seconds = self._clauses.due_in(now)
        if is_awaiting:
            seconds = self._heard_at + ANSWER_SECONDS - now
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            silent = self._loop.time() - self._heard_at
            if is_awaiting and self._clauses.is_awaiting and silent >= ANSWER_SECONDS:
                raise ProviderLostError(sdk.PROVIDER, "has stopped speaking") from None

    async def _read(self, socket: "AsyncV1SocketClient") -> None:
        async for message in socket:
            if isinstance(message, bytes):
                self._audio(message)
            elif (answer := sdk.shaped(message, _Answer)) is not None:
                self._answered(answer)

    def _audio(self, audio: bytes) -> None:
        self._heard_at = self._loop.time()
        uuid = self._clauses.audio(len(audio), self._heard_at)
        if uuid is not None and not self._is_closed and audio:
            self._listener.audio(Message(uuid, audio, done=False))

    def _answered(self, answer: _Answer) -> None:
        match answer.type:
            case "Flushed":
                if flushed := self._clauses.flushed():
                    self._listener.timed(*flushed)
                    self._finish()
            case "Cleared":
                self._clauses.cleared()
            case "Warning" if answer.code == "EXCESSIVE_FLUSH":
                # It will not speak what it was given; on a new connection the count is new.
                raise ProviderLostError(sdk.PROVIDER, "was told to flush too often")
        self._wake.set()

    def _finish(self) -> bool:
        """End an utterance if there is nothing left of it; tell whether one was."""
        uuid = None if self._is_closed else self._clauses.finished()
        if uuid is not None:
            self._listener.audio(Message(uuid, b""))
        return uuid is not None

    def _lost(self, _: ProviderError) -> None:
        for uuid, timings in self._clauses.lost():
            self._listener.timed(uuid, timings)

    def _failed(self, error: ProviderError) -> None:
        self._lost(error)  # another voice may say the rest: let it be known what was said
        self._listener.failed(error)

    async def aclose(self) -> None:
        """Stop speaking and close the connection; what waits is dropped."""
        self._is_closed = True
        await self._link.aclose()
