from types import SimpleNamespace
from typing import Any

from shared import messages
from tests.worker.playbook import SID, Wire
from tests.worker.playbook import Ears as Hearing
from worker.agent import Agent
from worker.call_info import CallInfo
from worker.crew import Crew
from worker.ears import Ears
from worker.errors import ProviderError
from worker.stt import Hearing as Heard
from worker.voip import VoIP


class Batching(Hearing):
    """Ears that take as much at a time as the test says."""

    def __init__(self, batch_ms: int) -> None:
        super().__init__()
        self.batch_ms = batch_ms


class Listening(Agent):
    """An agent that hears the caller itself."""

    def on_audio(self, audio: bytes) -> None:
        """Hear."""


class Call:
    """The call that a crew serves; it has ears and a line."""

    mind: Any = None
    speaker: Any = None
    office: Any = None
    manners: Any = None
    duplex: Any = SimpleNamespace(session=None)
    history: Any = None
    is_open = True
    has_cascade = True

    def __init__(self, agent: Agent) -> None:
        self.wire = Wire()
        self.agent = agent
        self.call = VoIP(self.wire, CallInfo(SID), lambda: 0.0)
        self.ears = Ears(self, lambda: 0.0)
        self.crew = Crew(self)

    def served(self, provider: Any) -> Any:
        return provider

    def served_models(self, models: Any) -> Any:
        return models

    async def set_stt(self, stt: Any) -> None:
        await self.crew.set_stt(stt)

    async def set_llm(self, llm: Any) -> None:
        await self.crew.set_llm(llm)

    async def set_tts(self, tts: Any) -> None:
        await self.crew.set_tts(tts)

    async def say(self, text: Any, interruptible: bool) -> str:
        return str(text)

    def served_anew(self) -> None:
        """Nothing depends on it here."""

    async def without_model(self, error: ProviderError) -> None:
        raise error

    def heard(self, event: Heard) -> None:
        """Nothing is heard here."""

    def failed(self, error: Exception) -> None:
        raise error


async def test_the_callers_audio_is_asked_for_as_the_ears_like_it() -> None:
    call = Call(Agent())
    await call.crew.set_stt(Batching(60))
    assert call.wire.items == [messages.Hear(60)]


async def test_ears_that_say_nothing_get_audio_as_it_comes_and_nothing_is_asked_for() -> None:
    call = Call(Agent())
    await call.crew.set_stt(Hearing())
    assert call.wire.items == []


async def test_other_ears_are_asked_for_anew_and_the_same_size_is_not() -> None:
    call = Call(Agent())
    for ears in (Batching(100), Batching(100), Batching(60), Hearing()):
        await call.crew.set_stt(ears)
    assert call.wire.items == [messages.Hear(100), messages.Hear(60), messages.Hear(20)]


async def test_an_agent_that_hears_itself_gets_every_frame() -> None:
    call = Call(Listening())
    await call.crew.set_stt(Batching(60))
    assert call.wire.items == []


async def test_an_agent_that_hears_itself_gets_every_frame_once_it_has_taken_over() -> None:
    call = Call(Agent())
    await call.crew.set_stt(Batching(60))
    call.agent = Listening()
    call.crew.ask_for_audio()
    assert call.crew.hears_audio
    assert call.wire.items == [messages.Hear(60), messages.Hear(20)]
