"""Providers that fail as they are told to, for what must go on when they do. No network.

They keep the contracts of the real ones (they say nothing while ``post`` runs, fail once, and may
still have audio on its way when they do).
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from uuid import UUID

from shared.audio import bytes_of_ms, ms_of_bytes
from worker.errors import ProviderError, ProviderLostError, ProviderRefusedError
from worker.llm import LLM, Answer, Prompt, Text
from worker.message import Message
from worker.stand_ins import CannedLLM, EnergySTT, ToneTTS
from worker.stt import STT, Hearing, STTListener
from worker.tts import TTS, Timing, TTSListener

WORD_MS = 100.0
WORD_BYTES = bytes_of_ms(WORD_MS)

_SOUNDS: list[str] = []
"""Words by the byte that sounds for them."""


def sound(word: str) -> bytes:
    """Return how a word sounds."""
    if word not in _SOUNDS:
        _SOUNDS.append(word)
    return bytes([_SOUNDS.index(word)]) * WORD_BYTES


def words_in(audio: bytes) -> list[str]:
    """Return the words of some audio; one that was cut has a hyphen, and then comes again."""
    words: list[str] = []
    for byte, run in groupby(audio):
        whole, rest = divmod(len(list(run)), WORD_BYTES)
        words += [f"{_SOUNDS[byte]}-"] * bool(rest) + [_SOUNDS[byte]] * whole
    return words


@dataclass
class Frail:
    """How a provider fails, and what became of it."""

    refuses: ProviderError | None = None
    """Raised when it is prepared, and when it is connected."""
    opens_after_s: float = 0.0
    dies_at_once: bool = False
    """It opens and fails before anybody can use it."""
    closes_after_s: float = 0.0

    prepared: int = field(default=0, init=False)
    opened: int = field(default=0, init=False)
    closed: int = field(default=0, init=False)

    def prepare(self) -> None:
        self.prepared += 1
        if self.refuses is not None:
            raise self.refuses

    async def open(self) -> None:
        self.opened += 1
        await asyncio.sleep(self.opens_after_s)
        if self.refuses is not None:
            raise self.refuses

    async def close(self) -> None:
        self.closed += 1
        await asyncio.sleep(self.closes_after_s)


NO_KEY = ProviderRefusedError("acme", "there is no key: set ACME_API_KEY")
LOST = ProviderLostError("acme", "the connection dropped", 1006)


@dataclass
class FrailTTS(Frail):
    """A voice that makes a word each ``word_s``; ``dies_after_ms`` of audio in all it is lost."""

    word_s: float = 0.01
    is_timed: bool = True
    dies_after_ms: float | None = None
    hangs_after_ms: float | None = None
    late_ms: float = 0.0
    """Audio that still comes after it has failed."""

    sessions: "list[FrailVoice]" = field(default_factory=list, init=False)

    async def connect(self, listener: TTSListener) -> "FrailVoice":
        await self.open()
        voice = FrailVoice(self, listener)
        self.sessions.append(voice)
        if self.dies_at_once:
            listener.failed(LOST)
        return voice

    def stand_in(self) -> TTS:
        return ToneTTS()

    @property
    def posted(self) -> list[str]:
        """All text that it was ever told."""
        return [piece for session in self.sessions for piece in session.posted]


class FrailVoice:
    """One call's session of it."""

    def __init__(self, settings: FrailTTS, listener: TTSListener) -> None:
        self._settings, self._listener = settings, listener
        self._queue: asyncio.Queue[Message[str]] = asyncio.Queue()
        self._task = asyncio.get_running_loop().create_task(self._run())
        self._said_bytes: dict[UUID, int] = {}
        self._made = 0
        self.posted: list[str] = []
        self.aborted: list[UUID] = []

    def post(self, message: Message[str]) -> None:
        self.posted.append(message.data)
        self._queue.put_nowait(message)

    def abort(self, uuid: UUID) -> None:
        self.aborted.append(uuid)

    def lose(self) -> None:
        """Fail now."""
        self._task.cancel()
        self._listener.failed(LOST)

    async def _run(self) -> None:
        while True:
            message = await self._queue.get()
            for word in message.data.split():
                await asyncio.sleep(self._settings.word_s)
                if message.uuid not in self.aborted and not self._say(message.uuid, word):
                    return
            if self._settings.hangs_after_ms is not None:
                await self._hang_if_due()
            if message.done and message.uuid not in self.aborted:
                await asyncio.sleep(0)
                self._listener.audio(Message(message.uuid, b"", done=True))

    async def _hang_if_due(self) -> None:
        hangs_after_ms = self._settings.hangs_after_ms
        if hangs_after_ms is not None and ms_of_bytes(self._made) >= hangs_after_ms:
            await asyncio.Event().wait()

    def _say(self, uuid: UUID, word: str) -> bool:
        settings = self._settings
        audio, before = sound(word), self._said_bytes.get(uuid, 0)
        limit = settings.dies_after_ms
        if settings.hangs_after_ms is not None:
            limit = settings.hangs_after_ms
        room = len(audio) if limit is None else bytes_of_ms(limit) - self._made
        if settings.is_timed:
            begin_ms = ms_of_bytes(before)
            self._listener.timed(uuid, [Timing(word, begin_ms, begin_ms + WORD_MS)])
        said = audio[: max(0, room)]
        self._made += len(said)
        self._said_bytes[uuid] = before + len(said)
        if said:
            self._listener.audio(Message(uuid, said, done=False))
        if room >= len(audio):
            return True
        if settings.hangs_after_ms is None:
            self._listener.failed(LOST)
            late = audio[len(said) :][: bytes_of_ms(settings.late_ms)]
            self._listener.audio(Message(uuid, late, done=False))
            self._listener.audio(Message(uuid, b"", done=True))
        return False

    async def aclose(self) -> None:
        self._task.cancel()
        await self._settings.close()


