"""The agent's side of a talk with a voice model: responses, and the utterances in them. Pure.

    response.created ──> deltas of audio and words, by item ──> response.done
                           └ an item is an utterance: AgentWords, audio, AgentDone

A response that was cut is *dead*: nothing of it is heard or read from there on, however late it
comes. An utterance is done when its audio and its words are, or with its response.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from shared.audio import ms_of_bytes
from worker.speech import AgentDone, AgentWords, SpeechListener
from worker.speech.openai_realtime_events import Event, audio_of
from worker.speech.openai_realtime_memory import Line, Memory, bytes_heard
from worker.speech.openai_realtime_orders import Order
from worker.speech.openai_realtime_playing import Playing

_MOST_DEAD = 16


@dataclass(slots=True)
class Running:
    """A response in progress; ``order`` is what it was asked for with, if we asked."""

    id: str
    order: Order | None
    is_dead: bool = False
    has_sounded: bool = False
    lines: list[str] = field(default_factory=list)

    @property
    def is_protected(self) -> bool:
        """The caller may not interrupt it."""
        return self.order is not None and not self.order.interruptible


class Voice:
    """What the model says on one connection after the other."""

    def __init__(
        self,
        memory: Memory,
        playing: Playing,
        listener: SpeechListener,
        now: Callable[[], float],
    ) -> None:
        self._memory, self._playing, self._listener = memory, playing, listener
        self._now = now
        self._dead: deque[str] = deque(maxlen=_MOST_DEAD)
        self.connection = 0
        self.running: Running | None = None

    def began(self, response_id: str, order: Order | None) -> None:
        """A response began; one that had not ended has."""
        self.ended()
        self.running = Running(response_id, order)

    def ended(self) -> Running | None:
        """The response in progress is over; return it."""
        running, self.running = self.running, None
        for key in running.lines if running is not None else ():
            self._finish(key)
        if running is not None and running.is_protected and not running.is_dead:
            self._playing.protect()
        return running

    def heard_text(self, running: Running) -> str:
        """Return what was heard of a response."""
        lines = (self._memory.line(key) for key in running.lines)
        return " ".join(line.heard_text() for line in lines if line is not None)

    def kill(self) -> None:
        """Nothing more of the response in progress is to be heard."""
        if self.running is not None:
            self.running.is_dead = True
            self._dead.append(self.running.id)

    def audio(self, event: Event) -> None:
        """A piece of an utterance came."""
        key, line = self._line(event)
        if line is None or line.is_whole or not (audio := audio_of(event.delta)):
            return
        if self.running is not None:
            self.running.has_sounded = True
        line.received += len(audio)
        self._playing.add(self._now(), ms_of_bytes(len(audio)))
        self._listener.audio(key, audio)

    def audio_done(self, event: Event) -> None:
        """That was all audio of an utterance."""
        key, line = self._line(event)
        if line is not None:
            line.has_audio = True
            self._done(key, line)

    def words(self, event: Event) -> None:
        """Further words of an utterance came."""
        key, line = self._line(event)
        if line is None or line.has_words or not event.delta:
            return
        line.text += event.delta
        self._listener.happened(AgentWords(key, line.text))

    def words_done(self, event: Event) -> None:
        """That was all text of an utterance."""
        key, line = self._line(event)
        if line is not None and not line.has_words:
            line.text, line.has_words = event.transcript or line.text, True
            self._listener.happened(AgentWords(key, line.text, final=True))
            self._done(key, line)

    def cut(self, key: str, heard_ms: float) -> Line | None:
        """So much of an utterance was heard; return it, ``None`` if there is no such one."""
        line = self._memory.line(key)
        if line is None or line.heard is not None:
            return None
        line.heard = bytes_heard(line, heard_ms)
        self._playing.cut(self._now())
        return line

    def _line(self, event: Event) -> tuple[str, Line | None]:
        """Return the utterance that an event is about, ``None`` if nothing of it is wanted."""
        key = f"agent/{self.connection}/{event.item_id}"
        running, response = self.running, event.response_id
        if not event.item_id or response in self._dead:
            return key, None
        line = self._memory.line(key)
        if line is None and running is not None and response in (running.id, ""):
            if running.is_dead:
                return key, None
            line = Line(event.item_id, self.connection, running.id)
            self._memory.add(line, key)
            running.lines.append(key)
        return key, None if line is None or line.heard is not None else line

    def _done(self, key: str, line: Line) -> None:
        if line.has_audio and line.has_words:
            self._finish(key)

    def _finish(self, key: str) -> None:
        line = self._memory.line(key)
        if line is None or line.is_whole:
            return
        line.is_whole = True
        if line.heard is not None:
            return
        if not line.has_words:
            line.has_words = True
            self._listener.happened(AgentWords(key, line.text, final=True))
        self._listener.happened(AgentDone(key))
