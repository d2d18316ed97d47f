"""Speech-to-text as the call sees it: settings that make sessions, and a session per call.

A provider object is what an author writes on the agent class (``stt = Deepgram(...)``). It is
frozen settings; the template calls ``prepare`` once, each call opens a session of its own. What a
session hears comes as small events:

| event | says |
|---|---|
| `SpeechStarted` | a sound that may be speech: a cue, before any word is known |
| `SpeechStopped` | it has ended; words of it may still be on their way |
| `Partial` | the caller's words in this turn so far; may still change |
| `EagerEnd` | the turn has probably ended with these words |
| `TurnResumed` | it has not: the caller goes on (only after `EagerEnd`) |
| `EndOfTurn` | the provider says that the turn has ended with these words; then a new one begins |

A provider sends what it can: `EndOfTurn` always, the others where its protocol has them.
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """The caller makes a sound: a cue before any word is known, true of noises too.

    ``lasting``: a `SpeechStopped` or an `EndOfTurn` will follow when it ends, and until then it
    goes on. Providers that tell of beginnings only leave it false.
    """

    lasting: bool = False


@dataclass(frozen=True, slots=True)
class SpeechStopped:
    """The sound has ended, at ``at_ms`` of the audio posted to the session where that is known."""

    at_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Partial:
    """All words of the caller's turn so far, never empty; they may still change."""

    text: str


@dataclass(frozen=True, slots=True)
class EagerEnd:
    """The turn has probably ended; ``text`` is all of it, never empty."""

    text: str


@dataclass(frozen=True, slots=True)
class TurnResumed:
    """What `EagerEnd` said was wrong: the caller goes on."""


@dataclass(frozen=True, slots=True)
class EndOfTurn:
    """The turn has ended. ``text`` is all of it, empty when speech was heard and no word of it.

    ``at_ms`` is where in the audio posted to the session the last word ended, if that is known.
    ``sound_ms``: from ears that know no words, how long somebody spoke; the text is empty then.
    """

    text: str
    at_ms: float | None = None
    sound_ms: float = 0.0


Hearing = SpeechStarted | SpeechStopped | Partial | EagerEnd | TurnResumed | EndOfTurn


class STTListener(Protocol):
    """Who hears what a session recognises; called on the call's event loop."""

    def heard(self, event: Hearing) -> None:
        """Something was heard."""

    def failed(self, error: Exception) -> None:
        """The session cannot go on: it has given up. Said once, after it could connect once."""


class STTSession(Protocol):
    """One call's ears."""

    def post(self, audio: bytes) -> None:
        """Take the caller's audio, μ-law 8 kHz mono, in order; never blocks for the network."""

    def end_turn(self) -> None:
        """Ask for the end of the turn on what was posted so far: an `EndOfTurn` should follow.

        Sent when a deadline of ours has passed (hold music, a provider that says nothing). What
        was recognised so far must not come again in a later turn, whether or not it follows.
        """

    async def aclose(self) -> None:
        """Release everything, in bounded time. May be called twice."""


@runtime_checkable
class Batched(Protocol):
    """A session that hands audio on in batches, and needs it no sooner than that.

    The call then asks the gateway for as much at a time, which wakes it less often; a session that
    does not say so gets audio as it comes, 20 ms at a time.
    """

    @property
    def batch_ms(self) -> int:
        """How much audio it hands on at a time, in ms; asked once, when the session is open."""


class STT(Protocol):
    """A speech-to-text provider and its settings."""

    def prepare(self) -> None:
        """Import and build what every call needs, once, in the template, before any fork.

        Must leave no thread, no event loop and no open socket behind. Raises `ProviderError` when
        no call could use it (no key, a grammar with a fault).
        """

    async def connect(self, listener: STTListener) -> STTSession:
        """Open a session for one call; return when it is open. Raises `ProviderError`."""

    def stand_in(self) -> "STT":
        """Return what a rehearsal uses instead: itself when it needs no network."""
