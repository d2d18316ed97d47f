"""Until when the caller hears what a model has said, by reckoning. Pure; the clock is given.

A model speaks faster than it is heard, and the session is not told what is on the line: only how
much was made, and since when there is a line. Good enough to tell whether an interruption has
anything to interrupt; how much was really heard, the call says.
"""

MARGIN_S = 1.0
"""The reckoning may be late by so much: the call plays with pauses, the network takes its time."""

AWAY_S = 1.0
"""A line that brings nothing for so long is away; what is to be heard waits with it."""


class Playing:
    """What was made, on the call's clock (s). While there is no line, its time stands still."""

    def __init__(self) -> None:
        self._has_line = False
        self._seen_at = 0.0
        self._until = self._protected = 0.0

    def line_is_open(self, now: float) -> None:
        """There is somebody to hear it: said again and again, as long as there is."""
        seen_at, self._seen_at = self._seen_at, now
        if self._has_line:
            away = now - seen_at
            if away > AWAY_S:
                self._until += away if self._until > seen_at else 0.0
                self._protected += away if self._protected > seen_at else 0.0
        else:
            self._has_line = True
            self._until += now if self._until else 0.0
            self._protected += now if self._protected else 0.0

    def add(self, now: float, ms: float) -> None:
        """So much more was made."""
        self._until = max(self._until, now if self._has_line else 0.0) + ms / 1000

    def protect(self) -> None:
        """What was made so far is to be heard whatever the caller does."""
        self._protected = self._until

    def cut(self, now: float) -> None:
        """The rest is not to be heard any more."""
        self._until = self._protected = now if self._has_line else 0.0

    def is_over(self, now: float) -> bool:
        """Nothing of it is on the line."""
        return not self._until or (self._has_line and now >= self._until + MARGIN_S)

    def is_protected(self, now: float) -> bool:
        """What is heard now may not be interrupted."""
        return now < self._protected if self._has_line else self._protected > 0