@dataclass
class FrailSTT(Frail):
    """Ears that hear what the test says they hear."""

    sessions: "list[FrailEar]" = field(default_factory=list, init=False)

    async def connect(self, listener: STTListener) -> "FrailEar":
        await self.open()
        ear = FrailEar(self, listener)
        self.sessions.append(ear)
        if self.dies_at_once:
            listener.failed(LOST)
        return ear

    def stand_in(self) -> STT:
        return EnergySTT()


class FrailEar:
    """One call's session of it."""

    def __init__(self, settings: FrailSTT, listener: STTListener) -> None:
        self._settings, self._listener = settings, listener
        self.audio = b""
        self.asked = 0

    def post(self, audio: bytes) -> None:
        self.audio += audio

    def end_turn(self) -> None:
        self.asked += 1

    def hears(self, *events: Hearing) -> None:
        """Tell the listener."""
        for event in events:
            self._listener.heard(event)

    def lose(self) -> None:
        """Fail now."""
        self._listener.failed(LOST)

    async def aclose(self) -> None:
        await self._settings.close()


@dataclass
class FrailLLM(Frail):
    """A model that answers word by word; fails after ``dies_after`` words of each answer."""

    text: str = "Of course."
    first_s: float = 0.0
    dies_after: int | None = None
    answers: Sequence[Answer] = ()
    """Given out after the words."""
    dies_at_last: bool = False

    asked: int = field(default=0, init=False)
    streams_closed: int = field(default=0, init=False)

    async def connect(self) -> "FrailLLM":
        await self.open()
        return self

    def stand_in(self) -> LLM:
        return CannedLLM()

    async def reply(self, prompt: Prompt) -> AsyncGenerator[Answer, None]:
        self.asked += 1
        try:
            await asyncio.sleep(self.first_s)
            for number, word in enumerate(self.text.split()):
                if number == self.dies_after:
                    raise LOST
                yield Text(f"{word} ")
                await asyncio.sleep(0.01)
            if self.dies_after is not None:
                raise LOST
            for answer in self.answers:
                yield answer
            if self.dies_at_last:
                raise LOST
        finally:
            self.streams_closed += 1

    async def aclose(self) -> None:
        await self.close()
