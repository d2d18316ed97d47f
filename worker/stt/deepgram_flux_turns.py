"""Turns out of Flux's ``TurnInfo``: the server knows the turns, this keeps them over a loss. Pure.

    Initial ──StartOfTurn──> Ongoing ──EagerEndOfTurn──> AwaitingEnd ──EndOfTurn──> Initial
                                ^────────TurnResumed──────────┘
    (docs: flux/state; Ongoing may go to EndOfTurn at once, Update may come in any state)

Each message has the whole turn's words. A new connection knows nothing of the turn that the old
one had begun, so its words are kept and put before what the new one hears.
"""

from typing import Annotated

import msgspec

from worker.stt import EagerEnd, EndOfTurn, Hearing, Partial, SpeechStarted, TurnResumed

Seconds = Annotated[float, msgspec.Meta(ge=0, le=1e6)]

ONSET_SECONDS = 0.5
"""Between turns: how far back from the end of what was heard a word may have begun."""


class Word(msgspec.Struct, frozen=True):
    """A word; its place in the connection's audio is not always given."""

    end: Seconds | None = None


class TurnInfo(msgspec.Struct, frozen=True):
    """``TurnInfo``, as far as it is read."""

    event: str
    transcript: str
    audio_window_end: Seconds
    words: list[Word] | None = None

    @property
    def last_word_end(self) -> float | None:
        """Where the last word ends, in s, if that is given."""
        return self.words[-1].end if self.words else None


class FluxTurns:
    """One call's turns, over all its connections."""

    def __init__(self) -> None:
        self._before = ""
        """Words of this turn that connections before this one have heard."""
        self._text = ""
        self._end_ms: float | None = None
        self._is_eager = False
        self._is_deaf = False
        """The turn was ended without the server, which may still speak of it."""
        self.is_open = False

    @property
    def has_words(self) -> bool:
        """There are words without an end."""
        return bool(self._before or self._text)

    def info(self, info: TurnInfo, origin_ms: float) -> list[Hearing]:
        """Something came; ``origin_ms`` is where in the posted audio the connection began."""
        if self._is_deaf:
            return []
        text = " ".join(part for part in (self._before, info.transcript.strip()) if part)
        if info.last_word_end is not None:
            self._end_ms = origin_ms + 1000 * info.last_word_end
        events: list[Hearing] = []
        match info.event:
            case "EndOfTurn":
                events = [*self._resumed(text), self._ended(text)]
            case "EagerEndOfTurn" if text:
                events = [*self._resumed(text), *self._started(), EagerEnd(text)]
                self._text, self._is_eager = text, True
            case "StartOfTurn":
                events = [*self._started(), *self._partial(text)]
            case "TurnResumed":
                events = [*self._resumed(None), *self._partial(text)]
            case "Update":
                events = self._partial(text)
        return events

    def _started(self) -> list[Hearing]:
        if self.is_open:
            return []
        self.is_open = True
        return [SpeechStarted()]

    def _partial(self, text: str) -> list[Hearing]:
        if not text or text == self._text:
            return []
        events = [*self._resumed(text), *self._started()]
        self._text = text
        return [*events, Partial(text)]

    def _resumed(self, text: str | None) -> list[Hearing]:
        """What was said to have ended with other words than ``text`` goes on."""
        if not self._is_eager or text == self._text:
            return []
        self._is_eager = False
        return [TurnResumed()]

    def _ended(self, text: str) -> EndOfTurn:
        ended = EndOfTurn(text, self._end_ms if text else None)
        self._before, self._text, self._end_ms = "", "", None
        self._is_eager, self.is_open = False, False
        return ended

    def finish(self, *, is_deaf: bool = False) -> list[Hearing]:
        """End the turn here; if ``is_deaf``, this connection is not listened to any more."""
        self._is_deaf = is_deaf
        return [self._ended(self._text or self._before)]

    def reopened(self) -> None:
        """A new connection: what was heard so far is not heard again."""
        self._before = self._text or self._before
        self._is_deaf = False

    def heard_s(self, info: TurnInfo) -> float | None:
        """Return up to where the audio is not needed again, in s of the connection's clock."""
        if not self.is_open:
            return max(0.0, info.audio_window_end - ONSET_SECONDS)
        if info.last_word_end is not None:
            return info.last_word_end
        return info.audio_window_end if info.transcript else None
