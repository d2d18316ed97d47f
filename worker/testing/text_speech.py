"""Ears that are typed into, and a voice that is read: speech without sound.

The voice writes each word into its audio, the line reads it there when it plays it:

    word      " How"                      " can"
    audio     MARK  utf-8  ff ff ff …     MARK  utf-8  ff ff ff …      `WORD_MS` each

Neither ``ff`` (silence, in μ-law) nor the bytes of `MARK` occur in UTF-8. So what is heard is what
really went over the line, in its order, cut where the line was cut; other audio says nothing.
"""

import asyncio
import re
from dataclasses import dataclass
from uuid import UUID

from shared.audio import SILENCE, bytes_of_ms, ms_of_bytes
from worker.message import Message
from worker.stt import STTListener
from worker.tts import Timing, TTSListener
from worker.tts.aborted import Aborted

WORD_MS = 300.0
"""How long a word lasts, in ms of the call's clock."""

MARK = b"\xfe\xfd\xfe\xfd"

_WORD = re.compile(r"\s*\S+")


def spoken(word: str) -> bytes:
    """Return the audio of a word."""
    audio = MARK + word.encode("utf-8", "replace")
    return audio.ljust(max(bytes_of_ms(WORD_MS), len(audio) + 1), SILENCE)


def first_unit(audio: bytes) -> tuple[bytes, str]:
    """Return the first word's audio and the word, or other audio before it and no word."""
    end = audio.find(MARK, len(MARK) if audio.startswith(MARK) else 0)
    unit = audio if end < 0 else audio[:end]
    if not unit.startswith(MARK):
        return unit, ""
    return unit, unit[len(MARK) :].rstrip(SILENCE).decode("utf-8", "replace")


@dataclass(frozen=True, slots=True)
class TextSTT:
    """Hears nothing: what is typed goes to the call as heard."""

    def prepare(self) -> None:
        """Nothing is to be prepared."""

    async def connect(self, listener: STTListener) -> "TextSTT":
        """Return itself: it keeps nothing of a call."""
        return self

    def stand_in(self) -> "TextSTT":
        """Return itself."""
        return self

    def post(self, audio: bytes) -> None:
        """There is no sound."""

    def end_turn(self) -> None:
        """There is no turn that is not over."""

    async def aclose(self) -> None:
        """Nothing is to be closed."""


@dataclass(frozen=True, slots=True)
class TextTTS:
    """Speaks words that can be read, each timed."""

    def prepare(self) -> None:
        """Nothing is to be prepared."""

    async def connect(self, listener: TTSListener) -> "_Speaking":
        """Open a session."""
        return _Speaking(listener)

    def stand_in(self) -> "TextTTS":
        """Return itself."""
        return self


class _Speaking:
    def __init__(self, listener: TTSListener) -> None:
        self._listener = listener
        self._loop = asyncio.get_running_loop()
        self._sizes: dict[UUID, int] = {}
        self._open_words: set[UUID] = set()
        """Utterances that broke off inside a word."""
        self._aborted = Aborted()
        self._is_closed = False

    def post(self, message: Message[str]) -> None:
        """Speak a piece, a moment later."""
        self._loop.call_soon(self._speak, message)

    def _speak(self, message: Message[str]) -> None:
        if self._is_closed or self._aborted.drops(message):
            return
        words = _WORD.findall(message.data)
        size = self._sizes.get(message.uuid, 0)
        if words and message.uuid not in self._open_words:
            words[0] = f" {words[0]}"
        audio, timings = b"", []
        for word in words:
            start, audio = size + len(audio), audio + spoken(word)
            timings.append(Timing(word, ms_of_bytes(start), ms_of_bytes(size + len(audio))))
        self._sizes[message.uuid] = size + len(audio)
        if timings:
            ends = not message.data[-1].isspace()
            (self._open_words.add if ends else self._open_words.discard)(message.uuid)
            self._listener.timed(message.uuid, timings)
        if timings or message.done:
            self._listener.audio(Message(message.uuid, audio, message.done))

    def abort(self, uuid: UUID) -> None:
        """Forget an utterance."""
        self._aborted.add(uuid)

    async def aclose(self) -> None:
        """Stop speaking."""
        self._is_closed = True
