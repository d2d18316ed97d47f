"""What an Ultravox conversation comes to: data messages and audio in, events out. Pure.

    idle ──> listening ──caller's turn──> thinking ──> speaking ──> listening …
                 ^                                        │
                 └───────── playback_clear_buffer ────────┘

The wire marks no utterance in its audio. One begins with the first audio, or with a transcript of
an ordinal that is new; it ends when the agent speaks no longer, when a tool is wanted, when the
transcript goes on to another ordinal, or with audio after a pause once its text is final. Its end
is held back until its last words are there, for `WORDS_SECONDS`. Audio that comes after an
interruption, before the agent thinks or speaks again, is of what was cut.

What a connection knows ends with it: `lost`. Times are seconds of the loop's clock, and given.
"""

from dataclasses import dataclass
from itertools import count

from worker import speech
from worker.speech import Event
from worker.speech import ultravox_wire as wire
from worker.speech.ultravox_wire import Received

WORDS_SECONDS = 0.5
"""How long the last words of an utterance may take after its audio."""

PAUSE_SECONDS = 0.3
"""Audio after such a pause is another utterance's, if the text of the one before is final."""

_MOST_TURNS = 64
_BUSY = ("thinking", "speaking")


@dataclass(slots=True, eq=False)
class _Utterance:
    key: str
    ordinal: int | None = None
    text: str = ""
    final: bool = False
    has_audio: bool = False
    cut: bool = False
    hushed: bool = False
    """The call wants no more of it."""
    ends_at: float | None = None
    """All audio has come; its end is told by then at the latest."""
    ended: bool = False


