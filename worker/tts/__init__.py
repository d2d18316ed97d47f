"""Text-to-speech as the call sees it: settings that make sessions, and a session per call."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from worker.message import Message


@dataclass(frozen=True, slots=True)
class Timing:
    """Where in an utterance's audio a piece of its text is spoken.

    ``text`` is a word; from providers that time no words it is a whole clause, as posted. Times
    are ms from the beginning of the utterance's audio, over all of its clauses.
    """

    text: str
    start_ms: float
    end_ms: float


class TTSListener(Protocol):
    """Who gets the audio; called on the call's event loop."""

    def audio(self, message: Message[bytes]) -> None:
        """μ-law 8 kHz mono of an utterance; the last message of an utterance is ``done``."""

    def timed(self, uuid: UUID, timings: Sequence[Timing]) -> None:
        """Further timings of an utterance, in the order of its text; before its ``done``."""

    def failed(self, error: Exception) -> None:
        """The session cannot go on: it has given up. Said once, after it could connect once."""


class TTSSession(Protocol):
    """One call's voice."""

    def post(self, message: Message[str]) -> None:
        """Speak a piece of an utterance; ``done`` ends it and brings the terminal audio message.

        The pieces of an utterance, put together as they are, make its text (spaces included).
        Each piece is a whole clause or sentence, so it can be spoken at once: providers that
        collect text on their side are told not to. The last piece may be empty.
        """

    def abort(self, uuid: UUID) -> None:
        """Forget an utterance: no more audio of it arrives after this returns."""

    async def aclose(self) -> None:
        """Release everything, in bounded time. May be called twice."""


class TTS(Protocol):
    """A text-to-speech provider and its settings."""

    def prepare(self) -> None:
        """Import and build what every call needs, once, in the template, before any fork.

        Must leave no thread, no event loop and no open socket behind. Raises `ProviderError` when
        no call could use it (no key, no such voice).
        """

    async def connect(self, listener: TTSListener) -> TTSSession:
        """Open a session for one call; return when it is open. Raises `ProviderError`."""

    def stand_in(self) -> "TTS":
        """Return what a rehearsal uses instead: itself when it needs no network."""
