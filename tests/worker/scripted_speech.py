"""A speech-to-speech model whose test decides what it hears and says. One serves one call."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

from worker import speech
from worker.llm import Brief, Call
from worker.speech import Opening, SpeechListener

MS_A_LETTER = 10
BYTES_A_LETTER = MS_A_LETTER * 8


@dataclass(eq=False)
class Speech:
    """A model and its session; ``errors`` are raised by connections, one after the other."""

    errors: list[Exception] = field(default_factory=list)
    delay: float = 0.0
    minds_silence: bool = False
    corrects: bool = False
    stands_still: bool = False
    batch_ms: int = 20
    repeats: bool = True
    """It says at once what it is asked to."""
    openings: list[Opening] = field(default_factory=list)
    heard: bytearray = field(default_factory=bytearray)
    cuts: list[tuple[str, float]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    answers: list[tuple[str, str, bool, Brief | None]] = field(default_factory=list)
    briefs: list[Brief] = field(default_factory=list)
    closed: int = 0
    prepared: Exception | None = None
    listener: SpeechListener | None = None
    number: int = 0

    # The model -----------------------------------------------------------------------------

    def prepare(self) -> None:
        """Refuse, if it is to."""
        if self.prepared is not None:
            raise self.prepared

    async def connect(self, opening: Opening, listener: SpeechListener) -> "Speech":
        """Begin, after ``delay``."""
        await asyncio.sleep(self.delay)
        if self.errors:
            raise self.errors.pop(0)
        self.openings.append(opening)
        self.listener = listener
        return self

    def stand_in(self) -> "Speech":
        """Return itself."""
        return self

    # The session ---------------------------------------------------------------------------

    def post(self, audio: bytes) -> None:
        """Keep what is heard."""
        self.heard += audio

    def cut(self, utterance: str, heard_ms: float) -> None:
        """Note it."""
        self.cuts.append((utterance, heard_ms))

    def say(self, text: str, *, interruptible: bool = True) -> None:
        """Say it."""
        del interruptible
        self.asked.append(text)
        if self.repeats:
            self.says(text)

    def tell(self, text: str) -> None:
        """Note it."""
        self.told.append(text)

    def answered(self, call_id: str, text: str, *, failed: bool, brief: Brief | None) -> None:
        """Note it."""
        self.answers.append((call_id, text, failed, brief))

    def brief(self, brief: Brief) -> None:
        """Note it."""
        self.briefs.append(brief)

    async def aclose(self) -> None:
        """Count how often this was closed."""
        self.closed += 1

    # What the test has it do -------------------------------------------------------------------

    def happens(self, *events: speech.Event) -> None:
        """Tell of these."""
        assert self.listener is not None
        for event in events:
            self.listener.happened(event)

    def says(self, text: str, *, words: str | None = None, whole: bool = True) -> str:
        """Speak; ``words`` are told of, if others than ``text``. Returns the utterance's key."""
        assert self.listener is not None
        self.number += 1
        key = f"u{self.number}"
        self.listener.audio(key, b"\x55" * (len(text) * BYTES_A_LETTER))
        if words != "":
            self.happens(speech.AgentWords(key, words or text, final=True))
        if whole:
            self.happens(speech.AgentDone(key))
        return key

    def hears(self, text: str, key: str | None = None) -> str:
        """The caller has said this: a whole turn."""
        self.number += 1
        key = key or f"t{self.number}"
        self.happens(speech.CallerStarted(), speech.CallerStopped())
        self.happens(speech.CallerTurn(key), speech.CallerSaid(key, text))
        return key

    def wants(self, name: str, arguments: str = "{}", call_id: str = "c1") -> None:
        """Want a tool."""
        self.happens(speech.ToolsWanted((Call(call_id, name, arguments),)))

    def fails(self, error: Exception) -> None:
        """Be lost."""
        assert self.listener is not None
        self.listener.failed(error)


def talker(model: Any, *mixed_in: type, **attributes: Any) -> Any:
    """Return an agent class that talks by this model."""
    from worker.agent import Agent

    return type("Talker", (*mixed_in, Agent), {"speech": model, **attributes})
