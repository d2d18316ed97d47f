"""How many log lines one process may cause: a burst, then a trickle, and a count of the rest.

What a call writes costs the gateway time that belongs to the other calls, and the log is shared.
"""

from collections.abc import Callable

BURST_LINES = 500
"""More than a dump of all stacks, or the longest traceback, has."""

LINES_A_SECOND = 20.0


class LineAllowance:
    """A token bucket. ``clock`` is monotonic, in seconds."""

    __slots__ = ("_clock", "_left", "_then", "left_out")

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._left, self._then = float(BURST_LINES), clock()
        self.left_out = 0
        """Lines refused since the last one that was granted; whoever tells of them resets it."""

    def take(self) -> bool:
        """Tell whether one more line may be written now."""
        now = self._clock()
        self._left = min(BURST_LINES, self._left + (now - self._then) * LINES_A_SECOND)
        self._then = now
        if self._left < 1:
            self.left_out += 1
            return False
        self._left -= 1
        return True
