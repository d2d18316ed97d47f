"""Who hears, thinks and speaks on one call: which provider's session does, and who takes its place.

    get_ready ──> a speech-to-speech model, if the agent has one ──none can be had──┐
             └──> ears, mind and voice, all at once <───────────────────────────────┘

Several may be told to change the same thing at once (a hook while the phone rings, a tool, a
stage): one after the other, and the last one stays.
"""

import asyncio
from collections.abc import AsyncIterable, Sequence
from typing import Any, Protocol

from shared import messages
from shared.audio import FRAME_MS
from worker.agent import Agent
from worker.company import as_chosen
from worker.duplex import Duplex
from worker.ears import Ears
from worker.errors import ProviderError
from worker.first_message import ring
from worker.history import History
from worker.llm import LLM, hears_audio
from worker.manners import Manners
from worker.mind import Mind
from worker.office import Office
from worker.roles import voice_of
from worker.speaker import Speaker
from worker.speech import SpeechModel
from worker.stt import STT
from worker.tts import TTS
from worker.voip import VoIP


class Crewed(Protocol):
    """The call that they serve."""

    agent: Agent
    call: VoIP
    ears: Ears
    mind: Mind
    speaker: Speaker
    duplex: Duplex
    office: Office
    manners: Manners
    is_open: bool

    @property
    def has_cascade(self) -> bool:
        """Whether the agent can go on without a speech-to-speech model."""

    def served(self, provider: Any) -> Any:
        """Return the provider that is to be connected where an author has named ``provider``."""

    def served_models(self, models: Sequence[SpeechModel]) -> Sequence[SpeechModel]:
        """Return the speech-to-speech models that are to be tried."""

    async def set_stt(self, stt: STT | Sequence[STT]) -> None:
        """Hear with other ears."""

    async def set_llm(self, llm: LLM | Sequence[LLM]) -> None:
        """Think with another mind."""

    async def set_tts(self, tts: TTS | Sequence[TTS]) -> None:
        """Speak with another voice."""

    @property
    def history(self) -> History:
        """What was said."""

    async def say(self, text: str | AsyncIterable[str], interruptible: bool) -> str:
        """Speak."""

    def served_anew(self) -> None:
        """Somebody else serves: see what is wanted of the call now."""


