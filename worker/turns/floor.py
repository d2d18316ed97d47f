"""Who has the floor: an agent that speaks and a caller who makes a sound, in two steps.

    OPEN ──> THINKING ──> SPEAKING ── sound ──> PAUSED ── words, or long ──> OPEN
     ^           │            ^                   │ │        (Commit)
     │           │            └── noise, nothing, │ │
     │           │                backchannel ────┘ └── the turn ended ──> OPEN
     │           │                (Resume)                (Commit, Take)
     ├── words ──┘ (Commit)
     └── silent ── THINKING, SPEAKING, PROTECTED

*Pause*: speech is taken back at once, and kept. *Commit*: it is given up; the agent remembers what
was heard of it. *Resume*: it goes on where it was cut. A `PROTECTED` agent cannot be interrupted:
what is said meanwhile is answered afterwards.
"""

from collections.abc import Callable
from enum import Enum, auto

from worker.turns.agent import (
    Commit,
    Decision,
    Key,
    Overhear,
    Pause,
    Resume,
    Silent,
    Speaks,
    Take,
    Thinks,
)
from worker.turns.caller import Began, Ended, Faded, Sounds, Stopped, Words
from worker.turns.policy import Turns, Utterance, is_backchannel, words_of

MOST_IN_VAIN = 3
"""So many pauses in a row for sounds without a word; then only words pause. A noisy room cannot
silence an agent."""


class State(Enum):
    """Who has the floor."""

    OPEN = auto()
    """The agent is silent and prepares nothing."""
    THINKING = auto()
    """It prepares an answer; nothing of it is to be heard yet."""
    SPEAKING = auto()
    PROTECTED = auto()
    """It speaks and cannot be interrupted."""
    PAUSED = auto()


class Deadline:
    """The time that `Floor.deadline` named has come."""


Event = Thinks | Speaks | Silent | Key | Began | Sounds | Stopped | Words | Faded | Ended


class Floor:
    """One call's floor. ``now`` is monotonic seconds."""

    def __init__(self, turns: Turns) -> None:
        self.turns = turns
        self.state = State.OPEN
        self.deadline: float | None = None
        self._now = self._paused_at = 0.0
        self._left_ms: float | None = None
        self._lasting = False
        """A sound goes on whose end will be told."""
        self._meant = False
        """The pause has brought words that are more than listening aloud."""
        self._taken = False
        """The turn in progress has taken the floor: it is answered, whatever is in it."""
        self._came_first = True
        """It began when the agent was not to be heard."""
        self._weighed: list[str] = []
        self._in_vain = 0

    def take(self, event: Event, now: float, left_ms: float | None = None) -> list[Decision]:
        """Take an event; return what it decides, in order.

        ``left_ms`` is how much of its speech the agent has left, ``None`` if it does not speak.
        """
        self._left_ms = left_ms
        if isinstance(event, Began | Sounds):
            self._lasting = event.lasting
        elif isinstance(event, Stopped | Faded | Ended):
            self._lasting = False
        if isinstance(event, Began):
            self._taken, self._weighed = False, []
            self._came_first = self.state in (State.OPEN, State.THINKING)
        return self._take(event, now)

    def tick(self, now: float) -> list[Decision]:
        """The deadline has passed, or nothing happens."""
        if self.deadline is None or now < self.deadline:
            return []
        return self._take(Deadline(), now)

    def _take(self, event: Event | Deadline, now: float) -> list[Decision]:
        self._now = now
        row = TABLE.get((self.state, type(event)))
        return row(self, event) if row is not None else []

    # The agent -----------------------------------------------------------------------------

    def _go(self, state: State, until: float | None = None) -> None:
        self.state, self.deadline = state, until

    def _thinks(self, _: Thinks) -> list[Decision]:
        self._in_vain = 0
        return self._unless_paused(State.THINKING)

    def _silent(self, _: Silent) -> list[Decision]:
        self._in_vain = 0
        return self._unless_paused(State.OPEN)

    def _speaks(self, event: Speaks) -> list[Decision]:
        return self._unless_paused(State.SPEAKING if event.interruptible else State.PROTECTED)

    def _speaks_up(self, event: Speaks) -> list[Decision]:
        """An answer is ready: it waits for a caller who is known to be speaking already."""
        if event.interruptible and self._lasting and self._in_vain < MOST_IN_VAIN:
            return self._hold()
        return self._speaks(event)

    def _unless_paused(self, state: State) -> list[Decision]:
        """What was paused is gone, or may not be paused any more: nothing is held back."""
        was = self.state
        self._go(state)
        return [Resume()] if was is State.PAUSED else []

    def _still_paused(self, event: Speaks) -> list[Decision]:
        return [] if event.interruptible else self._speaks(event)

    # A pause -------------------------------------------------------------------------------

    def _after_pause(self, wait_ms: int) -> float:
        return max(self._now, self._paused_at + wait_ms / 1000)

    def _pause(self, _: Began) -> list[Decision]:
        return [] if self._in_vain >= MOST_IN_VAIN else self._hold()

    def _hold(self) -> list[Decision]:
        self._paused_at, self._meant = self._now, False
        turns = self.turns
        wait = turns.interrupt_ms if self._lasting else turns.resume_ms
        self._go(State.PAUSED, self._after_pause(wait))
        return [Pause()]

    def _sounds_again(self, event: Sounds) -> list[Decision]:
        if event.lasting:
            self._go(State.PAUSED, self._now + self.turns.interrupt_ms / 1000)
        return []

    def _sound_over(self, _: Stopped) -> list[Decision]:
        """It was too short to be speech by its length: now its words decide."""
        self._go(State.PAUSED, self._after_pause(self.turns.resume_ms))
        return []

    def _pause_and_weigh(self, event: Words) -> list[Decision]:
        if words_of(event.text) == self._weighed:
            return []  # they are known, and the agent goes on in spite of them
        return [*self._hold(), *self._weigh(event)]

    def _weigh(self, event: Words) -> list[Decision]:
        """Words have come: are they enough to take the floor?"""
        self._weighed, self._in_vain = words_of(event.text), 0
        if self._is_enough(event.text):
            return self._commit_to_caller()
        # Backchannels, or too few words, so far: the caller may go on.
        self._meant = not self._is_backchannel(event.text)
        self._go(State.PAUSED, self._after_pause(self.turns.interrupt_ms))
        return []

    def _waited(self, _: Deadline) -> list[Decision]:
        return self._commit_to_caller() if self._lasting or self._meant else self._resume()

    def _resume(self, *_: object) -> list[Decision]:
        self._in_vain += not self._weighed
        self._go(State.SPEAKING)
        return [Resume()]

    def _commit(self, *_: object) -> list[Decision]:
        self._in_vain = 0
        self._go(State.OPEN)
        return [Commit()]

    def _commit_to_caller(self) -> list[Decision]:
        self._taken = True
        return self._commit()

    def _weigh_thinking(self, event: Words) -> list[Decision]:
        """The caller goes on while an answer is prepared: it would answer half a question."""
        if self._taken or self._is_backchannel(event.text):
            return []
        return self._commit_to_caller()

    # The end of a turn ---------------------------------------------------------------------

    def _is_enough(self, text: str) -> bool:
        words = words_of(text)
        if words and self._is_nearly_done():
            return True
        return len(words) >= self.turns.interrupt_words and not self._is_backchannel(text)

    def _is_long(self, sound_ms: float) -> bool:
        """Without words, length decides, unless the caller was heard first or is answering."""
        if self._came_first or self._is_nearly_done():
            return True
        return sound_ms >= self.turns.interrupt_sound_ms

    def _is_nearly_done(self) -> bool:
        return self._left_ms is not None and self._left_ms < self.turns.nearly_ms

    def _is_backchannel(self, text: str) -> bool:
        return is_backchannel(text, self.turns.backchannels)

    def _turn(self, event: Ended) -> list[Decision]:
        self._taken = False
        return [Take(Utterance(event.text, event.at_ms))]

    def _unheard(self, _: Faded) -> list[Decision]:
        """The caller has stopped the agent, and nothing that was said was understood."""
        return self._turn(Ended("")) if self._taken else []

    def _paused_turn(self, event: Ended) -> list[Decision]:
        decided = self._spoken_over(event)
        return [*decided, *self._resume()] if self.state is State.PAUSED else decided

    def _spoken_over(self, event: Ended) -> list[Decision]:
        """A turn that ended while the agent spoke on: it had been resumed, or never paused."""
        return self._weigh_turn(event, lambda: [*self._commit(), *self._turn(event)])

    def _answer_later(self, event: Ended) -> list[Decision]:
        return self._weigh_turn(event, lambda: self._turn(event))

    def _weigh_turn(self, event: Ended, answer: Callable[[], list[Decision]]) -> list[Decision]:
        if not self._taken and event.sound_ms:
            return answer() if self._is_long(event.sound_ms) else []
        if not self._taken:
            if not words_of(event.text):
                return []
            if self._is_backchannel(event.text) and not self._is_nearly_done():
                return [Overhear(event.text)]
        return answer()


