"""What takes the place of hosted providers in a rehearsal: nothing leaves the process.

They keep the providers' contracts, so a rehearsed call goes the whole way from the caller's
audio to the agent's, and hear, think and say next to nothing.
"""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from uuid import UUID

from shared.audio import FRAME_MS, Framer, level_dbfs
from shared.speech.endpointing import Endpointing, SpeechEnded, SpeechStarted
from worker import speech, stt
from worker.llm import Answer, Prompt, Text, Usage
from worker.message import Message
from worker.speech import Brief, Opening, SpeechListener
from worker.tts import Timing, TTSListener
from worker.tts.aborted import Aborted

WORD_MS = 60
"""A word of `ToneTTS`: short, since a rehearsal waits for it."""

_TONE = bytes(range(0x20, 0xC0)) * (WORD_MS * 8 // 160)


@dataclass(frozen=True, slots=True)
class EnergySTT:
    """Hears where speech ends, and the same words in all of it."""

    text: str = "hello"

    def prepare(self) -> None:
        """Nothing is to be prepared."""

    async def connect(self, listener: stt.STTListener) -> "_Hearing":
        """Open a session."""
        return _Hearing(self.text, listener)

    def stand_in(self) -> "EnergySTT":
        """Return itself."""
        return self


class _Hearing:
    def __init__(self, text: str, listener: stt.STTListener) -> None:
        self._text, self._listener = text, listener
        self._endpointing = Endpointing()
        self._framer = Framer()

    def post(self, audio: bytes) -> None:
        """Take audio of any size."""
        for frame in self._framer.frames(audio):
            match self._endpointing.frame(level_dbfs(frame)):
                case SpeechStarted():
                    self._listener.heard(stt.SpeechStarted())
                    self._listener.heard(stt.Partial(self._text))
                case SpeechEnded(at_ms):
                    self._listener.heard(stt.EndOfTurn(self._text, at_ms))

    def end_turn(self) -> None:
        """End the turn, if there is one."""
        event = self._endpointing.end()
        if event is not None:
            self._listener.heard(stt.EndOfTurn(self._text, event.at_ms))

    async def aclose(self) -> None:
        """Nothing is to be closed."""


@dataclass(frozen=True, slots=True)
class ToneTTS:
    """Speaks each word as `WORD_MS` of tone, timed."""

    def prepare(self) -> None:
        """Nothing is to be prepared."""

    async def connect(self, listener: TTSListener) -> "_Speaking":
        """Open a session."""
        return _Speaking(listener)

    def stand_in(self) -> "ToneTTS":
        """Return itself."""
        return self


class _Speaking:
    def __init__(self, listener: TTSListener) -> None:
        self._listener = listener
        self._loop = asyncio.get_running_loop()
        self._words: dict[UUID, int] = {}
        self._aborted = Aborted()
        self._is_closed = False

    def post(self, message: Message[str]) -> None:
        """Speak a piece, a moment later."""
        self._loop.call_soon(self._speak, message)

    def _speak(self, message: Message[str]) -> None:
        if self._is_closed or self._aborted.drops(message):
            return
        words, before = message.data.split(), self._words.get(message.uuid, 0)
        self._words[message.uuid] = before + len(words)
        if words:
            self._listener.timed(
                message.uuid,
                [
                    Timing(word, (before + at) * WORD_MS, (before + at + 1) * WORD_MS)
                    for at, word in enumerate(words)
                ],
            )
        if words or message.done:
            self._listener.audio(Message(message.uuid, _TONE * len(words), message.done))

    def abort(self, uuid: UUID) -> None:
        """Forget an utterance."""
        self._aborted.add(uuid)

    async def aclose(self) -> None:
        """Stop speaking."""
        self._is_closed = True


@dataclass(frozen=True, slots=True)
class CannedLLM:
    """Answers everything with the same sentence and calls no tool."""

    text: str = "Of course. What else can I do for you?"

    def prepare(self) -> None:
        """Nothing is to be prepared."""

    async def connect(self) -> "CannedLLM":
        """Return itself: it keeps nothing of a call."""
        return self

    def stand_in(self) -> "CannedLLM":
        """Return itself."""
        return self

    async def reply(self, prompt: Prompt) -> AsyncGenerator[Answer, None]:
        """Stream the sentence, word by word."""
        for word in self.text.split(" "):
            yield Text(f"{word} ")
            await asyncio.sleep(0)
        yield Usage(len(prompt.items), 1)

    async def aclose(self) -> None:
        """Nothing is to be closed."""


@dataclass(frozen=True, slots=True)
class EchoSpeech:
    """Greets, hears where speech ends, and says the same words to all of it."""

    text: str = "hello"

    def prepare(self) -> None:
        """Nothing is to be prepared."""

    async def connect(self, opening: Opening, listener: SpeechListener) -> "_Talking":
        """Begin to talk."""
        talk = _Talking(self.text, listener)
        if opening.greeting and not opening.items:
            talk.say(opening.greeting)
        return talk

    def stand_in(self) -> "EchoSpeech":
        """Return itself."""
        return self


class _Talking:
    batch_ms = FRAME_MS
    minds_silence = False
    corrects = False
    stands_still = False

    def __init__(self, text: str, listener: SpeechListener) -> None:
        self._text, self._listener = text, listener
        self._endpointing = Endpointing()
        self._framer = Framer()
        self._number = 0

    def post(self, audio: bytes) -> None:
        """Take audio of any size."""
        for frame in self._framer.frames(audio):
            match self._endpointing.frame(level_dbfs(frame)):
                case SpeechStarted():
                    self._listener.happened(speech.CallerStarted())
                case SpeechEnded():
                    self._listener.happened(speech.CallerStopped())
                    self._turn()

    def _turn(self) -> None:
        self._number += 1
        self._listener.happened(speech.CallerTurn(f"turn {self._number}"))
        self._listener.happened(speech.CallerSaid(f"turn {self._number}", self._text))
        self.say(self._text)

    def say(self, text: str, *, interruptible: bool = True) -> None:
        """Say it, a tone a word."""
        del interruptible
        self._number += 1
        key = f"utterance {self._number}"
        self._listener.happened(speech.AgentWords(key, text, final=True))
        self._listener.audio(key, _TONE * len(text.split()))
        self._listener.happened(speech.AgentDone(key))

    def tell(self, text: str) -> None:
        """Answer it."""
        del text
        self.say(self._text)

    def cut(self, utterance: str, heard_ms: float) -> None:
        """Nothing more would come of it."""

    def answered(self, call_id: str, text: str, *, failed: bool, brief: Brief | None) -> None:
        """It wants no tools."""

    def brief(self, brief: Brief) -> None:
        """It says the same whatever it is told to be."""

    async def aclose(self) -> None:
        """Nothing is to be closed."""
