"""What happens between caller and agent on one call: who hears, thinks and speaks, and in turn.

    line ──audio──> Ears ──> TurnTaking ──a turn──> Agent.inference ──> Mind ──> Speaker ──> line
              │                   └── pause, resume, commit ────────────────────────┘ │
              └───> Duplex: one model that hears, thinks and speaks ──────────────────┘

Here the participants are wired: each knows the others by what it may ask of them. What an agent
can do in its call (`worker.agent.Conversation`) ends here.
"""

import asyncio
from collections.abc import AsyncIterable, Callable, Coroutine, Sequence
from typing import Any

from shared import messages
from shared.audio import ms_of_bytes
from worker.agenda import Agenda
from worker.agent import Agent
from worker.crew import Crew
from worker.duplex import Duplex
from worker.ears import Ears
from worker.errors import raised
from worker.fallback import fallback_of
from worker.handover import provide_for, successor
from worker.history import History
from worker.keypad import Keypad
from worker.llm import LLM
from worker.manners import Manners
from worker.mind import Mind
from worker.office import Office
from worker.opening import open_with
from worker.roles import has_cascade
from worker.speaker import Speaker
from worker.speech import Opening, SpeechModel
from worker.stt import STT, Hearing
from worker.transcript import Transcript
from worker.tts import TTS
from worker.turn import Turn
from worker.turn_host import TurnHost
from worker.turn_taking import TurnTaking
from worker.turn_times import TurnTimes
from worker.utterance import whole
from worker.voip import VoIP


