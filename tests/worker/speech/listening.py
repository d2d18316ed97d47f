"""Somebody who listens to a session of a speech-to-speech model, and can speak into it."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from shared.audio import SILENCE, ms_of_bytes
from tests.fakes.speech import speech, words_in
from worker.speech import AgentDone, AgentWords, Call, Event, SpeechSession, ToolsWanted
from worker.speech.pcm_line import AHEAD_BYTES

Kind = TypeVar("Kind")


class Ear:
    """Keeps all that is told, checks the contract as it goes, and can wait for it.

    ``on_event`` hears each event, to react from within the listener.
    """

    def __init__(self) -> None:
        self.spoken: dict[str, bytes] = {}
        self.events: list[Event] = []
        self.names: list[str] = []
        self.errors: list[Exception] = []
        self.on_event: Callable[[Event], None] | None = None
        self.dropped: set[str] = set()
        """Utterances of which no more may come."""
        self._changed = asyncio.Event()

    def audio(self, utterance: str, audio: bytes) -> None:
        assert audio
        assert utterance not in self.dropped, "audio of what was cut"
        assert AgentDone(utterance) not in self.events, "audio after the end"
        self.spoken[utterance] = self.spoken.get(utterance, b"") + audio
        self._changed.set()

    def happened(self, event: Event) -> None:
        assert not self.errors, "an event after the failure"
        self.events.append(event)
        self._changed.set()
        if self.on_event is not None:
            self.on_event(event)

    def known_as(self, conversation_id: str) -> None:
        self.names.append(conversation_id)

    def failed(self, error: Exception) -> None:
        assert not self.errors, "failure said twice"
        self.errors.append(error)
        self._changed.set()

    async def until(self, condition: Callable[[], bool], seconds: float = 30.0) -> None:
        """Wait until a condition is true; ``TimeoutError`` if it never is."""
        async with asyncio.timeout(seconds):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    def of(self, kind: type[Kind]) -> list[Kind]:
        """Return the events of a kind."""
        return [it for it in self.events if isinstance(it, kind)]

    async def first(self, kind: type[Kind]) -> Kind:
        """Return the first event of a kind, once there is one."""
        await self.until(lambda: bool(self.of(kind)))
        return self.of(kind)[0]

    async def wanted(self, number: int = 1) -> Call:
        """Return the tool that is wanted as number ``number``, once it is."""
        await self.until(lambda: len(self.of(ToolsWanted)) >= number)
        (call,) = self.of(ToolsWanted)[number - 1].calls
        return call

    def words(self, utterance: str) -> list[str]:
        """Return the words that were heard whole."""
        return words_in(self.spoken.get(utterance, b""))

    @property
    def all_words(self) -> list[str]:
        """Return all of them."""
        return [word for utterance in self.spoken for word in self.words(utterance)]

    def texts(self) -> list[str]:
        """Return the final texts, in order."""
        return [it.text for it in self.of(AgentWords) if it.final]

    async def done(self, text: str) -> str:
        """Return the utterance with this final text, once all of it has come."""

        def found() -> list[str]:
            finals = [it for it in self.of(AgentWords) if it.final and it.text == text]
            return [it.utterance for it in finals if AgentDone(it.utterance) in self.events]

        await self.until(lambda: bool(found()))
        return found()[0]


async def say(session: SpeechSession, text: str, letter_ms: float = 20.0, ms: float = 300) -> None:
    """Say something in real time, and ``ms`` of quiet.

    It begins with what a line may be ahead, so that a busy machine does not cut words in two.
    """
    audio = speech(text, letter_ms) + SILENCE * int(8 * ms)
    session.post(audio[:AHEAD_BYTES])
    size = 8 * session.batch_ms
    for at in range(AHEAD_BYTES, len(audio), size):
        await asyncio.sleep(session.batch_ms / 1000)
        session.post(audio[at : at + size])
    await asyncio.sleep(ms_of_bytes(AHEAD_BYTES) / 1000)
