"""The agent's voice: utterances in order, sent ahead of real time, cut when interrupted.

    say ──> waits for the one before ──> text to TTS ──> audio to the line ──> mark played: heard
                                              └─ interrupt: TTS aborted, line cleared, text cut

It keeps what was *heard*: the text of an interrupted utterance ends where the caller's phone did.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import UUID, uuid4

from shared import messages
from shared.audio import bytes_of_ms
from worker.errors import ProviderError
from worker.message import Message
from worker.tts import TTS, TTSSession
from worker.voip import VoIP, heard_text

LETTER_MS = 65.0
"""How long a letter takes to say, about: for the length of speech that was never made whole."""


@dataclass(slots=True)
class _Utterance:
    text: str
    interruptible: bool
    start: int
    uuid: UUID = field(default_factory=uuid4)
    size: int = 0
    whole: bool = False
    cut_at: int | None = None
    first_audio_at: float | None = None
    synthesised: asyncio.Event = field(default_factory=asyncio.Event)
    error: Exception | None = None

    def bytes_when_whole(self) -> int:
        """Return how much audio the whole text is: known, or estimated when it was cut before."""
        if self.whole:
            return self.size
        return max(self.size + 1, bytes_of_ms(LETTER_MS * len(self.text)))


@dataclass(frozen=True, slots=True)
class Spoken:
    """What became of an utterance: the words heard, and whether it was cut short.

    ``first_audio_at`` is when its first audio went to the line, on the call's clock.
    """

    text: str
    interrupted: bool
    first_audio_at: float | None = None


class Speaker:
    """Speaks on one call. A listener of its TTS session."""

    def __init__(self, call: VoIP, clock: Callable[[], float]) -> None:
        self._call, self._now = call, clock
        self._session: TTSSession | None = None
        self._turn = asyncio.Lock()
        self._posting: _Utterance | None = None
        self._playing: list[_Utterance] = []
        self._prepared: list[bytes] | None = None
        self._lost: ProviderError | None = None

    async def connect(self, tts: TTS) -> None:
        """Open the voice. Raises what the provider raises."""
        self._session = await tts.connect(self)

    async def aclose(self) -> None:
        """Close the voice."""
        if self._session is not None:
            await self._session.aclose()
            self._session = None

    async def prepare(self, text: str) -> list[bytes]:
        """Synthesise ``text`` before there is a stream, for `play_prepared`."""
        self._prepared = []
        try:
            await self._synthesise(_Utterance(text, interruptible=False, start=0))
            return self._prepared
        finally:
            self._prepared = None

    async def play_prepared(self, text: str, audio: list[bytes], interruptible: bool) -> Spoken:
        """Play what `prepare` made, and wait until it was heard."""
        utterance = _Utterance(text, interruptible, self._call.sent, first_audio_at=self._now())
        self._call.tell(messages.Speaking(text))
        for piece in audio:
            self._call.play(piece)
            utterance.size += len(piece)
        utterance.whole = True
        self._playing.append(utterance)
        return await self._heard(utterance)

    async def say(self, text: str, interruptible: bool) -> Spoken:
        """Speak ``text`` after what is being spoken; return when it was heard or cut."""
        if not text.strip() or self._call.over:
            return Spoken("", interrupted=False)
        async with self._turn:
            utterance = _Utterance(text, interruptible, self._call.sent)
            self._playing.append(utterance)
            try:
                await self._synthesise(utterance)
            except BaseException:
                self._playing.remove(utterance)
                raise
        return await self._heard(utterance)

    def interrupt(self) -> bool:
        """The caller speaks: stop what may be stopped; tell whether anything was."""
        speaking = bool(self._call.speaking_ms) or self._posting is not None
        if not speaking or not self._playing or not all(u.interruptible for u in self._playing):
            return False
        if self._session is not None and self._posting is not None:
            self._session.abort(self._posting.uuid)
        heard = self._call.heard
        self._call.clear()
        for utterance in self._playing:
            utterance.cut_at = heard
            utterance.synthesised.set()
        return True

    async def _synthesise(self, utterance: _Utterance) -> None:
        if self._session is None:
            raise RuntimeError("this agent has no voice: set tts on its class")
        if self._lost is not None:
            raise self._lost
        self._posting = utterance
        try:
            self._session.post(Message(utterance.uuid, utterance.text))
            await utterance.synthesised.wait()
        finally:
            self._posting = None
        if utterance.error is not None:
            raise utterance.error

    async def _heard(self, utterance: _Utterance) -> Spoken:
        try:
            complete = utterance.cut_at is None and await self._call.mark()
        finally:
            self._playing.remove(utterance)
        if complete:
            return Spoken(
                utterance.text, interrupted=False, first_audio_at=utterance.first_audio_at
            )
        stop = utterance.cut_at if utterance.cut_at is not None else self._call.heard
        heard = min(max(0, stop - utterance.start), utterance.size)
        whole = utterance.bytes_when_whole()
        words = heard_text(utterance.text, heard, whole)
        return Spoken(words, interrupted=heard < whole, first_audio_at=utterance.first_audio_at)

    # What the TTS session says -------------------------------------------------------------

    def audio(self, message: Message[bytes]) -> None:
        """Send audio of the current utterance on; late audio of another is dropped."""
        utterance = self._posting
        if utterance is None or message.uuid != utterance.uuid or utterance.cut_at is not None:
            return
        if message.data:
            if utterance.first_audio_at is None:
                utterance.first_audio_at = self._now()
                if self._prepared is None:
                    self._call.tell(messages.Speaking(utterance.text))
            utterance.size += len(message.data)
            if self._prepared is not None:
                self._prepared.append(message.data)
            else:
                self._call.play(message.data)
        if message.done:
            utterance.whole = True
            utterance.synthesised.set()

    def failed(self, error: Exception) -> None:
        """The voice is lost: the utterance that waits for it fails, or else the next one."""
        self._lost = error if isinstance(error, ProviderError) else ProviderError("tts", str(error))
        if self._posting is not None:
            self._posting.error = self._lost
            self._posting.synthesised.set()
