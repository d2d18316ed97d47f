"""Turn-taking on a real call: feeds the machines of `worker.turns` and does what they decide.

    STT ──> Listening ──> Floor ──> Speaker (pause, resume, commit)
    keys ─> Keys ──────────┘ └────> Host (a turn to answer, an answer to prepare, give one up)
    one timer for all deadlines;  Silence and Duration ──> Host

Here is no policy: that is in the machines and in `Turns`.
"""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Protocol

from worker.speaker import Speaker
from worker.stt import Hearing
from worker.turns import agent, caller, floor, listening
from worker.turns import silence as silences
from worker.turns.agent import Key, Silent, Speaks, Thinks
from worker.turns.floor import Floor
from worker.turns.keys import Keys
from worker.turns.listening import Listening
from worker.turns.policy import Turns, Utterance
from worker.turns.silence import Duration, Silence


class Host(Protocol):
    """The call that turns are taken on."""

    @property
    def replying(self) -> bool:
        """Whether an answer is being prepared or given."""

    def take_turn(self, utterance: Utterance) -> None:
        """The caller's turn is over and is the agent's to answer."""

    def give_up_reply(self) -> None:
        """The answer in progress is not wanted any more."""

    def prepare_reply(self, text: str) -> None:
        """A turn has probably ended with ``text``: prepare an answer."""

    def forget_reply(self) -> None:
        """It has not: what was prepared is in vain."""

    def end_turn(self) -> None:
        """Ask the ears to end the turn."""

    def overheard(self, text: str) -> None:
        """The caller listened aloud."""

    def keys_pressed(self, keys: str) -> None:
        """The caller pressed keys that belong together."""

    def remind(self, due: silences.Ask | silences.Leave | silences.Warn | silences.TimeUp) -> None:
        """Silence has lasted, or time has run out."""