class Talk:
    """The conversation of one call, over its connections."""

    def __init__(self) -> None:
        self._numbers = count(1)
        self._events: list[Event] = []
        self._state = ""
        self._current: _Utterance | None = None
        self._last: _Utterance | None = None
        """The utterance before; of it, a transcript may still come."""
        self._ending: _Utterance | None = None
        self._spoken: dict[int, _Utterance] = {}
        """This connection's utterances by ordinal."""
        self._newest = -1
        self._last_audio_at = 0.0
        self._is_deaf = False
        """What comes is the rest of what was interrupted."""
        self._turns: dict[int, str] = {}
        self._words: dict[int, str] = {}
        self._turn: str | None = None
        """A turn that was told of and whose words have not come."""
        self._is_turn_told = False
        self._is_prompted = False
        """What the agent thinks about next is nothing that the caller said."""
        self._sounds = False
        self._is_sounding = False
        self._tells_sounds = False
        """The service says when the caller makes a sound."""
        self.has_begun = False
        """Something was said, by either side."""

    @property
    def caller_speaks(self) -> bool:
        """Whether the caller is saying something that the agent does not think about yet."""
        return self._sounds

    @property
    def is_owed(self) -> bool:
        """Whether the caller waits for an answer, or for the rest of one."""
        return self._state in _BUSY and not self._sounds

    def take(self) -> list[Event]:
        """Return what has happened since the last time."""
        events, self._events = self._events, []
        return events

    # What comes in -----------------------------------------------------------------------------

    def audio(self, now: float) -> str | None:
        """Audio has come: return whose it is, ``None`` if nobody is to hear it."""
        if self._is_deaf:
            return None
        it = self._current
        is_over = it is not None and it.final and it.has_audio
        if is_over and now - self._last_audio_at > PAUSE_SECONDS:
            self._finish(now)
        it = self._current or self._begin()
        self._last_audio_at = now
        it.has_audio = self.has_begun = True
        return None if it.hushed else it.key

    def read(self, message: Received, now: float) -> None:
        """Take a data message."""
        match message.type:
            case wire.STATE:
                self._to(message.state, now)
            case wire.TRANSCRIPT if message.role == "agent":
                self._agent(message, now)
            case wire.TRANSCRIPT if message.role == "user" and message.medium != "text":
                self._user(message)  # a text is our own
            case wire.CLEAR:
                self._cut()
            case wire.TOOL if message.invocation_id:
                self._finish(now)
                self._events.append(speech.ToolsWanted((message.call,)))
                self._is_prompted = True
            case wire.STARTED_SPEAKING:
                self._tells_sounds = self._sounds = self._is_sounding = self.has_begun = True
                self._events.append(speech.CallerStarted())
            case wire.STOPPED_SPEAKING:
                self._tells_sounds, self._is_sounding = True, False
                self._events.append(speech.CallerStopped())

    def tick(self, now: float) -> None:
        """Time has passed."""
        it = self._ending
        if it is not None and it.ends_at is not None and now >= it.ends_at:
            self._end(it)

    def lost(self) -> None:
        """The connection is gone, and with it what was to come."""
        for it in (self._ending, self._current):
            if it is not None:
                self._end(it)
        if self._is_sounding:
            self._events.append(speech.CallerStopped())
        self._current = self._last = self._ending = None
        self._spoken.clear()
        self._newest = -1
        self._turns.clear()
        self._words.clear()
        self._state, self._is_deaf, self._turn = "", False, None
        self._is_turn_told = self._is_prompted = self._sounds = self._is_sounding = False

    # What the call does ------------------------------------------------------------------------

    def cut(self, key: str) -> bool:
        """The caller hears no more of ``key``; return whether the service is still to be told."""
        for it in (self._current, self._ending, self._last):
            if it is not None and it.key == key and not it.cut and not it.hushed:
                it.hushed = True
                return it is self._current
        return False

    def prompted(self) -> None:
        """The model was told something: what it thinks about next is that."""
        self._is_prompted = True

    # States ------------------------------------------------------------------------------------

    def _to(self, state: str, now: float) -> None:
        before, self._state = self._state, state
        if state in _BUSY:
            self._is_deaf = False
        it = self._current
        if it is not None and state != "speaking" and (it.has_audio or state not in _BUSY):
            self._finish(now)
        if state == "thinking":
            if before == "listening" and not self._is_turn_told and self._was_caller:
                self._turn = f"turn-{next(self._numbers)}"
                self._events.append(speech.CallerTurn(self._turn))
            self._is_turn_told = self._is_prompted = self._sounds = False
        elif state == "speaking":
            self._is_turn_told = self._is_prompted = self._sounds = False
        if state in _BUSY and before not in _BUSY:
            self._last = None

    @property
    def _was_caller(self) -> bool:
        return not self._is_prompted and (self._sounds or not self._tells_sounds)

    # The caller --------------------------------------------------------------------------------

    def _user(self, message: Received) -> None:
        self.has_begun = True
        key = self._turns.get(message.ordinal)
        if key is None:
            key, self._turn = self._turn, None
            if key is None:
                key = f"turn-{next(self._numbers)}"
                self._is_turn_told = self._state not in _BUSY
            self._turns[message.ordinal] = key
            if len(self._turns) > _MOST_TURNS:
                oldest = next(iter(self._turns))
                del self._turns[oldest]
                self._words.pop(oldest, None)
        text = _joined(self._words.get(message.ordinal, ""), message)
        self._words[message.ordinal] = text
        if message.final:
            self._events.append(speech.CallerSaid(key, text.strip()))

    # The agent ---------------------------------------------------------------------------------

    def _agent(self, message: Received, now: float) -> None:
        it = self._whose(message.ordinal, now)
        if it is None:
            return
        it.text = _joined(it.text, message)
        was_final, it.final = it.final, it.final or message.final
        if it.cut or it.hushed:
            if it.final and not was_final:
                self._events.append(speech.AgentCorrected(it.key, it.text.strip()))
        elif not it.ended:
            self._events.append(speech.AgentWords(it.key, it.text, it.final))
        if it.final and it is self._ending:
            self._end(it)

    def _whose(self, ordinal: int, now: float) -> _Utterance | None:
        """Return the utterance that a transcript is of, ``None`` if it is too old to tell."""
        it = self._spoken.get(ordinal)
        if it is not None or ordinal < self._newest:
            return it
        if self._current is not None and self._current.ordinal is None:
            it = self._current
        elif self._current is None and self._last is not None and self._last.ordinal is None:
            it = self._last
        else:
            self._finish(now)
            it = self._begin()
            self._is_deaf = False
        it.ordinal = self._newest = ordinal
        self._spoken[ordinal] = it
        if len(self._spoken) > _MOST_TURNS:
            del self._spoken[next(iter(self._spoken))]
        return it

    def _begin(self) -> _Utterance:
        if self._ending is not None:
            self._end(self._ending)
        self._current = _Utterance(f"utterance-{next(self._numbers)}")
        return self._current

    def _finish(self, now: float) -> None:
        """No more audio of the utterance in progress will come."""
        it, self._current = self._current, None
        if it is None:
            return
        self._last = it
        if it.final or it.hushed:
            self._end(it)
        else:
            it.ends_at, self._ending = now + WORDS_SECONDS, it

    def _end(self, it: _Utterance) -> None:
        if self._ending is it:
            self._ending = None
        if not it.ended and not it.cut and not it.hushed:
            self._events.append(speech.AgentDone(it.key))
        it.ended = True

    def _cut(self) -> None:
        self._is_deaf = self._state != "thinking"
        cut = self._current or self._last
        was_hushed = cut is not None and cut.hushed and not cut.cut
        for it in (self._ending, self._current, self._last):
            if it is not None:
                it.cut = True
        self._last = self._current or self._last
        self._current = self._ending = None
        if not was_hushed:  # else it is the answer to that, and the call goes on with something
            self._events.append(speech.AgentCut())


def _joined(before: str, message: Received) -> str:
    if message.text is not None:
        return message.text
    return before + (message.delta or "")
