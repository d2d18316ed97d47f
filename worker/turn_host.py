"""What turn-taking decides, done: a `worker.turn_taking.Host` for a conversation."""

from collections.abc import Callable
from typing import Protocol

from worker.agenda import Agenda, Heard, Pressed
from worker.duplex import Duplex
from worker.ears import Ears
from worker.keypad import Keypad
from worker.llm import Said, Sound
from worker.manners import Manners
from worker.mind import Mind
from worker.office import Office
from worker.transcript import Transcript
from worker.turn_taking import TurnTaking
from worker.turn_times import TurnTimes
from worker.turns import policy
from worker.turns.silence import Ask, Leave, TimeUp, Warn


class Hosted(Protocol):
    """The conversation in which turns are taken."""

    times: TurnTimes
    transcript: Transcript
    office: Office
    mind: Mind
    ears: Ears
    agenda: Agenda
    manners: Manners
    duplex: Duplex
    keypad: Keypad
    taking: TurnTaking


class TurnHost:
    """Acts on what turn-taking decides."""

    def __init__(self, conversation: Hosted, clock: Callable[[], float]) -> None:
        self._it, self._now = conversation, clock

    @property
    def replying(self) -> bool:
        """Whether an answer is being prepared or given."""
        it = self._it
        return it.agenda.busy or it.duplex.tools.runs

    def take_turn(self, utterance: policy.Utterance) -> None:
        """The caller's turn is the agent's to answer."""
        it, now = self._it, self._now()
        it.mind.settle_prepared(utterance.text)
        it.transcript.caller(utterance.text)
        it.times.turn(now, it.ears.time_of(utterance.at_ms))
        audio = it.ears.audio_of(it.taking.turn_began, utterance.at_ms)
        sound = Sound(audio, utterance.text) if audio and utterance.text else None
        it.agenda.add(Heard(utterance, sound))

    def give_up_reply(self) -> None:
        """The caller has taken the floor."""
        self._it.mind.give_up()

    def prepare_reply(self, text: str) -> None:
        """A turn has probably ended."""
        it = self._it
        if it.office.may_prepare and not self.replying:
            audio = it.ears.audio_since(it.taking.turn_began)
            it.mind.prepare(Said("user", text, sound=Sound(audio, text) if audio else None))

    def forget_reply(self) -> None:
        """It has not."""
        self._it.mind.forget()

    def end_turn(self) -> None:
        """A deadline of the turn has passed."""
        self._it.ears.end_turn()

    def overheard(self, text: str) -> None:
        """The caller listened aloud: no turn, but a line of the transcript."""
        self._it.mind.forget()
        self._it.transcript.caller(text)

    def keys_pressed(self, keys: str) -> None:
        """Keys that belong together: for whoever waits for them, or is about to."""
        it = self._it
        if it.keypad.take(keys, keep=it.office.tools_run) or not keys:
            return
        if it.duplex.active:
            it.duplex.keys(f"(pressed {keys})")
        else:
            it.mind.forget()
            it.times.turn(self._now(), None)
            it.transcript.caller(f"(pressed {keys})")
        it.agenda.add(Pressed(keys))

    def remind(self, due: Ask | Leave | Warn | TimeUp) -> None:
        """Silence has lasted, or time has run out."""
        self._it.manners.remind(due)
