"""The caller's turn: when it begins, which words are in it, and when it is over.

What a speech-to-text session hears goes in, with the time; decisions come out. Every state but
`QUIET` has a deadline, so no sound, no silence and no provider can hold a turn open.

            ┌──────────────── Faded ────────────────┐
            v                                       │
          QUIET ── sound ──> SOUND ── words ──> WORDS <── goes on ── EAGER, PATIENCE
            ^                  │                │ │ │                   ^  ^
            │                  │                │ │ └─ probably over ───┘  │
            ├──────── Ended ───┼────────────────┘ │      (EagerEnd) ── provider: over, but
            └── Ended ── ASKED <┴─ stalled, or ───┘                    `patience_ms` to go
                         (AskEnd)  too long

`TABLE` has a row for every pair of state and event that means something; others do nothing.
"""

from collections.abc import Callable
from enum import Enum, auto

from worker.stt import (
    EagerEnd,
    EndOfTurn,
    Hearing,
    Partial,
    SpeechStarted,
    SpeechStopped,
    TurnResumed,
)
from worker.turns.caller import (
    AskEnd,
    Began,
    Decision,
    Ended,
    Faded,
    NotEnded,
    ProbablyEnded,
    Sounds,
    Stopped,
    Words,
)
from worker.turns.known import Known
from worker.turns.policy import Turns, words_of


class State(Enum):
    """Where the caller's turn stands."""

    QUIET = auto()
    SOUND = auto()
    """Something is heard, no word is known."""
    WORDS = auto()
    EAGER = auto()
    """Words are known, and the provider believes that they are all."""
    PATIENCE = auto()
    """The provider has ended the turn; the caller may still go on."""
    ASKED = auto()
    """We have asked the provider for the end."""


class Deadline:
    """The time that `Listening.deadline` named has come."""


class Listening:
    """One caller's turns. ``now`` is monotonic seconds."""

    def __init__(self, turns: Turns) -> None:
        self.turns = turns
        self.state = State.QUIET
        self.deadline: float | None = None
        self._known = Known()
        self.began = self._now = 0.0
        """``began``: when the turn did that is in progress, or was the last."""
        self._sounding = False
        """A sound goes on whose end will be told."""
        self._stopped_at: float | None = None
        self._unanswered: tuple[list[str], float] | None = None
        """Words ended without the provider's answer, and until when that may still come."""

    @property
    def text(self) -> str:
        """The caller's words in this turn so far."""
        return self._known.words

    def hear(self, event: Hearing, now: float) -> list[Decision]:
        """Take an event; return what it decides, in order."""
        return self._take(event, now)

    def tick(self, now: float) -> list[Decision]:
        """The deadline has passed, or nothing happens."""
        if self.deadline is None or now < self.deadline:
            return []
        return self._take(Deadline(), now)

    def _take(self, event: Hearing | Deadline, now: float) -> list[Decision]:
        self._now = now
        row = TABLE.get((self.state, type(event)))
        return row(self, event) if row is not None else []

    # States --------------------------------------------------------------------------------

    def _quiet(self) -> None:
        self.state, self.deadline = State.QUIET, None
        self._known = Known()

    def _go(self, state: State) -> None:
        """Wait in ``state`` for what comes next: for a time, and in a turn of a length."""
        self.state = state
        last = self.began + self.turns.longest_ms / 1000
        self.deadline = min(self._now + self._wait_ms() / 1000, last)

    def _wait_for(self, state: State, wait_ms: float) -> None:
        """As above; such a wait may outlast the longest turn, by its own length at most."""
        last = self.began + (self.turns.longest_ms + wait_ms) / 1000
        self.state, self.deadline = state, min(self._now + wait_ms / 1000, last)

    def _wait_ms(self) -> float:
        turns = self.turns
        if self._sounding:
            return turns.longest_ms
        if not self._known.latest:
            return turns.nothing_ms
        if self._stopped_at is None or turns.silence_ms is None:
            return turns.stall_ms
        return max(0.0, turns.silence_ms - (self._now - self._stopped_at) * 1000)

    def _begin(self) -> None:
        self.began, self._known = self._now, Known()
        self._sounding, self._stopped_at, self._unanswered = False, None, None

    # Sounds --------------------------------------------------------------------------------

    def _sound(self, event: SpeechStarted) -> list[Decision]:
        self._begin()
        self._sounding = event.lasting
        self._go(State.SOUND)
        return [Began(event.lasting)]

    def _sound_again(self, event: SpeechStarted) -> list[Decision]:
        self._sounding, self._stopped_at = event.lasting, None
        self._go(self.state)
        return [Sounds(event.lasting)]

    def _stopped(self, event: SpeechStopped) -> list[Decision]:
        self._sounding, self._stopped_at, self._known.at_ms = False, self._now, event.at_ms
        self._go(self.state)
        return [Stopped()]

    def _nothing(self, late: Deadline) -> list[Decision]:
        if self._sounding:  # a provider that tells words at the end only may know some by now
            return self._ask(late)
        self._quiet()
        return [Faded()]

    # Words ---------------------------------------------------------------------------------

    def _first_words(self, event: Partial | EagerEnd) -> list[Decision]:
        self._begin()
        return [Began(), *TABLE[State.SOUND, type(event)](self, event)]

    def _words(self, event: Partial) -> list[Decision]:
        self._known.latest = event.text
        self._go(State.WORDS)
        return [Words(self.text)]

    def _eager(self, event: EagerEnd) -> list[Decision]:
        self._known.latest = event.text
        self._go(State.EAGER)
        return [Words(self.text), ProbablyEnded(self.text)]

    def _eager_again(self, event: EagerEnd) -> list[Decision]:
        if words_of(event.text) == words_of(self._known.latest):
            return []
        return [NotEnded(), *self._eager(event)]

    def _eager_words(self, event: Partial) -> list[Decision]:
        if words_of(event.text) == words_of(self._known.latest):
            return []
        return [NotEnded(), *self._words(event)]

    def _resumed(self, _: TurnResumed) -> list[Decision]:
        self._go(State.WORDS)
        return [NotEnded()]

    # The end -------------------------------------------------------------------------------

    def _first_end(self, event: EndOfTurn) -> list[Decision]:
        if self._unanswered is not None:
            words, until = self._unanswered
            self._unanswered = None
            is_known = not event.sound_ms and words_of(event.text) in ([], words)
            if self._now <= until and is_known:
                return []  # the answer, after all: that turn is over
        self._begin()
        return [Began(), *self._end(event)]

    def _end(self, event: EndOfTurn) -> list[Decision]:
        """The provider has ended the turn: believe it, at once or after some patience."""
        before, was = self.text, self.state
        self._sounding, self._stopped_at = False, None
        self._known.part_ended(event)
        kept, line = self._known.kept, self._known.line
        told: list[Decision] = []
        if kept and kept != before:
            told.append(Words(kept))
        too_long = self._now >= self.began + self.turns.longest_ms / 1000
        if not self.turns.patience_ms or not line or too_long:
            return [*told, *self._over()]
        self._wait_for(State.PATIENCE, self.turns.patience_ms)
        if was is State.EAGER and words_of(before) == words_of(kept):
            return told
        if was is State.EAGER:
            told.append(NotEnded())
        return [*told, ProbablyEnded(line)]

    def _goes_on(self, event: SpeechStarted) -> list[Decision]:
        self._sounding = event.lasting
        self._go(State.WORDS)
        return [NotEnded(), Sounds(event.lasting)]

    def _goes_on_with_words(self, event: Partial) -> list[Decision]:
        return [NotEnded(), *self._words(event)]

    def _goes_on_and_ends(self, event: EndOfTurn) -> list[Decision]:
        if not event.text and not event.sound_ms:
            return []
        return [NotEnded(), *self._end(event)]

    def _over(self, *_: object) -> list[Decision]:
        known = self._known
        self._quiet()
        return [Ended(known.line, known.at_ms, known.wordless_ms)]

    def _ask(self, _: Deadline) -> list[Decision]:
        if not self._known.latest and not self._sounding:
            return self._over()  # the provider has ended all of it: a noise came after
        self._wait_for(State.ASKED, self.turns.ask_ms)
        return [AskEnd()]

    def _note(self, event: Partial | EagerEnd) -> list[Decision]:
        self._known.latest = event.text
        return [Words(self.text)]

    def _answered(self, event: EndOfTurn) -> list[Decision]:
        told: list[Decision] = []
        if event.text and event.text != self._known.latest:
            self._known.latest = event.text
            told.append(Words(self.text))
        self._known.ended(event)
        return [*told, *self._over()]

    def _not_answered(self, _: Deadline) -> list[Decision]:
        self._unanswered = words_of(self._known.latest), self._now + self.turns.stall_ms / 1000
        if self._known.line:
            return self._over()
        self._quiet()
        return [Faded()]


