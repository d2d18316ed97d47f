"""A speech-to-speech model on one call: what it says is heard, what it wants is done.

    line ──audio──> session ──audio, words──> `ModelVoice` ──> playout ──> line
                       │ turns, interruptions ──> `Minutes`, times
                       │ tools wanted ──> `Toolwork` ──> answered
                       └ lost ──> the next provider, or the agent's cascade

The model decides about turns. The call decides what was heard, keeps the history, runs the tools,
and stops the model where something else has the floor: a key, a farewell, the end.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Protocol

from shared import messages
from worker import speech
from worker.caller_turns import CallerTurns
from worker.ears import Ears
from worker.errors import ProviderError
from worker.minutes import Minutes
from worker.model_voice import ModelVoice
from worker.seat import Relief, Seat, Seated
from worker.speaker import Speaker
from worker.speech import SpeechModel, SpeechSession
from worker.toolwork import Toolwork, Wanted
from worker.turn import Turn
from worker.turn_times import TurnTimes
from worker.voip import VoIP

AWAY_SECONDS = 5.0
"""How long the line may be away (reconnected, put on hold) until the model is let go; it would
take the caller for silent. It comes back with the line."""

SAY_SECONDS = 10.0
"""How long a model has to begin what it was asked to say."""


class Duplexed(Seated, Wanted, Protocol):
    """The call that the model talks on."""

    call: VoIP
    ears: Ears
    speaker: Speaker
    times: TurnTimes

    def heard_ms(self) -> float:
        """Return the position in the caller's audio, in ms."""

    @property
    def crew(self) -> Relief:
        """Who can take over."""

    def turn_over(self, turn: Turn) -> None:
        """A turn is over."""

    def served_anew(self) -> None:
        """Somebody else serves: see what is wanted of the call now."""


