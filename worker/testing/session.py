"""The real session of a call, with ears, voice and, if wanted, mind exchanged for those of a test.

All else is what runs in a call: turns, tools, stages, hooks, history, silence.
"""

import inspect
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any

import msgspec

from worker.agent import Agent
from worker.conversation import Conversation
from worker.history import History
from worker.llm import LLM, Call
from worker.mind import Mind
from worker.session import Session
from worker.stt import STT
from worker.testing.happenings import Happening, ToolCalled, ToolReturned
from worker.testing.in_text import in_text
from worker.testing.text_speech import TextSTT, TextTTS
from worker.tts import TTS
from worker.voip import VoIP


class TextConversation(Conversation):
    """Hears and speaks in text, whatever providers are asked for.

    A speech-to-speech model cannot take part: a model of text thinks in its place.
    """

    has_begun = False
    """The stream is open, and ears, mind and voice are there."""

    model: LLM | None = None
    """Thinks in place of those that are named, if there is one."""

    answering = 0
    """How many answers of the model are under way: to turns, and to keys."""

    async def set_stt(self, stt: STT | Sequence[STT]) -> None:
        """Hear what is typed."""
        await super().set_stt(TextSTT())

    async def set_tts(self, tts: TTS | Sequence[TTS]) -> None:
        """Speak what can be read."""
        await super().set_tts(TextTTS())

    async def hand_over(self, agent: type[Agent]) -> None:
        """Let another agent go on, in text, too."""
        await super().hand_over(in_text(agent, self.model))

    def begin(self) -> None:
        """The stream is open."""
        super().begin()
        self.has_begun = True

    async def answer(self, text: str) -> None:
        """Have the model answer the caller."""
        self.answering += 1
        try:
            await super().answer(text)
        finally:
            self.answering -= 1


class ScriptedMind(Mind):
    """Thinks with ``model``, whichever it is told to think with."""

    model: LLM

    async def connect(self, llm: LLM) -> None:
        """Think with `model`."""
        await super().connect(self.model)


class ToldHistory(History):
    """Tells of calls of tools and of their outcomes."""

    def __init__(self, told: Callable[[Happening], None]) -> None:
        super().__init__()
        self._told = told

    def called(self, key: int, calls: tuple[Call, ...]) -> None:
        """The agent's line ``key`` ends with calls of tools."""
        super().called(key, calls)
        for call in calls:
            self._told(ToolCalled(call.id, call.name, _arguments(call.arguments)))

    def returned(self, call_id: str, text: str) -> None:
        """A tool has returned."""
        super().returned(call_id, text)
        self._told(ToolReturned(call_id, text))


def _arguments(text: str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(text or "{}", type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeEncodeError):
        return {}


class TextSession(Session):
    """A session whose conversation is a `TextConversation`; knows which hooks are at work."""

    conversation: TextConversation

    def __init__(
        self,
        agent: Agent,
        call: VoIP,
        clock: Callable[[], float],
        model: LLM | None,
        told: Callable[[Happening], None],
    ) -> None:
        self._hooks: list[Coroutine[Any, Any, None]] = []
        super().__init__(agent, call, clock, TextConversation)
        conversation = self.conversation
        conversation.transcript.history = ToldHistory(told)
        if model is not None:
            conversation.model = model
            mind = ScriptedMind(
                conversation.office,
                conversation.speaker,
                conversation.transcript,
                conversation.times,
            )
            mind.model = model
            conversation.mind = mind

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        self._hooks = [*self.hooks(), work]
        super()._spawn(work)

    def hooks(self, but: Iterable[object] = ()) -> list[Coroutine[Any, Any, None]]:
        """Return the hooks that are at work, without those of ``but``."""
        known = set(map(id, but))
        return [
            work
            for work in self._hooks
            if id(work) not in known and inspect.getcoroutinestate(work) != inspect.CORO_CLOSED
        ]