class Crew:
    """One call's providers, as the agent's author wrote them. ``None``: there is none yet."""

    def __init__(self, call: Crewed) -> None:
        self._call = call
        self._hearing, self._thinking, self._speaking, self._talking = (
            asyncio.Lock() for _ in range(4)
        )
        self.stt: STT | Sequence[STT] | None = None
        self.llm: LLM | Sequence[LLM] | None = None
        self.tts: TTS | Sequence[TTS] | None = None
        self.speech: SpeechModel | Sequence[SpeechModel] | None = None
        self.hears_audio = _hears_audio(call.agent)
        """The agent itself hears each piece of the caller's audio."""
        self._batch_ms = FRAME_MS

    # Getting ready -------------------------------------------------------------------------

    async def get_ready(self) -> None:
        """Connect all that serve, beside `Agent.on_ringing`, and have the greeting made.

        Raises `ProviderError` when one of them cannot be had.
        """
        agent = self._call.agent
        if agent.speech is not None:
            self._call.duplex.expect()
        if agent.speech is not None and not self._call.office.opens_at_once:
            await self._ring()
            await self._find_model(agent.speech)
        else:
            async with asyncio.TaskGroup() as group:
                if agent.speech is not None:
                    group.create_task(self._find_model(agent.speech))
                else:
                    self._find_cascade(group)
                group.create_task(self._ring())
        self._greet()

    async def _ring(self) -> None:
        await ring(self._call.agent, self._call.call, self._greet_early)

    def _greet_early(self) -> None:
        """What is said first is known: make it now, if a voice is there, and all else of it."""
        call = self._call
        if self.tts is None or call.is_open or call.manners.greeting is not None:
            return
        if call.office.greets_at_once:
            call.manners.prepare_greeting()

    async def _find_model(self, speech: SpeechModel | Sequence[SpeechModel]) -> None:
        try:
            await self.set_speech(speech)
        except ProviderError as error:
            await self.without_model(error, owed=False)

    async def without_model(self, error: ProviderError, *, owed: bool) -> None:
        """Let ears, mind and voice serve. Raises ``error`` if the agent has none.

        ``owed``: the caller waits for an answer, or for the rest of one.
        """
        call = self._call
        if not call.has_cascade:
            raise error
        async with asyncio.TaskGroup() as group:
            self._find_cascade(group)
        if call.duplex.session is not None:
            return  # somebody has called another model meanwhile
        call.duplex.leave()
        self.speech = None
        call.served_anew()
        if call.is_open and (owed or call.history.items):
            await call.say(call.agent.sorry, interruptible=True)
        elif not call.history.items:
            self._greet()

    def _find_cascade(self, group: asyncio.TaskGroup) -> None:
        call, agent = self._call, self._call.agent
        if agent.stt is not None:
            group.create_task(call.set_stt(agent.stt))
        if agent.llm is not None:
            group.create_task(call.set_llm(agent.llm))
        voice = voice_of(type(agent), call.office.stage)
        if voice is not None:
            group.create_task(self._find_voice(voice))

    async def _find_voice(self, tts: TTS | Sequence[TTS]) -> None:
        await self._call.set_tts(tts)
        if self._call.office.greets_at_once and not self._call.is_open:
            self._call.manners.prepare_greeting()

    def _greet(self) -> None:
        """Make the greeting that had to wait for a hook, or for a model that did not come."""
        call = self._call
        if call.manners.greeting is None and self.tts is not None and not call.duplex.active:
            call.manners.prepare_greeting()

    def greet_anew(self) -> None:
        """What is to greet has changed: if the phone still rings, it is made again."""
        if self._call.manners.greeting is not None and not self._call.is_open:
            self._call.manners.prepare_greeting()

    # One after the other ---------------------------------------------------------------------

    async def set_speech(self, speech: SpeechModel | Sequence[SpeechModel] | None) -> None:
        """Talk by another speech-to-speech model, or by none. Raises `ProviderError`."""
        async with self._talking:
            if speech is None:
                self._call.duplex.leave()
            else:
                listed = tuple(speech) if isinstance(speech, Sequence) else (speech,)
                models = as_chosen(listed, self._call.call.info)
                await self._call.duplex.connect(self._call.served_models(models))
            self.speech = speech
            self.ask_for_audio()

    async def rest(self) -> None:
        """A model hears and speaks from now on: ears and voice go, until they are needed again."""
        async with self._hearing, self._speaking:
            self.stt = self.tts = None
            await asyncio.gather(self._call.ears.rest(), self._call.speaker.swap(None))

    async def set_stt(self, stt: STT | Sequence[STT]) -> None:
        """Hear with other ears. Raises `ProviderError`; nothing changes then."""
        async with self._hearing:
            await self._call.ears.connect(self._call.served(stt))
            self.stt = stt
            self.ask_for_audio()

    def ask_for_audio(self) -> None:
        """Who hears has changed: have the caller's audio come as it is wanted now."""
        self.hears_audio = _hears_audio(self._call.agent)
        model = self._call.duplex.session
        batch_ms = self._call.ears.batch_ms if model is None else model.batch_ms
        if self.hears_audio:
            batch_ms = FRAME_MS
        if batch_ms != self._batch_ms:
            self._batch_ms = batch_ms
            self._call.call.tell(messages.Hear(batch_ms))

    async def set_llm(self, llm: LLM | Sequence[LLM]) -> None:
        """Think with another mind, from the next request on. Raises as above."""
        async with self._thinking:
            self._call.ears.keep(hears_audio(llm))
            await self._call.mind.connect(self._call.served(llm))
            self.llm = llm

    async def set_tts(self, tts: TTS | Sequence[TTS]) -> None:
        """Speak with another voice, from the next utterance on. Raises as above."""
        async with self._speaking:
            await self._call.speaker.swap(self._call.served(tts))
            self.tts = tts


def _hears_audio(agent: Agent) -> bool:
    return type(agent).on_audio is not Agent.on_audio