class Duplex:
    """One call's model, if its agent has one."""

    def __init__(
        self,
        it: Duplexed,
        clock: Callable[[], float],
        spawn: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        self._it, self._spawn = it, spawn
        self._seat = Seat(it, self, self._begins_with, self._taken)
        self.minutes = Minutes(it.call.tell, it.history, it.times, it.heard_ms, it.turn_over)
        self.voice = ModelVoice(
            it.speaker.playout, self.minutes, it.times, self._was_cut, self._settle
        )
        self.tools = Toolwork(it, self.minutes, self._seat)
        self._turns = CallerTurns(it, self.minutes, self.tools, clock)
        self._will_speak = False  # the session has something to greet with, or to answer
        self._away: asyncio.TimerHandle | None = None

    # Who it is -------------------------------------------------------------------------------

    @property
    def session(self) -> SpeechSession | None:
        """Who talks; nobody while a model is being replaced."""
        return self._seat.session

    @property
    def active(self) -> bool:
        """The model hears, thinks and speaks; else the agent's cascade does."""
        return self._seat.active

    @property
    def hears(self) -> bool:
        """Whether the caller's audio is for a model, one that is on its way included."""
        return self._seat.active or self._seat.awaited

    def expect(self) -> None:
        """A model will talk on this call: from now on it is to hear the caller."""
        self._seat.awaited = True

    async def connect(self, models: Sequence[SpeechModel]) -> None:
        """Talk by the first of ``models`` that can be had. Raises `ProviderError` if none can."""
        await self._seat.connect(models)

    def _begins_with(self) -> speech.Opening:
        """Return what a session begins with now: with what is being heard, as if it was."""
        self.voice.write_down()
        self.tools.briefed()
        return self._it.opening()

    def _taken(self, opening: speech.Opening, session: SpeechSession) -> None:
        """Another session talks from now on; what it calls its turns and words is its own."""
        self._forget()
        self.voice.corrects = session.corrects
        greets = bool(opening.greeting) and not opening.items
        self._will_speak = greets or opening.is_owed
        self.voice.protects_next = greets and not opening.greeting_interruptible
        self.tools.moved()
        self._it.served_anew()

    def _forget(self) -> None:
        self.voice.lost()
        self.minutes.lost()
        self.tools.forget()
        self._turns.forget()

    def leave(self) -> None:
        """Others hear, think and speak from now on."""
        unheard = self._seat.leave()
        self._forget()
        for audio in unheard:
            self._it.ears.post(audio)

    def failed(self, error: Exception) -> None:
        """The session is lost: the next model takes over, or the cascade, or the call ends."""
        owed = self.voice.breaks_off or self.minutes.owes_words or self._turns.due
        if self._seat.lost(error):
            self._forget()
            self._spawn(self._succeed(owed))

    async def _succeed(self, owed: bool) -> None:
        try:
            is_taken = await self._seat.refill()
        except ProviderError as error:
            await self._it.crew.without_model(error, owed=owed)
            return
        if is_taken and owed and not self._will_speak and self.session is not None:
            self.session.say(self._it.agent.sorry)

    def line(self, is_open: bool) -> None:
        """The caller's line is there, or is away."""
        if self._away is not None:
            self._away.cancel()
            self._away = None
        if not is_open:
            self._away = asyncio.get_running_loop().call_later(AWAY_SECONDS, self._let_go)
        elif self.active and self.session is None:
            self._spawn(self._succeed(False))

    def _let_go(self) -> None:
        self._seat.vacate()
        self._forget()

    # What the call says ------------------------------------------------------------------------

    def post(self, audio: bytes) -> None:
        """Take the caller's audio."""
        self._seat.post(audio)

    async def say(self, text: str, interruptible: bool) -> str | None:
        """Have the model say ``text``; return what was heard of what it said.

        If it is lost meanwhile, the next one is asked; ``None``: there is none, others speak.
        """
        if not text.strip() or self._it.call.over:
            return ""
        while (session := await self._seat.filled()) is not None:
            begun = self.voice.expect(interruptible)
            session.say(text, interruptible=interruptible)
            await asyncio.wait([begun], timeout=SAY_SECONDS)
            if not begun.done():
                begun.cancel()
                self._it.call.log("the model has not said what it was asked to", "warning")
                return ""
            if not begun.cancelled():
                return (await begun.result().heard()).text
        return "" if self._it.call.over else None

    def tell(self, text: str) -> None:
        """Tell the model something as if the caller had said it."""
        self._seat.tell(text)

    def keys(self, text: str) -> None:
        """The caller's turn was a number of keys."""
        self._turns.keys(text)

    # What the session says ---------------------------------------------------------------------

    def audio(self, utterance: str, audio: bytes) -> None:
        """Audio of an utterance."""
        self._speaks(utterance)
        self.voice.audio(utterance, audio)

    def happened(self, event: speech.Event) -> None:
        """Anything else."""
        match event:
            case speech.AgentWords(key, text, final):
                self._speaks(key)
                self.voice.words(key, text, final)
            case speech.AgentTimed(key, timings):
                self._speaks(key)
                self.voice.timed(key, timings)
            case speech.AgentDone(key):
                self.voice.done(key)
            case speech.AgentCut():
                self.tools.interrupted()
                self.voice.was_cut()
                self._it.speaker.commit()
            case speech.AgentCorrected(key, text):
                self.voice.corrected(key, text)
            case speech.ToolsWanted(calls):
                self._spawn(self._run(calls))
            case speech.LeftByModel():
                if self._it.call.streaming:
                    self._spawn(self._it.call.hangup())
                else:  # the caller may talk with somebody else
                    self._let_go()
            case _:
                self._turns.hear(event)
                self._settle()

    def known_as(self, conversation_id: str) -> None:
        """The service calls the conversation so."""
        self._it.call.tell(messages.KnownAs(conversation_id))

    def _speaks(self, key: str) -> None:
        """The model says something: an answer, if the caller has spoken before."""
        if self.voice.knows(key):
            return
        if not self.voice.is_asked:
            self._turns.answered()
        self.tools.expects = False

    async def _run(self, calls: tuple[speech.Call, ...]) -> None:
        await self.tools.run(calls, self.voice.latest)
        self._settle()

    def _was_cut(self, key: str, heard_ms: float) -> None:
        if self.session is not None:
            self.session.cut(key, heard_ms)

    def _settle(self) -> None:
        """Something is over: with it, perhaps, the turn."""
        if not self.voice.open and not self.tools.at_work and self.minutes.is_answered:
            self.minutes.close_turn()

    # The end -------------------------------------------------------------------------------------

    def close(self) -> None:
        """The line is gone: the service is told at once."""
        if self._away is not None:
            self._away.cancel()
        self._seat.close()
        self.voice.close()

    async def finish(self, seconds: float) -> None:
        """The line is gone: let tools come to an end, and tell of the last turn."""
        await self.tools.finish(seconds)
        self.minutes.close()

    async def aclose(self) -> None:
        """Release everything, in bounded time."""
        self.close()
        self.minutes.close()
        await self._seat.aclose()
