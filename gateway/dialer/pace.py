"""Calls a second, as the carrier's account allows: beyond it Twilio queues, and rings late."""

from collections.abc import Callable
from math import inf


class Pace:
    """Gives turns, the first come first. ``rate`` is turns a second; ``clock`` is monotonic."""

    def __init__(self, rate: float, clock: Callable[[], float]) -> None:
        self._between, self._clock = 1 / rate, clock
        self._next = clock()

    @property
    def wait_s(self) -> float:
        """How long the next one would wait."""
        return max(0.0, self._next - self._clock())

    def take(self, most_s: float = inf) -> float | None:
        """Take the next turn; return when it is on the clock, ``None`` if that is too late."""
        wait, now = self.wait_s, self._clock()
        if wait > most_s:
            return None
        self._next = now + wait + self._between
        return now + wait
