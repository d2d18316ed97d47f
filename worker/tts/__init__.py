"""Text-to-speech as the call sees it: settings that make sessions, and a session per call."""

from typing import Protocol
from uuid import UUID

from worker.message import Message


class TTSListener(Protocol):
    """Who gets the audio; called on the call's event loop."""

    def audio(self, message: Message[bytes]) -> None:
        """μ-law 8 kHz mono of an utterance; the last message of an utterance is ``done``."""

    def failed(self, error: Exception) -> None:
        """The session cannot go on."""


class TTSSession(Protocol):
    """One call's voice."""

    def post(self, message: Message[str]) -> None:
        """Speak a piece of text; ``done`` flushes and brings the terminal audio message."""

    def abort(self, uuid: UUID) -> None:
        """Forget an utterance: no more audio of it arrives after this returns."""

    async def aclose(self) -> None:
        """Release everything, in bounded time. May be called twice."""


class TTS(Protocol):
    """A text-to-speech provider and its settings."""

    def prepare(self) -> None:
        """Import and build what every call needs, once, in the template, before any fork.

        Must leave no thread, no event loop and no open socket behind.
        """

    async def connect(self, listener: TTSListener) -> TTSSession:
        """Open a session for one call."""

    def stand_in(self) -> "TTS":
        """Return what a rehearsal uses instead: itself when it needs no network."""