class TurnTaking:
    """Takes turns on one call."""

    def __init__(
        self, turns: Turns, clock: Callable[[], float], speaker: Speaker, host: Host
    ) -> None:
        self._turns, self._now = turns, clock
        self._speaker, self._host = speaker, host
        self._loop = asyncio.get_running_loop()
        self._listening = Listening(turns)
        self._floor = Floor(turns)
        self._keys = Keys(turns)
        self._silence = Silence(turns)
        self._duration: Duration | None = None
        self._agent: Thinks | Speaks | Silent = Silent()
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False
        self._has_line = True
        self._took_floor = False
        """The caller has interrupted, and the turn that did is not over."""
        self._caller_sounds = False
        """Somebody else, who decides about turns, hears the caller speak."""

    def begin(self, *, silence: bool) -> None:
        """The stream is open; ``silence`` says whether it is minded."""
        self._duration = Duration(self._turns, self._now())
        self.agent_changed()
        self.minds(silence=silence)

    def minds(self, *, silence: bool) -> None:
        """Whether the silence is minded here, from now on."""
        self._silence.mind(silence)
        if self._duration is not None:
            self._settle()

    def adopt(self, turns: Turns) -> None:
        """Take turns as another agent does from now on; the length of the call stays as it was."""
        self._turns = turns
        for machine in (self._listening, self._floor, self._keys, self._silence):
            machine.turns = turns

    @property
    def turn_began(self) -> float:
        """When the caller's turn began that is in progress, or was the last; the call's clock."""
        return self._listening.began

    def line(self, is_open: bool) -> None:
        """The stream is there, or is gone for a while: that silence is nobody's."""
        self._has_line = is_open
        if self._duration is not None:
            self._settle()

    def close(self) -> None:
        """The call is over: nothing is decided any more."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()

    # What happens ----------------------------------------------------------------------------

    def heard(self, event: Hearing) -> None:
        """The ears heard something."""
        if self._closed:
            return
        now = self._now()
        self._listened(self._listening.hear(event, now), now)
        self._settle()

    def caller_sounds(self, is_sounding: bool) -> None:
        """A speech-to-speech model hears the caller speak, or stop: that is no silence.

        Turns are the model's business then.
        """
        if self._closed:
            return
        self._caller_sounds = is_sounding
        self._silence.caller()
        if self._duration is not None:
            self._settle()

    def key(self, key: str, *, awaited: bool = False) -> None:
        """The caller pressed a key: it stops an agent that may be stopped, and is collected.

        One that is ``awaited`` by the answer in progress stops its words, and not the answer.
        """
        if self._closed:
            return
        self._silence.caller()
        now = self._now()
        if not awaited:
            self._decided(self._floor.take(Key(), now))
        elif not self._speaker.protected:
            self._speaker.commit()
        self._collected(self._keys.press(key, now))
        self._settle()

    def agent_changed(self) -> None:
        """The agent began or ceased to speak or to prepare an answer."""
        if self._closed:
            return
        doing = self._agent_now()
        if doing == self._agent:
            return
        self._agent = doing
        self._decided(self._floor.take(doing, self._now()))
        self._settle()

    def _agent_now(self) -> Thinks | Speaks | Silent:
        if self._speaker.protected:
            return Speaks(interruptible=False)
        if self._speaker.audible:
            return Speaks()
        return Thinks() if self._host.replying else Silent()

    # What is decided -------------------------------------------------------------------------

    def _listened(self, decisions: list[caller.Decision], now: float) -> None:
        for decision in decisions:
            match decision:
                case caller.AskEnd():
                    self._host.end_turn()
                case caller.ProbablyEnded(text):
                    if self._turns.eager and self._floor.state is floor.State.OPEN:
                        self._host.prepare_reply(text)
                case caller.NotEnded():
                    self._host.forget_reply()
                case caller.Began():
                    self._took_floor = False
                    self._decided(self._floor.take(decision, now))
                case caller.Words(text) | caller.Ended(text, _, 0.0):
                    if text:
                        self._silence.caller()
                    self._decided(self._floor.take(decision, now, self._speaker.left_ms))
                case _:
                    self._decided(self._floor.take(decision, now))

    def _decided(self, decisions: list[agent.Decision]) -> None:
        for decision in decisions:
            match decision:
                case agent.Pause():
                    self._speaker.pause()
                case agent.Resume():
                    self._speaker.resume()
                case agent.Commit():
                    self._took_floor = True
                    self._host.give_up_reply()
                    self._speaker.commit()
                case agent.Take(utterance):
                    if utterance.text:
                        self._silence.caller()
                    took_floor, self._took_floor = self._took_floor, False
                    self._host.take_turn(replace(utterance, took_floor=took_floor))
                case agent.Overhear(text):
                    self._host.overheard(text)

    def _collected(self, keys: str | None) -> None:
        if keys is not None:
            self._host.keys_pressed(keys)

    # Time ------------------------------------------------------------------------------------

    @property
    def deadline(self) -> float | None:
        """When something is due next, on the call's clock."""
        return min((it.deadline for it in self._clocks() if it.deadline is not None), default=None)

    def _settle(self) -> None:
        """Mind silence when nobody speaks, and set the timer to what is due next."""
        self._mind_silence()
        due = self.deadline
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if due is not None and not self._closed:
            self._timer = self._loop.call_later(max(0.0, due - self._now()), self.tick)

    def _mind_silence(self) -> None:
        """A sound without a word is no end of the silence: it only has to be over first."""
        busy = not isinstance(self._agent, Silent) or bool(self._listening.text)
        busy = busy or self._caller_sounds
        if busy or not self._has_line:
            self._silence.busy()
        elif self._listening.state is listening.State.QUIET and self._duration is not None:
            self._silence.quiet(self._now())

    def _clocks(self) -> Iterator[Listening | Floor | Keys | Silence | Duration]:
        yield from (self._listening, self._floor, self._keys)
        if self._listening.state is listening.State.QUIET:
            yield self._silence
        if self._duration is not None and self._has_line:
            yield self._duration  # who is on hold for a human is not hung up on

    def tick(self) -> None:
        """Do what has become due."""
        if self._closed:
            return
        now = self._now()
        self._listened(self._listening.tick(now), now)
        self._decided(self._floor.tick(now))
        self._collected(self._keys.tick(now))
        self._mind_silence()
        for reminder in self._clocks():
            if isinstance(reminder, Silence | Duration) and (due := reminder.tick(now)):
                self._host.remind(due)
        self._settle()
