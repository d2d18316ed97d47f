"""Who hears, thinks and speaks on one call: which provider's session does, and who takes its place.

Several may be told to change the same thing at once (a hook while the phone rings, a tool, a
stage): one after the other, and the last one stays.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, Protocol

from worker.ears import Ears
from worker.llm import LLM
from worker.mind import Mind
from worker.speaker import Speaker
from worker.stt import STT
from worker.tts import TTS


class Crewed(Protocol):
    """The call that they serve."""

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

    async def set_stt(self, stt: STT | Sequence[STT]) -> None:
        """Hear with other ears. Raises `ProviderError`; nothing changes then."""
        async with self._hearing:
            await self._call.ears.connect(self._call.served(stt))
            self.stt = stt

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