Row = Callable[..., list[Decision]]
"""A method of `Floor` that takes the event."""

TABLE: dict[tuple[State, type], Row] = {
    (State.OPEN, Thinks): Floor._thinks,
    (State.OPEN, Speaks): Floor._speaks,
    (State.OPEN, Faded): Floor._unheard,
    (State.OPEN, Ended): Floor._turn,
    (State.THINKING, Speaks): Floor._speaks_up,
    (State.THINKING, Silent): Floor._silent,
    (State.THINKING, Words): Floor._weigh_thinking,
    (State.THINKING, Faded): Floor._unheard,
    (State.THINKING, Ended): Floor._spoken_over,
    (State.THINKING, Key): Floor._commit,
    (State.SPEAKING, Speaks): Floor._speaks,
    (State.SPEAKING, Silent): Floor._silent,
    (State.SPEAKING, Thinks): Floor._thinks,
    (State.SPEAKING, Began): Floor._pause,
    (State.SPEAKING, Words): Floor._pause_and_weigh,
    (State.SPEAKING, Ended): Floor._spoken_over,
    (State.SPEAKING, Key): Floor._commit,
    (State.PROTECTED, Speaks): Floor._speaks,
    (State.PROTECTED, Silent): Floor._silent,
    (State.PROTECTED, Thinks): Floor._thinks,
    (State.PROTECTED, Ended): Floor._answer_later,
    (State.PAUSED, Speaks): Floor._still_paused,
    (State.PAUSED, Silent): Floor._silent,
    (State.PAUSED, Thinks): Floor._thinks,
    (State.PAUSED, Sounds): Floor._sounds_again,
    (State.PAUSED, Stopped): Floor._sound_over,
    (State.PAUSED, Words): Floor._weigh,
    (State.PAUSED, Faded): Floor._resume,
    (State.PAUSED, Ended): Floor._paused_turn,
    (State.PAUSED, Key): Floor._commit,
    (State.PAUSED, Deadline): Floor._waited,
}
"""What each event does in each state; where there is no row it does nothing."""
