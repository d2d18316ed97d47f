"""The turns of a caller whom a speech-to-speech model hears: it decides when they are over.

    sound ──> silence ──a turn is told──> its words, later
                 └──the model answers──> a turn that showed by its answer

It tells minutes, times and turn-taking of them; it knows no audio, and hands words on unread.
"""

from collections.abc import Callable
from typing import Protocol

from shared.turn_stages import Stage
from worker import speech
from worker.minutes import SOMEBODY, Minutes
from worker.toolwork import Toolwork
from worker.turn_taking import TurnTaking
from worker.turn_times import TurnTimes


class Timed(Protocol):
    """The call on which turns are taken."""

    times: TurnTimes
    taking: TurnTaking


class CallerTurns:
    """One call's turns of the caller."""

    def __init__(
        self, it: Timed, minutes: Minutes, tools: Toolwork, clock: Callable[[], float]
    ) -> None:
        self._it, self._minutes, self._tools, self._now = it, minutes, tools, clock
        self._stopped_at: float | None = None
        self.due = False
        """The caller has spoken, and no turn was told of yet."""

    def hear(self, event: speech.Event) -> None:
        """The model tells something of the caller."""
        match event:
            case speech.CallerStarted():
                self.due, self._stopped_at = True, None
                self._it.taking.caller_sounds(True)
            case speech.CallerStopped():
                self._stopped_at = self._now()
                self._it.taking.caller_sounds(False)
            case speech.CallerTurn(key):
                self._turn(key)
            case speech.CallerSaid(key, text):
                if not self._minutes.knows(key):
                    self._turn(key)
                self._minutes.caller_said(key, text)

    def keys(self, text: str) -> None:
        """The turn was a number of keys."""
        key = f"keys {self._it.times.number + 1}"
        self._stopped_at = None
        self._turn(key)
        self._minutes.caller_said(key, text)

    def answered(self) -> None:
        """The model says something that nobody has asked it to: an answer, if a turn is due."""
        if self.due:
            self._turn(SOMEBODY)

    def forget(self) -> None:
        """Who has heard the caller so far hears no more."""
        self.due, self._stopped_at = False, None
        self._it.taking.caller_sounds(False)

    def _turn(self, key: str) -> None:
        """A turn is over."""
        self._it.taking.caller_sounds(False)
        self._tools.interrupted()
        self._tools.expects = self.due = False
        stopped, self._stopped_at = self._stopped_at, None
        # One that shows by its answer has been over since the caller fell silent.
        known_at = stopped if key == SOMEBODY and stopped is not None else self._now()
        self._it.times.turn(known_at, stopped)
        if key != SOMEBODY:
            self._it.times.reached(Stage.MODEL_ASKED)
        self._minutes.caller_turn(key)
