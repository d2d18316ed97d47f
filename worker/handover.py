"""One agent gives a call to another: with its state, its history, and whoever serves both.

What the new one has and the call has not is connected first, all at once. If one of it cannot be
had, what was exchanged already is put back, and the call stays with the agent that it has.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any, Protocol

from worker.agent import Agent
from worker.crew import Crew
from worker.errors import ProviderError
from worker.llm import LLM
from worker.roles import first_stage, voice_of
from worker.speech import SpeechModel
from worker.stt import STT
from worker.tts import TTS

_Exchange = Callable[[Any], Coroutine[Any, Any, None]]
_Change = tuple[_Exchange, object, object]
"""How something is exchanged, what it was and what it is to be."""


class Served(Protocol):
    """A call, and how its crew is changed."""

    crew: Crew

    async def set_stt(self, stt: STT | Sequence[STT]) -> None:
        """Hear with other ears. Raises `ProviderError`."""

    async def set_llm(self, llm: LLM | Sequence[LLM]) -> None:
        """Think with another mind. Raises `ProviderError`."""

    async def set_tts(self, tts: TTS | Sequence[TTS]) -> None:
        """Speak with another voice. Raises `ProviderError`."""

    async def set_speech(self, speech: SpeechModel | Sequence[SpeechModel] | None) -> None:
        """Talk by another speech-to-speech model, or by none. Raises `ProviderError`."""


async def provide_for(agent: type[Agent], call: Served) -> None:
    """Connect what the class has and the call has not. Raises `ProviderError`."""
    voice, was_cascade = voice_of(agent, first_stage(agent)), call.crew.speech is None
    wanted: list[_Change] = [
        (call.set_stt, call.crew.stt, agent.stt),
        (call.set_llm, call.crew.llm, agent.llm),
        (call.set_tts, call.crew.tts, voice),
        (call.set_speech, call.crew.speech, agent.speech),
    ]
    changes = [each for each in wanted if each[2] is not None and each[2] != each[1]]
    if agent.speech is not None:
        # Ears, mind and voice wait behind the model, and are connected when they are needed.
        changes = [each for each in changes if each[0] == call.set_speech]
    elif agent.llm is not None and call.crew.speech is not None:
        changes.append((call.set_speech, call.crew.speech, None))
    work = [change(new) for change, _, new in changes]
    outcomes = await asyncio.gather(*work, return_exceptions=True)
    failed = [outcome for outcome in outcomes if outcome is not None]
    if failed:
        done = [each for each, outcome in zip(changes, outcomes, strict=True) if outcome is None]
        await asyncio.gather(*(_put_back(*each) for each in done))
        raise failed[0]
    if agent.speech is not None and was_cascade:
        await call.crew.rest()


async def _put_back(change: _Exchange, before: object, _: object) -> None:
    """Go back to who served before; where that one is gone as well, the new one stays."""
    if before is not None:
        with suppress(ProviderError):
            await change(before)


def successor(agent: type[Agent], before: Agent) -> Agent:
    """Return the agent that goes on, with the state of the one ``before``."""
    new = agent()
    new.state = before.state
    return new
