"""What happens between caller and agent on one call: who hears, thinks and speaks, and in turn.

    line ──audio──> Ears ──> TurnTaking ──a turn──> Agent.inference ──> Mind ──> Speaker ──> line
                                  └── pause, resume, commit ────────────────────────┘

Here the participants are wired: each knows the others by what it may ask of them. What an agent
can do in its call (`worker.agent.Conversation`) and what turn-taking asks of a call
(`worker.turn_taking.Host`) end here.
"""

import asyncio
from collections.abc import AsyncIterable, Callable, Coroutine, Sequence
from typing import Any

from shared import messages
from shared.audio import ms_of_bytes
from worker.agenda import Agenda, Pressed
from worker.agent import Agent
from worker.crew import Crew
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
from worker.roles import voice_of
from worker.speaker import Speaker
from worker.stt import STT, Hearing
from worker.transcript import Transcript
from worker.tts import TTS
from worker.turn_taking import TurnTaking
from worker.turn_times import TurnTimes
from worker.turns import policy
from worker.turns.silence import Ask, Leave, TimeUp, Warn
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
        self._heard_bytes, self._is_open = 0, False
        self.times = TurnTimes(clock, call.tell)
        self.transcript = Transcript(call, self.times, lambda: ms_of_bytes(self._heard_bytes))
        self.speaker = Speaker(call, clock, self.times, self._agent_changed)
        self.office = Office(self)
        self.mind = Mind(self.office, self.speaker, self.transcript, self.times)
        self.ears = Ears(self, clock)
        self.taking = TurnTaking(agent.turns, clock, self.speaker, self)
        self.crew = Crew(self)
        self._keypad = Keypad(clock)
        self.agenda = Agenda(self, self._agent_changed)
        self.manners = Manners(self, spawn)
        agent.attach(call, self)

    # Getting ready -------------------------------------------------------------------------

    async def get_ready(self) -> None:
        """Connect ears, mind and voice at once, and make the greeting while the phone rings.

        Raises `ProviderError` when one of them cannot be had.
        """
        agent = self.agent
        async with asyncio.TaskGroup() as group:
            if agent.stt is not None:
                group.create_task(self.set_stt(agent.stt))
            if agent.llm is not None:
                group.create_task(self.set_llm(agent.llm))
            voice = voice_of(type(agent), self.stage)
            if voice is not None:
                group.create_task(self._find_voice(voice))
            group.create_task(agent.on_ringing())
        if self.manners.greeting is None and self.crew.tts is not None:
            self.manners.prepare_greeting()

    async def _find_voice(self, tts: TTS | Sequence[TTS]) -> None:
        await self.set_tts(tts)
        if self.office.greets_at_once:
            self.manners.prepare_greeting()

    def served(self, provider: Any) -> Any:
        """Return the provider that is to be connected where an author has named ``provider``."""
        return fallback_of(provider, self.trouble)

    def line_open(self) -> None:
        """The first stream is open: a greeting that is made waits for nobody who still connects."""
        self.times.origin, self._is_open = self._now(), True
        self.speaker.stream_opened()

    def begin(self) -> None:
        """The first stream is open, and everybody is there."""
        self.taking.begin(silence=self.agent.stt is not None and self.crew.tts is not None)
        self.manners.greet()
        self._spawn(self.office.settle())

    def trouble(self, provider: str, sentence: str, fallback: str | None) -> None:
        """Tell the operator that a provider was lost, and who took over."""
        self.call.tell(messages.ProviderTrouble(provider, sentence, fallback))

    # Turns ---------------------------------------------------------------------------------

    def _agent_changed(self) -> None:
        self.taking.agent_changed()
        if not self.agenda.answering and (keys := self._keypad.left_over()):
            self.keys_pressed(keys)

    # What the line says ----------------------------------------------------------------------

    def audio(self, audio: bytes) -> None:
        """Hand the caller's audio to whoever listens."""
        self._heard_bytes += len(audio)
        self.ears.post(audio)
        if self.crew.hears_audio:
            self.agent.on_audio(audio)

    def key(self, digit: str) -> None:
        """The caller pressed a key. A tool at work may be about to ask for it."""
        self._spawn(self.agent.on_dtmf(digit))
        self.taking.key(digit, awaited=self.keys_until is not None or self.office.tools_run)

    def line_lost(self) -> None:
        """The stream is gone; another may come."""
        self.speaker.stream_closed()
        self.taking.line(False)

    def line_back(self) -> None:
        """There is a stream again."""
        self.taking.line(True)
        self.speaker.stream_opened()

    # What the ears say -----------------------------------------------------------------------

    def heard(self, event: Hearing) -> None:
        """Something was heard."""
        self.taking.heard(event)

    def failed(self, error: Exception) -> None:
        """The ears are lost: the call cannot go on."""
        self._spawn(raised(error))

    # What turn-taking asks for -----------------------------------------------------------------

    @property
    def replying(self) -> bool:
        """Whether an answer is being prepared or given."""
        return self.agenda.busy

    def take_turn(self, utterance: policy.Utterance) -> None:
        """The caller's turn is the agent's to answer."""
        now = self._now()
        self.mind.settle_prepared(utterance.text)
        self.transcript.caller(utterance.text)
        self.times.turn(now, self.ears.time_of(utterance.at_ms))
        self.agenda.add(utterance)

    def give_up_reply(self) -> None:
        """The caller has taken the floor."""
        self.mind.give_up()

    def prepare_reply(self, text: str) -> None:
        """A turn has probably ended."""
        if self.office.may_prepare and not self.replying:
            self.mind.prepare(text)

    def forget_reply(self) -> None:
        """It has not."""
        self.mind.forget()

    def end_turn(self) -> None:
        """A deadline of the turn has passed."""
        self.ears.end_turn()

    def overheard(self, text: str) -> None:
        """The caller listened aloud: no turn, but a line of the transcript."""
        self.mind.forget()
        self.transcript.caller(text)

    def keys_pressed(self, keys: str) -> None:
        """Keys that belong together: for whoever waits for them, or is about to."""
        if self._keypad.take(keys, keep=self.office.tools_run) or not keys:
            return
        self.mind.forget()
        self.times.turn(self._now(), None)
        self.transcript.caller(f"(pressed {keys})")
        self.agenda.add(Pressed(keys))

    def remind(self, due: Ask | Leave | Warn | TimeUp) -> None:
        """Silence has lasted, or time has run out."""
        self.manners.remind(due)

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
        await self.mind.answer(text)

    async def keys(self, timeout_s: float) -> str:
        """Return the keys that the caller presses next, empty when none come in time."""
        return await self._keypad.next(timeout_s)

    @property
    def keys_until(self) -> float | None:
        """Until when the agent waits for keys, if it does."""
        return self._keypad.until

    def enter(self, stage: str) -> None:
        """Move to another stage."""
        self.office.enter(stage)
        self.mind.forget()
        if self._is_open and not self.agenda.answering:
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
        self.mind.forget()
        self._greet_anew()
        self.call.log("handed over", agent=agent.__name__)
        await self.agent.on_taken_over()

    def _greet_anew(self) -> None:
        """What is to greet has changed while the phone still rings."""
        if self.manners.greeting is not None and not self._is_open:
            self.manners.prepare_greeting()

    async def set_stt(self, stt: STT | Sequence[STT]) -> None:
        """Hear with other ears."""
        await self.crew.set_stt(stt)

    async def set_llm(self, llm: LLM | Sequence[LLM]) -> None:
        """Think with another mind, from the next request on."""
        await self.crew.set_llm(llm)

    async def set_tts(self, tts: TTS | Sequence[TTS]) -> None:
        """Speak with another voice."""
        await self.crew.set_tts(tts)
        self._greet_anew()

    def run_beside(self, text: str) -> None:
        """Say something beside what goes on, as a tool that takes long does."""
        self._spawn(self.manners.tell(text))

    # The end ---------------------------------------------------------------------------------

    def close(self) -> None:
        """The line is gone: nothing is decided or spoken any more."""
        self.taking.close()
        self.speaker.give_up()

    async def aclose(self) -> None:
        """Release everything, in bounded time."""
        self.close()
        self.times.flush()
        await asyncio.gather(
            self.mind.aclose(), self.office.aclose(), self.speaker.aclose(), self.ears.aclose()
        )
