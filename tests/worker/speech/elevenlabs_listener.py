"""Who listens to a session with an ElevenLabs agent in a test, and speaks as a caller does."""

import asyncio
from collections.abc import Callable

from shared.audio import ms_of_bytes, silence
from tests.fakes.speech import speech, words_in
from worker.speech import (
    AgentCorrected,
    AgentCut,
    AgentDone,
    AgentTimed,
    AgentWords,
    CallerSaid,
    Event,
    SpeechSession,
    Timing,
    ToolsWanted,
)

WAIT_S = 30.0


class Listener:
    """Keeps what a session tells; cuts what is interrupted, as the call does."""

    def __init__(self) -> None:
        self.session: SpeechSession | None = None
        self.audio_of: dict[str, bytes] = {}
        self.events: list[Event] = []
        self.errors: list[Exception] = []
        self.names: list[str] = []
        self.cut: set[str] = set()
        """What was noted as cut: a moment after it was."""
        self._changed = asyncio.Event()

    def audio(self, utterance: str, audio: bytes) -> None:
        self.audio_of[utterance] = self.audio_of.get(utterance, b"") + audio
        self._changed.set()

    def happened(self, event: Event) -> None:
        self.events.append(event)
        if isinstance(event, AgentCut):
            asyncio.get_running_loop().call_soon(self._cut)
        if isinstance(event, AgentCorrected):
            assert event.utterance in self.cut
        self._changed.set()

    def _cut(self) -> None:
        for utterance in [*self.audio_of]:
            self.cut.add(utterance)
            if self.session is not None:
                self.session.cut(utterance, 100.0)

    def known_as(self, conversation_id: str) -> None:
        self.names.append(conversation_id)

    def failed(self, error: Exception) -> None:
        self.errors.append(error)
        self._changed.set()

    async def until(self, condition: Callable[[], object]) -> None:
        """Return when it is so."""
        async with asyncio.timeout(WAIT_S):
            while not condition():
                self._changed.clear()
                try:
                    await asyncio.wait_for(self._changed.wait(), 0.02)
                except TimeoutError:
                    continue

    def of(self, kind: type[Event]) -> list[Event]:
        """Return the events of a kind."""
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def said(self) -> list[str]:
        """The agent's utterances, as texts."""
        return [event.text for event in self.events if isinstance(event, AgentWords)]

    @property
    def heard(self) -> list[str]:
        """The caller's turns."""
        return [event.text for event in self.events if isinstance(event, CallerSaid)]

    @property
    def done(self) -> list[str]:
        return [event.utterance for event in self.events if isinstance(event, AgentDone)]

    @property
    def corrected(self) -> list[AgentCorrected]:
        return [event for event in self.events if isinstance(event, AgentCorrected)]

    @property
    def wanted(self) -> list[ToolsWanted]:
        return [event for event in self.events if isinstance(event, ToolsWanted)]

    def timings(self, utterance: str) -> list[Timing]:
        return [
            timing
            for event in self.events
            if isinstance(event, AgentTimed) and event.utterance == utterance
            for timing in event.timings
        ]

    def spoken(self, utterance: str) -> list[str]:
        """Return the words in the audio of an utterance."""
        return words_in(self.audio_of.get(utterance, b""))

    async def utterance(self, text: str) -> str:
        """Return the key of the utterance ``text``, when it is done."""

        def keys() -> list[str]:
            found = [it for it in self.events if isinstance(it, AgentWords) and it.text == text]
            return [it.utterance for it in found if it.utterance in self.done]

        await self.until(keys)
        return keys()[-1]


def speak(session: SpeechSession, text: str, *, quiet_ms: float = 400.0) -> float:
    """Speak as a caller does, faster than real time; return how long it is, in ms."""
    audio = speech(text, 30) + silence(quiet_ms)
    size = session.batch_ms * 8
    for start in range(0, len(audio), size):
        session.post(audio[start : start + size])
    return ms_of_bytes(len(audio))
