"""One utterance on a provider's contexts: its text, what came of it, and when something is due.

    held ──told──> context ──audio, timings──> told to the listener by `worker.tts.contexts`
     ^                │
     └──take back─────┘ what was not heard, when the context or its socket is gone

Pure: times are given, in seconds of one monotonic clock. It knows neither wire nor listener.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from worker.message import Message
from worker.tts import Timing
from worker.tts.ledger import Ledger


@dataclass(frozen=True, slots=True)
class Habits:
    """A provider's ways. Times in seconds."""

    answer_s: float
    """How long it may be silent while it owes speech."""

    pause_s: float | None = None
    """A context without news or new text for so long is ended, before the provider drops it."""

    keep_alive_s: float | None = None
    """Longest time in which nothing is said to it."""

    most_contexts: int | None = None
    """How many may be open on a socket; those count that were cancelled and have not ended."""

    room_s: float = 2.0
    """How long cancelled contexts may take to end, when one is waited for."""


@dataclass(slots=True)
class Context:
    """A piece of continuous speech. Its times begin with its own audio, in ms."""

    name: str
    said_at: float
    heard_at: float | None = None
    text: str = ""
    ending: bool = False
    """It was told that no more text comes."""

    waiting: deque[Timing] = field(default_factory=deque)
    """Timings whose audio has not come."""

    is_timed: bool = False

    @property
    def owes(self) -> bool:
        """Something must come of it: it was told more than it has answered, or that it is over."""
        return self.ending or self.heard_at is None or self.said_at > self.heard_at

    @property
    def last_at(self) -> float:
        """When something was last said or heard."""
        return self.said_at if self.heard_at is None else max(self.said_at, self.heard_at)


@dataclass(slots=True)
class Utterance:
    """An utterance from its first piece of text to its end."""

    uuid: UUID
    held: str = ""
    """Text that is in no context yet."""

    whole: bool = False
    """All of its text has been posted."""

    base_ms: float = 0.0
    """Audio of it that came in earlier contexts."""

    context: Context | None = None
    contexts: int = 0
    """How many it has had; their names are numbered."""

    not_before: float | None = None
    """When it is looked at again, whatever else happens."""

    waits_since: float | None = None
    """Since when there is no room for a context of it."""

    tries: int = 0
    """How often its next words were tried in vain."""

    silences: int = 0
    """How often nothing came of them."""

    _ledger: Ledger = field(default_factory=Ledger)
    """What its context was told and has spoken."""

    @property
    def has_words(self) -> bool:
        """There is something to say in the held text; a dash alone would wait for its audio."""
        return any(map(str.isalnum, self.held))

    @property
    def is_said(self) -> bool:
        """No words of it are left to be told."""
        return self.whole and not self.has_words

    def due_at(self, habits: Habits) -> float | None:
        """Return when something is to be done about it if nothing happens."""
        context = self.context
        if self.not_before is not None:
            return self.not_before
        if context is None:
            return self.waits_since + habits.room_s if self.waits_since is not None else None
        if context.owes:
            return context.last_at + habits.answer_s
        return context.last_at + habits.pause_s if habits.pause_s is not None else None

    def open(self, now: float) -> Context:
        """Begin a fresh context."""
        self.contexts, self.waits_since = self.contexts + 1, None
        self.context = Context(f"{self.uuid.hex}-{self.contexts}", now)
        return self.context

    def told(self, context: Context, now: float) -> None:
        """All held text was told to its context."""
        self._ledger.posted(Message(self.uuid, self.held, self.whole))
        context.text += self.held
        context.ending, context.said_at, self.held = self.whole, now, ""

    def take_back(self) -> None:
        """Hold again what its context has not spoken, and leave the context."""
        if self.uuid in self._ledger:
            self.held = self._ledger.unsaid(self.uuid).text + self.held
        self.leave()

    def leave(self) -> None:
        """Its context is over; what comes is timed from here on."""
        self.base_ms += self.came_ms
        self._ledger.close(self.uuid)
        self.context = None

    # What comes of its context --------------------------------------------------------------

    @property
    def came_ms(self) -> float:
        """How much audio has come of its context."""
        return self._ledger.received_ms(self.uuid)

    def heard(self, context: Context, size: int, now: float) -> None:
        """``size`` bytes of audio have come: the provider is well."""
        context.heard_at = now
        self.tries = self.silences = 0
        self._ledger.received(self.uuid, size)

    def timed(self, context: Context, timings: Sequence[Timing], now: float) -> None:
        """Timings have come, before or after their audio."""
        context.heard_at, context.is_timed = now, True
        self._ledger.timed(self.uuid, timings)
        context.waiting.extend(timings)

    def ready_timings(self, context: Context, lacking_ms: float = 0.0) -> list[Timing]:
        """Return the timings whose audio is there, of the whole utterance's time; each once.

        Their audio may lack ``lacking_ms``.
        """
        came_ms, ready = self.came_ms, list[Timing]()
        while context.waiting and context.waiting[0].end_ms <= came_ms + lacking_ms:
            ready.append(self._shifted(context.waiting.popleft(), came_ms))
        return ready

    def last_timings(self, context: Context) -> list[Timing]:
        """Return what is left of them now that no audio comes; its text if none was ever timed."""
        came_ms = self.came_ms
        if not context.is_timed:
            context.waiting.append(Timing(context.text.strip(), 0.0, came_ms))
        rest = [self._shifted(it, came_ms) for it in context.waiting if it.start_ms < came_ms]
        context.waiting.clear()
        return rest

    def _shifted(self, timing: Timing, came_ms: float) -> Timing:
        """Return a timing on the utterance's time, within the audio that has come."""
        end_ms = min(timing.end_ms, came_ms)
        return Timing(timing.text, timing.start_ms + self.base_ms, end_ms + self.base_ms)
