"""A call's end of an OpenAI Realtime session in a test: it keeps what came, and can wait for it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence

from shared.audio import ms_of_bytes, silence
from tests.fakes.speech import heard_in, speech, words_in
from worker.backoff import Retry
from worker.llm import Brief, Item, ToolSpec
from worker.speech import (
    AgentCut,
    AgentDone,
    AgentWords,
    CallerSaid,
    CallerTurn,
    Event,
    Opening,
    SpeechSession,
    ToolsWanted,
)
from worker.speech.openai_realtime import OpenAIRealtime, ServerVad

QUICK = Retry(first_delay_s=0.01, longest_delay_s=0.02)
VAD = ServerVad(silence_duration_ms=200)
MODEL = OpenAIRealtime(turn_detection=VAD, retry=QUICK)
BOOK = ToolSpec("book", "Book a table.", {"type": "object", "properties": {}})
BRIEF = Brief("You are the desk.", (BOOK,))


class Listener:
    """Who listens. It cuts as a call does, of every utterance what was not heard yet, if
    ``heard_ms`` says how much of the last one was."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.heard: dict[str, bytearray] = {}
        self.log: list[str] = []
        """Kinds of events, and utterances as they begin, in their order."""
        self.names: list[str] = []
        self.failures: list[Exception] = []
        self.session: SpeechSession | None = None
        self.heard_ms: float | None = None
        self._changed = asyncio.Event()

    def audio(self, utterance: str, audio: bytes) -> None:
        if utterance not in self.heard:
            self.heard[utterance] = bytearray()
            self.log.append("audio")
        self.heard[utterance] += audio
        self._changed.set()

    def happened(self, event: Event) -> None:
        self.events.append(event)
        if not isinstance(event, AgentWords):
            self.log.append(type(event).__name__)
        if isinstance(event, AgentCut) and self.heard_ms is not None and self.session:
            *before, last = self.heard
            for utterance in before:
                self.session.cut(utterance, ms_of_bytes(len(self.heard[utterance])))
            self.session.cut(last, self.heard_ms)
        self._changed.set()

    def known_as(self, conversation_id: str) -> None:
        self.names.append(conversation_id)

    def failed(self, error: Exception) -> None:
        self.failures.append(error)
        self._changed.set()

    # What came -------------------------------------------------------------------------------

    @property
    def said(self) -> list[str]:
        """What was heard of each utterance, in words."""
        return [" ".join(words_in(bytes(audio))) for audio in self.heard.values()]

    @property
    def texts(self) -> list[str]:
        """The words of each utterance, as told."""
        told = {event.utterance: event.text for event in self.events_of(AgentWords)}
        return list(told.values())

    @property
    def turns(self) -> list[str]:
        """The caller's turns that are over, in words."""
        words = {event.key: event.text for event in self.events_of(CallerSaid)}
        return [words.get(event.key, "?") for event in self.events_of(CallerTurn)]

    @property
    def wanted(self) -> list[ToolsWanted]:
        return self.events_of(ToolsWanted)

    def events_of(self, kind: type) -> list:  # type: ignore[type-arg]
        """Return the events of a kind."""
        return [event for event in self.events if isinstance(event, kind)]

    def first_word(self) -> str:
        """Return the first word of the last utterance, whole or not."""
        return heard_in(bytes(list(self.heard.values())[-1]))[0].text

    async def until(self, condition: Callable[[], bool], seconds: float = 30.0) -> None:
        """Return when it is true; fail if the session does."""
        async with asyncio.timeout(seconds):
            while not condition() and not self.failures:
                self._changed.clear()
                await self._changed.wait()
        assert not self.failures, self.failures

    async def words(self, text: str) -> None:
        """Return when these words, and no others, were said, in however many utterances."""
        try:
            await self.until(lambda: " ".join(self.said).split() == text.split())
        except TimeoutError:
            raise AssertionError(f"not heard: {text}, but {self.said}; {self.log}") from None

    async def hears(self, *texts: str) -> None:
        """Return when these utterances, and no others, were said to their ends."""
        wanted = list(texts)
        try:
            await self.until(
                lambda: self.said == wanted and len(self.events_of(AgentDone)) >= len(wanted)
            )
        except TimeoutError:
            raise AssertionError(f"not heard: {wanted}, but {self.said}; {self.log}") from None

    async def failure(self) -> Exception:
        async with asyncio.timeout(30):
            while not self.failures:
                self._changed.clear()
                await self._changed.wait()
        (error,) = self.failures
        return error


def opening(
    greeting: str = "", *, interruptible: bool = True, items: Sequence[Item] = ()
) -> Opening:
    return Opening(BRIEF, greeting, interruptible, tuple(items))


@contextlib.asynccontextmanager
async def call(
    begins: Opening | None = None, model: OpenAIRealtime = MODEL
) -> AsyncIterator[tuple[SpeechSession, Listener]]:
    listener = Listener()
    session = await model.connect(begins or opening(), listener)
    listener.session = session
    try:
        yield session, listener
    finally:
        await session.aclose()


def say(session: SpeechSession, text: str = "", audio: bytes | None = None) -> None:
    """Have the caller say something, and be silent."""
    voiced = speech(text, 30) if audio is None else audio
    for part in (silence(200), voiced, silence(500)):
        session.post(part)
