"""Speech-to-text as the call sees it: settings that make sessions, and a session per call.

A provider object is what an author writes on the agent class (``stt = PocketSphinx(...)``). It is
frozen settings; the template calls ``prepare`` once, each call opens a session of its own.
"""

from typing import Protocol

from worker.message import Message


class STTListener(Protocol):
    """Who hears what a session recognises; called on the call's event loop."""

    def speech_started(self) -> None:
        """The caller began to speak (a cue, before any word is known)."""

    def transcript(self, message: Message[str]) -> None:
        """Text of the caller's utterance; ``done`` when it is final."""

    def failed(self, error: Exception) -> None:
        """The session cannot go on."""


class STTSession(Protocol):
    """One call's ears."""

    def post(self, audio: bytes) -> None:
        """Take the caller's audio, μ-law 8 kHz mono, in order; never blocks for the network."""

    async def aclose(self) -> None:
        """Release everything, in bounded time. May be called twice."""


class STT(Protocol):
    """A speech-to-text provider and its settings."""

    def prepare(self) -> None:
        """Import and build what every call needs, once, in the template, before any fork.

        Must leave no thread, no event loop and no open socket behind.
        """

    async def connect(self, listener: STTListener) -> STTSession:
        """Open a session for one call."""

    def stand_in(self) -> "STT":
        """Return what a rehearsal uses instead: itself when it needs no network."""
