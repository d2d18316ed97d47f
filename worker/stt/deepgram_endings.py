"""Tells a listener what Deepgram has heard, and sees to it that every turn ends.

    heard ──────────────> listener; it puts off the end that is expected, but not one asked for
    asked for, expected ── not heard of in time ──> ``conclude``

What concluding means is the connection's to know: it may be frozen, or know of no turn.
"""

import asyncio
from collections.abc import Callable

from worker.stt import EndOfTurn, Hearing, STTListener


class Endings:
    """The ends of one call's turns, at most one of them due."""

    __slots__ = ("_conclude", "_deadline", "_listener", "_loop", "is_asked", "is_closed")

    def __init__(self, listener: STTListener, conclude: Callable[[], None]) -> None:
        self._listener, self._conclude = listener, conclude
        self._loop = asyncio.get_running_loop()
        self._deadline: asyncio.TimerHandle | None = None
        self.is_asked = False
        """The end was asked for and has not come."""
        self.is_closed = False
        """Nobody listens any more."""

    def ask(self, seconds: float) -> None:
        """The end was asked for: it is due in so many seconds, whatever else is heard."""
        self.is_asked = True
        self.expect(seconds)

    def expect(self, seconds: float) -> None:
        """The end is due in so many seconds, if nothing is heard before."""
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = self._loop.call_later(seconds, self._conclude)

    def hear(self, events: list[Hearing]) -> None:
        """Tell the listener."""
        for event in events:
            if self.is_closed:
                return
            if isinstance(event, EndOfTurn) or not self.is_asked:
                self._clear()
            self._listener.heard(event)

    def fail(self, error: Exception) -> None:
        """Tell the listener that nothing will be heard any more."""
        self._clear()
        self._listener.failed(error)

    def close(self) -> None:
        """Tell nothing any more."""
        self.is_closed = True
        self._clear()

    def _clear(self) -> None:
        self.is_asked = False
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
