"""The caller's side of a talk with a voice model: when they speak, their turns, their words. Pure.

    speech_started ──> speech_stopped ──> committed ──> answered by the server, of itself
      CallerStarted      CallerStopped      CallerTurn     └ late: we ask for it (`is_overdue`)
                                              completed, any time later: CallerSaid

A commit without speech is the silence after which a model speaks up by itself: no turn.
"""

from worker.speech import (
    CallerSaid,
    CallerStarted,
    CallerStopped,
    CallerTurn,
    SpeechListener,
)
from worker.speech.openai_realtime_events import Event
from worker.speech.openai_realtime_memory import Memory
from worker.speech.openai_realtime_tape import Tape

ANSWER_SECONDS = 3.0
"""How long the server may take to begin an answer of its own; then it is asked for one."""

FORGOTTEN_SECONDS = 0.3
"""The same where it may have failed to: the turn ended while it spoke without being interrupted
(OpenAI's reference, ``create_response``)."""


class Caller:
    """What the server hears on one connection after the other."""

    def __init__(self, tape: Tape, memory: Memory, listener: SpeechListener) -> None:
        self._tape, self._memory, self._listener = tape, memory, listener
        self._connection = 0
        self._ended_ms: float | None = None
        self._is_voice = False
        """There was speech since the last commit."""
        self._owed_since: float | None = None
        self._patience_s = ANSWER_SECONDS
        self.is_speaking = False

    @property
    def is_owed(self) -> bool:
        """A turn is over, and the server has not begun to answer it."""
        return self._owed_since is not None

    def is_overdue(self, now: float) -> bool:
        """It should have."""
        return self._owed_since is not None and now - self._owed_since > self._patience_s

    def opened(self, connection: int) -> None:
        """A new connection hears from here on."""
        self._connection = connection
        self._tape.rewind()

    def lost(self) -> None:
        """The connection is gone: speech in progress will be found again by the next."""
        if self.is_speaking:
            self._listener.happened(CallerStopped())
        self.is_speaking = self._is_voice = False
        self._owed_since = self._ended_ms = None

    def started(self, event: Event) -> None:
        """The caller speaks."""
        self._tape.spoke(event.audio_start_ms)
        self.is_speaking = self._is_voice = True
        self._owed_since = None
        self._listener.happened(CallerStarted())

    def stopped(self, event: Event, now: float) -> None:
        """The caller has stopped; a commit follows, and an answer."""
        self._ended_ms = event.audio_end_ms
        if self.is_speaking:
            self._owed_since, self._patience_s = now, ANSWER_SECONDS
            self._listener.happened(CallerStopped())
        self.is_speaking = False

    def committed(self, event: Event) -> None:
        """The turn is over."""
        sound = self._tape.committed(self._ended_ms)
        if self._is_voice and event.item_id:
            key = self._key(event)
            self._memory.heard(key, sound)
            self._listener.happened(CallerTurn(key))
        self._is_voice, self._ended_ms = False, None

    def said(self, event: Event) -> None:
        """The words of a turn came."""
        key = self._key(event)
        if event.item_id and self._memory.said(key, event.transcript.strip()):
            self._listener.happened(CallerSaid(key, event.transcript.strip()))

    def not_understood(self, event: Event) -> None:
        """The words of a turn will not come: its sound is kept."""
        self._listener.happened(CallerSaid(self._key(event), ""))

    def answered(self) -> None:
        """The server has begun an answer, or we have asked for one."""
        self._owed_since = None

    def may_be_forgotten(self, now: float) -> None:
        """The server has ended what it was not to be interrupted in."""
        if self.is_owed:
            self._owed_since, self._patience_s = now, FORGOTTEN_SECONDS

    def _key(self, event: Event) -> str:
        return f"caller/{self._connection}/{event.item_id}"
