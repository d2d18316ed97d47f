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
        self._kept = ""
        """Words of parts of the turn that the provider has ended already."""
        self._latest = ""
        """The provider's own words of the part it hears now."""
        self._at_ms: float | None = None
        self._began = self._now = 0.0
        self._sounding = False
        """A sound goes on whose end will be told."""
        self._stopped_at: float | None = None
        self._unanswered: tuple[list[str], float] | None = None
        """Words ended without the provider's answer, and until when that may still come."""

    @property
    def text(self) -> str:
        """The caller's words in this turn so far."""
        return f"{self._kept} {self._latest}".strip()

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
        self._kept = self._latest = ""

    def _go(self, state: State) -> None:
        """Wait in ``state`` for what comes next: for a time, and in a turn of a length."""
        self.state = state
        last = self._began + self.turns.longest_ms / 1000
        self.deadline = min(self._now + self._wait_ms() / 1000, last)

    def _wait_for(self, state: State, wait_ms: float) -> None:
        """As above; such a wait may outlast the longest turn, by its own length at most."""
        last = self._began + (self.turns.longest_ms + wait_ms) / 1000
        self.state, self.deadline = state, min(self._now + wait_ms / 1000, last)

    def _wait_ms(self) -> float:
        turns = self.turns
        if self._sounding:
            return turns.longest_ms
        if not self._latest:
            return turns.nothing_ms
        if self._stopped_at is None or turns.silence_ms is None:
            return turns.stall_ms
        return max(0.0, turns.silence_ms - (self._now - self._stopped_at) * 1000)

    def _begin(self) -> None:
        self._began, self._kept, self._latest, self._at_ms = self._now, "", "", None
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
        self._sounding, self._stopped_at, self._at_ms = False, self._now, event.at_ms
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
        self._latest = event.text
        self._go(State.WORDS)
        return [Words(self.text)]

    def _eager(self, event: EagerEnd) -> list[Decision]:
        self._latest = event.text
        self._go(State.EAGER)
        return [Words(self.text), ProbablyEnded(self.text)]

    def _eager_again(self, event: EagerEnd) -> list[Decision]:
        if words_of(event.text) == words_of(self._latest):
            return []
        return [NotEnded(), *self._eager(event)]

    def _eager_words(self, event: Partial) -> list[Decision]:
        if words_of(event.text) == words_of(self._latest):
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
            if self._now <= until and words_of(event.text) in ([], words):
                return []  # the answer, after all: that turn is over
        self._begin()
        return [Began(), *self._end(event)]

    def _end(self, event: EndOfTurn) -> list[Decision]:
        """The provider has ended the turn: believe it, at once or after some patience."""
        before, was = self.text, self.state
        self._sounding, self._stopped_at = False, None
        self._kept, self._latest = f"{self._kept} {event.text}".strip(), ""
        self._at_ms = event.at_ms if event.at_ms is not None else self._at_ms
        told: list[Decision] = []
        if self._kept and self._kept != before:
            told.append(Words(self._kept))
        too_long = self._now >= self._began + self.turns.longest_ms / 1000
        if not self.turns.patience_ms or not self._kept or too_long:
            return [*told, *self._over()]
        self._wait_for(State.PATIENCE, self.turns.patience_ms)
        if was is State.EAGER and words_of(before) == words_of(self._kept):
            return told
        if was is State.EAGER:
            told.append(NotEnded())
        return [*told, ProbablyEnded(self._kept)]

    def _goes_on(self, event: SpeechStarted) -> list[Decision]:
        self._sounding = event.lasting
        self._go(State.WORDS)
        return [NotEnded(), Sounds(event.lasting)]

    def _goes_on_with_words(self, event: Partial) -> list[Decision]:
        return [NotEnded(), *self._words(event)]

    def _goes_on_and_ends(self, event: EndOfTurn) -> list[Decision]:
        if not event.text:
            return []
        return [NotEnded(), *self._end(event)]

    def _over(self, *_: object) -> list[Decision]:
        text, at_ms = self.text, self._at_ms
        self._quiet()
        return [Ended(text, at_ms)]

    def _ask(self, _: Deadline) -> list[Decision]:
        if not self._latest and not self._sounding:
            return self._over()  # the provider has ended all of it: a noise came after
        self._wait_for(State.ASKED, self.turns.ask_ms)
        return [AskEnd()]

    def _note(self, event: Partial | EagerEnd) -> list[Decision]:
        self._latest = event.text
        return [Words(self.text)]

    def _answered(self, event: EndOfTurn) -> list[Decision]:
        told: list[Decision] = []
        if event.text and event.text != self._latest:
            self._latest = event.text
            told.append(Words(self.text))
        self._at_ms = event.at_ms if event.at_ms is not None else self._at_ms
        return [*told, *self._over()]

    def _not_answered(self, _: Deadline) -> list[Decision]:
        self._unanswered = words_of(self._latest), self._now + self.turns.stall_ms / 1000
        if self.text:
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