class Conversation:
    """One call's participants.

    ``spawn`` runs a coroutine beside the call, and what it raises ends the call.
    """

    def __init__(
        self,
        agent: Agent,
        call: VoIP,
        clock: Callable[[], float],
        spawn: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        self.agent, self.call = agent, call
        self._now, self._spawn = clock, spawn
        self._heard_bytes = 0
        self.is_open = False
        """The call has had its first stream."""
        self.times = TurnTimes(clock, call.tell)
        self.transcript = Transcript(call, self.times, self.heard_ms)
        self.speaker = Speaker(call, clock, self.times, self._agent_changed)
        self.office = Office(self)
        self.mind = Mind(self.office, self.speaker, self.transcript, self.times)
        self.ears = Ears(self, clock)
        self.keypad = Keypad(clock)
        self.duplex = Duplex(self, clock, spawn)
        self.host = TurnHost(self, clock)
        self.taking = TurnTaking(agent.turns, clock, self.speaker, self.host)
        self.crew = Crew(self)
        self.agenda = Agenda(self, self._agent_changed)
        self.manners = Manners(self, spawn)
        agent.attach(call, self)

    # Getting ready -------------------------------------------------------------------------

    async def get_ready(self) -> None:
        """Connect all that serve while the phone rings. Raises `ProviderError`."""
        await self.crew.get_ready()

    def served_anew(self) -> None:
        """Somebody else serves: see what is wanted of the call now."""
        self.crew.ask_for_audio()
        self.taking.minds(silence=self._minds_silence)

    @property
    def has_cascade(self) -> bool:
        """Whether the agent can go on without a speech-to-speech model."""
        return has_cascade(self.agent)

    def opening(self) -> Opening:
        """Return what a session of a speech-to-speech model begins with now."""
        return open_with(self.agent, self.office, self.call.info, self.history)

    def served(self, provider: Any) -> Any:
        """Return the provider that is to be connected where an author has named ``provider``."""
        return fallback_of(provider, self.trouble)

    def served_models(self, models: Sequence[SpeechModel]) -> Sequence[SpeechModel]:
        """Return the speech-to-speech models that are to be tried."""
        return models

    def line_open(self) -> None:
        """The first stream is open: a greeting that is made waits for nobody who still connects."""
        self.times.origin, self.is_open = self._now(), True
        self.duplex.line(True)
        self.speaker.stream_opened()

    def begin(self) -> None:
        """The first stream is open, and everybody is there."""
        self.taking.begin(silence=self._minds_silence)
        self.manners.greet()
        self._spawn(self.office.settle())

    @property
    def _minds_silence(self) -> bool:
        """Whether it is the call that asks a silent caller."""
        if (model := self.duplex.session) is not None:
            return not model.minds_silence
        return self.agent.stt is not None and self.crew.tts is not None

    @property
    def can_speak(self) -> bool:
        """Whether there is a voice."""
        return self.crew.tts is not None or self.duplex.active

    def trouble(self, provider: str, sentence: str, fallback: str | None) -> None:
        """Tell the operator that a provider was lost, and who took over."""
        self.call.tell(messages.ProviderTrouble(provider, sentence, fallback))

    def _agent_changed(self) -> None:
        self.taking.agent_changed()
        if not self.agenda.answering and (keys := self.keypad.left_over()):
            self.host.keys_pressed(keys)

    def turn_over(self, turn: Turn) -> None:
        """A turn with the model is over."""
        self.agenda.add(turn)

    # What the line says ----------------------------------------------------------------------

    def audio(self, audio: bytes) -> None:
        """Hand the caller's audio to whoever listens."""
        self._heard_bytes += len(audio)
        if self.duplex.hears:
            self.duplex.post(audio)
        else:
            self.ears.post(audio)
        if self.crew.hears_audio:
            self.agent.on_audio(audio)

    def heard_ms(self) -> float:
        """Return the position in the caller's audio, in ms."""
        return ms_of_bytes(self._heard_bytes)

    def key(self, digit: str) -> None:
        """The caller pressed a key. A tool at work may be about to ask for it."""
        self._spawn(self.agent.on_dtmf(digit))
        self.taking.key(digit, awaited=self.keys_until is not None or self.office.tools_run)

    def line_lost(self) -> None:
        """The stream is gone; another may come."""
        self.speaker.stream_closed()
        self.duplex.line(False)
        self.taking.line(False)

    def line_back(self) -> None:
        """There is a stream again."""
        self.taking.line(True)
        self.duplex.line(True)
        self.speaker.stream_opened()

    # What the ears say -----------------------------------------------------------------------

    def heard(self, event: Hearing) -> None:
        """Something was heard."""
        self.taking.heard(event)

    def failed(self, error: Exception) -> None:
        """The ears are lost: the call cannot go on."""
        self._spawn(raised(error))

    # What the agent asks for -------------------------------------------------------------------

    @property
    def history(self) -> History:
        """What was said."""
        return self.transcript.history

    @property
    def stage(self) -> str | None:
        """The agent's stage."""
        return self.office.stage

    async def say(self, text: str | AsyncIterable[str], interruptible: bool) -> str:
        """Speak; what was heard goes into transcript and history, and is returned."""
        if self.duplex.active and self.crew.tts is None:
            text = await whole(text)
            heard = await self.duplex.say(text, interruptible)
            if heard is not None:
                return heard
        line = text.strip() if isinstance(text, str) else ""
        spoken = await self.speaker.say(
            text,
            interruptible,
            reply=self.agenda.answering,
            begun=lambda it: self.transcript.follow(self.history.agent(line), it),
        )
        return spoken.text

    async def answer(self, text: str) -> None:
        """Have the model answer the caller."""
        if self.duplex.active:
            self.duplex.tell(text)
        else:
            await self.mind.answer(text)

    async def keys(self, timeout_s: float) -> str:
        """Return the keys that the caller presses next, empty when none come in time."""
        return await self.keypad.next(timeout_s)

    @property
    def keys_until(self) -> float | None:
        """Until when the agent waits for keys, if it does."""
        return self.keypad.until

    def enter(self, stage: str) -> None:
        """Move to another stage."""
        self.office.enter(stage)
        self.mind.forget()
        if self.duplex.active:
            self.duplex.tools.moved()
        elif self.is_open and not self.agenda.answering:
            self._spawn(self.office.settle())

    async def hand_over(self, agent: type[Agent]) -> None:
        """Let another agent go on: state, history and line are handed to it.

        Raises `ProviderError` when one of its providers cannot be had; nobody is replaced then.
        """
        await provide_for(agent, self)
        self.agent = successor(agent, self.agent)
        self.agent.attach(self.call, self)
        self.crew.ask_for_audio()
        self.taking.adopt(self.agent.turns)
        self.office.took_over()
        self.duplex.tools.moved()
        self.mind.forget()
        self.manners.taken_over()
        self.crew.greet_anew()
        self.call.log("handed over", agent=agent.__name__)
        await asyncio.sleep(0)  # what is to be said of a recording is asked for first
        await self.agent.on_taken_over()

    async def set_stt(self, stt: STT | Sequence[STT]) -> None:
        """Hear with other ears."""
        await self.crew.set_stt(stt)

    async def set_speech(self, speech: SpeechModel | Sequence[SpeechModel] | None) -> None:
        """Talk by another speech-to-speech model, or by none."""
        await self.crew.set_speech(speech)

    async def set_llm(self, llm: LLM | Sequence[LLM]) -> None:
        """Think with another mind, from the next request on."""
        await self.crew.set_llm(llm)

    async def set_tts(self, tts: TTS | Sequence[TTS]) -> None:
        """Speak with another voice."""
        await self.crew.set_tts(tts)
        self.crew.greet_anew()

    def run_beside(self, text: str) -> None:
        """Say something beside what goes on, as a tool that takes long does."""
        model = self.duplex.session
        if model is None or not model.stands_still or self.crew.tts is not None:
            self._spawn(self.manners.tell(text))

    # The end ---------------------------------------------------------------------------------

    def close(self) -> None:
        """The line is gone: nothing is decided or spoken any more."""
        self.taking.close()
        self.speaker.give_up()
        self.duplex.close()

    async def aclose(self) -> None:
        """Release everything, in bounded time."""
        self.close()
        self.times.flush()
        await asyncio.gather(
            self.mind.aclose(),
            self.office.aclose(),
            self.speaker.aclose(),
            self.ears.aclose(),
            self.duplex.aclose(),
        )
