"""The server's side of ``/v1/speak``.

Sources: Deepgram's documentation (tts-ws-flush, tts-ws-clear, tts-troubleshooting-websocket-net-
and-data-errors), the SDK's message types, and for ``EXCESSIVE_FLUSH``, a warning that has no
description, and text that waits for its flush, what others have measured.
"""

import asyncio
import time
import zlib
from collections import deque
from dataclasses import dataclass, field

from tests.fakes.deepgram_socket import Socket
from tests.fakes.speech import speech

LETTER_MS = 60
CHUNK_BYTES = 2000
MOST_CHARACTERS = 2000


@dataclass(frozen=True)
class SpeakLimits:
    """What a connection may do. ``chunk_s``: pause before each chunk of audio, in s.

    ``ms_per_letter``: it says its words (`tests.fakes.speech`), each letter for so long.
    """

    idle_s: float = 3600.0
    flushes: int = 20
    window_s: float = 60.0
    characters: int = 2400
    chunk_s: float = 0.0
    ms_per_letter: float | None = None


@dataclass
class Aura:
    """One connection."""

    socket: Socket
    limits: SpeakLimits
    _text: str = ""
    _sequence: int = 0
    _flushes: deque[float] = field(default_factory=deque)
    _characters: deque[tuple[float, int]] = field(default_factory=deque)
    _portions: asyncio.Queue[str] = field(default_factory=asyncio.Queue)
    _speaking: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Speak until either side closes."""
        await self.socket.send(
            {
                "type": "Metadata",
                "request_id": "fake",
                "model_name": self.socket.query.get("model", ("aura-asteria-en",))[0],
                "model_version": "fake",
                "model_uuid": "fake",
            }
        )
        try:
            while True:
                await self._control(await self.socket.receive(self.limits.idle_s))
        finally:
            await self._stop()

    async def _control(self, message: str | bytes) -> None:
        if isinstance(message, bytes):
            await self.socket.close(1003, "MESSAGE-0000")
            return
        parsed = self.socket.parse(message) or {}
        match parsed:
            case {"type": "Speak", "text": str(text)} if len(parsed) == 2:
                await self._speak(text)
            case {"type": "Flush"} if len(parsed) == 1:
                await self._flush()
            case {"type": "Clear"} if len(parsed) == 1:
                await self._stop()
                self._text = ""
                await self._send("Cleared")
            case {"type": "Close"} if len(parsed) == 1:
                await self.socket.close(1000)
            case _:
                await self.socket.close(1008, "DATA-0000")

    async def _send(self, kind: str) -> None:
        await self.socket.send({"type": kind, "sequence_id": self._sequence})
        self._sequence += 1

    async def _speak(self, text: str) -> None:
        if len(text) > MOST_CHARACTERS:
            await self.socket.close(1009, "BIG-0001")
        now = time.monotonic()
        self._characters.append((now, len(text)))
        while self._characters[0][0] < now - self.limits.window_s:
            self._characters.popleft()
        if sum(size for _, size in self._characters) > self.limits.characters:
            await self.socket.close(1008, "DATA-0001")
        self._text += text

    async def _flush(self) -> None:
        now = time.monotonic()
        while self._flushes and self._flushes[0] < now - self.limits.window_s:
            self._flushes.popleft()
        if len(self._flushes) >= self.limits.flushes:
            await self.socket.send({"type": "Warning", "code": "EXCESSIVE_FLUSH"})
            return
        self._flushes.append(now)
        self._portions.put_nowait(self._text)
        self._text = ""
        if self._speaking is None:
            self._speaking = asyncio.create_task(self._utter())

    async def _utter(self) -> None:
        while True:
            text, letter_ms = await self._portions.get(), self.limits.ms_per_letter
            audio = spoken(text) if letter_ms is None else speech(text, letter_ms)
            for at in range(0, len(audio), CHUNK_BYTES):
                await asyncio.sleep(self.limits.chunk_s)
                await self.socket.send(audio[at : at + CHUNK_BYTES])
            await self._send("Flushed")

    async def _stop(self) -> None:
        """Forget what is being spoken, and what waits to be."""
        self._portions = asyncio.Queue()
        if self._speaking is not None:
            self._speaking.cancel()
            await asyncio.wait([self._speaking])
            self._speaking = None


def spoken(text: str) -> bytes:
    """Return the audio of a text: as long as it has letters, and of a tone of its own."""
    tone = 0x20 + zlib.crc32(text.encode()) % 0x50
    return bytes([tone, tone | 0x80]) * (len(text.strip()) * LETTER_MS * 4)
