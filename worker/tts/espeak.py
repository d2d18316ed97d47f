"""Text-to-speech with no network: espeak-ng, a synthetic voice that is always there.

Speech is made some hundred times faster than it is spoken, on the call's own loop, in bites of a
few milliseconds: a clause, then half-second slices of it. Its words are timed.
"""

import asyncio
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from uuid import UUID

from shared.audio import ms_of_bytes
from shared.speech.espeak import EspeakVoice, Slice, VoiceError
from worker.errors import ProviderError
from worker.message import Message
from worker.tts import Timing, TTSListener, TTSSession
from worker.tts.aborted import Aborted


@dataclass(frozen=True, slots=True)
class Espeak:
    """Speaks with espeak-ng's ``voice``, at ``rate`` words a minute and ``pitch`` 0-99.

    A voice is a language (``en-us``, ``en``, ``de`` …), with a variant if wanted (``en-us+f3``).
    """

    voice: str = "en-us"
    rate: int = 165
    pitch: int = 50

    def __post_init__(self) -> None:
        self._voice()

    def _voice(self) -> EspeakVoice:
        return EspeakVoice(self.voice, self.rate, self.pitch)

    def prepare(self) -> None:
        """Load the engine and the voice. Raises `ProviderError` when there is no such voice."""
        try:
            self._voice().load()
        except VoiceError as error:
            raise ProviderError("espeak", str(error)) from error

    async def connect(self, listener: TTSListener) -> TTSSession:
        """Open a session. Raises `ProviderError` as `prepare` does."""
        self.prepare()
        return _Speaking(self._voice(), listener)

    def stand_in(self) -> "Espeak":
        """Return itself: it needs no network."""
        return self


@dataclass(slots=True)
class _Utterance:
    pieces: deque[str] = field(default_factory=deque)
    slices: Iterator[Slice] = field(default_factory=lambda: iter(()))
    size: int = 0
    """Bytes of audio made of it so far."""
    piece_ms: float = 0.0
    """Where in its audio the piece being spoken begins."""
    is_whole: bool = False
    """All of its text has been posted."""

    def next(self, voice: EspeakVoice) -> Slice | None:
        """Return the next slice of the text at hand, ``None`` when that is spoken."""
        made = next(self.slices, None)
        while made is None and self.pieces:
            self.slices, self.piece_ms = voice.slices(self.pieces.popleft()), ms_of_bytes(self.size)
            made = next(self.slices, None)
        if made is not None:
            self.size += len(made.audio)
        return made

    def timings(self, made: Slice) -> list[Timing]:
        """Return the words of ``made``, the slice that came last."""
        shift = self.piece_ms
        return [Timing(w.text, shift + w.start_ms, shift + w.end_ms) for w in made.words]


class _Speaking:
    """A call's voice. Utterances are spoken in the order of their first piece of text."""

    def __init__(self, voice: EspeakVoice, listener: TTSListener) -> None:
        self._voice = voice
        self._listener = listener
        self._loop = asyncio.get_running_loop()
        self._utterances: dict[UUID, _Utterance] = {}
        self._aborted = Aborted()
        self._is_speaking = False
        self._is_closed = False

    def post(self, message: Message[str]) -> None:
        """Take a clause of text, or several; its audio comes later."""
        if self._is_closed or self._aborted.drops(message):
            return
        utterance = self._utterances.setdefault(message.uuid, _Utterance())
        utterance.pieces.append(message.data)
        utterance.is_whole = message.done
        if not self._is_speaking:
            self._is_speaking = True
            self._loop.call_soon(self._speak)

    def abort(self, uuid: UUID) -> None:
        """Forget the utterance, text of it that is still to come included."""
        utterance = self._utterances.pop(uuid, None)
        if utterance is not None and not utterance.is_whole:
            self._aborted.add(uuid)

    def _speak(self) -> None:
        """Make one slice of audio, and come back for the next."""
        self._is_speaking = self._slice()
        if self._is_speaking:
            self._loop.call_soon(self._speak)

    def _slice(self) -> bool:
        """Tell whether there may be more to do."""
        for uuid, utterance in self._utterances.items():
            made = utterance.next(self._voice)
            if made is not None:
                self._give(uuid, utterance, made)
                return True
            if utterance.is_whole:
                del self._utterances[uuid]
                self._listener.audio(Message(uuid, b""))
                return True
        return False

    def _give(self, uuid: UUID, utterance: _Utterance, made: Slice) -> None:
        if made.words:
            self._listener.timed(uuid, utterance.timings(made))
        if uuid in self._utterances:  # the listener may have aborted it just now
            self._listener.audio(Message(uuid, made.audio, done=False))

    async def aclose(self) -> None:
        """Stop speaking; what waits is dropped."""
        self._is_closed = True
        self._utterances.clear()
        self._aborted.clear()