Row = Callable[..., list[Decision]]
"""A method of `Listening` that takes the event."""

TABLE: dict[tuple[State, type], Row] = {
    (State.QUIET, SpeechStarted): Listening._sound,
    (State.QUIET, Partial): Listening._first_words,
    (State.QUIET, EagerEnd): Listening._first_words,
    (State.QUIET, EndOfTurn): Listening._first_end,
    (State.SOUND, SpeechStarted): Listening._sound_again,
    (State.SOUND, SpeechStopped): Listening._stopped,
    (State.SOUND, Partial): Listening._words,
    (State.SOUND, EagerEnd): Listening._eager,
    (State.SOUND, EndOfTurn): Listening._end,
    (State.SOUND, Deadline): Listening._nothing,
    (State.WORDS, SpeechStarted): Listening._sound_again,
    (State.WORDS, SpeechStopped): Listening._stopped,
    (State.WORDS, Partial): Listening._words,
    (State.WORDS, EagerEnd): Listening._eager,
    (State.WORDS, EndOfTurn): Listening._end,
    (State.WORDS, Deadline): Listening._ask,
    (State.EAGER, SpeechStopped): Listening._stopped,
    (State.EAGER, Partial): Listening._eager_words,
    (State.EAGER, EagerEnd): Listening._eager_again,
    (State.EAGER, TurnResumed): Listening._resumed,
    (State.EAGER, EndOfTurn): Listening._end,
    (State.EAGER, Deadline): Listening._ask,
    (State.PATIENCE, SpeechStarted): Listening._goes_on,
    (State.PATIENCE, Partial): Listening._goes_on_with_words,
    (State.PATIENCE, EagerEnd): Listening._eager_again,
    (State.PATIENCE, EndOfTurn): Listening._goes_on_and_ends,
    (State.PATIENCE, Deadline): Listening._over,
    (State.ASKED, Partial): Listening._note,
    (State.ASKED, EagerEnd): Listening._note,
    (State.ASKED, EndOfTurn): Listening._answered,
    (State.ASKED, Deadline): Listening._not_answered,
}
"""What each event does in each state; where there is no row it does nothing."""
