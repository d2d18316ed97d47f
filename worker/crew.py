"""Who hears, thinks and speaks on one call: which provider's session does, and who takes its place.

Several may be told to change the same thing at once (a hook while the phone rings, a tool, a
stage): one after the other, and the last one stays.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, Protocol

from shared import messages
from shared.audio import FRAME_MS
from worker.agent import Agent
from worker.ears import Ears
from worker.llm import LLM
from worker.mind import Mind
from worker.speaker import Speaker
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

    def served(self, provider: Any) -> Any:
        """Return the provider that is to be connected where an author has named ``provider``."""


class Crew:
    """One call's providers, as the agent's author wrote them. ``None``: there is none yet."""

    def __init__(self, call: Crewed) -> None:
        self._call = call
        self._hearing, self._thinking, self._speaking = (asyncio.Lock() for _ in range(3))
        self.stt: STT | Sequence[STT] | None = None
        self.llm: LLM | Sequence[LLM] | None = None
        self.tts: TTS | Sequence[TTS] | None = None
        self.hears_audio = _hears_audio(call.agent)
        """The agent itself hears each piece of the caller's audio."""
        self._batch_ms = FRAME_MS

    async def set_stt(self, stt: STT | Sequence[STT]) -> None:
        """Hear with other ears. Raises `ProviderError`; nothing changes then."""
        async with self._hearing:
            await self._call.ears.connect(self._call.served(stt))
            self.stt = stt
            self.ask_for_audio()

    def ask_for_audio(self) -> None:
        """Who hears has changed: have the caller's audio come as it is wanted now."""
        self.hears_audio = _hears_audio(self._call.agent)
        batch_ms = FRAME_MS if self.hears_audio else self._call.ears.batch_ms
        if batch_ms != self._batch_ms:
            self._batch_ms = batch_ms
            self._call.call.tell(messages.Hear(batch_ms))

    async def set_llm(self, llm: LLM | Sequence[LLM]) -> None:
        """Think with another mind, from the next request on. Raises as above."""
        async with self._thinking:
            await self._call.mind.connect(self._call.served(llm))
            self.llm = llm

    async def set_tts(self, tts: TTS | Sequence[TTS]) -> None:
        """Speak with another voice, from the next utterance on. Raises as above."""
        async with self._speaking:
            await self._call.speaker.swap(self._call.served(tts))
            self.tts = tts


def _hears_audio(agent: Agent) -> bool:
    return type(agent).on_audio is not Agent.on_audio
