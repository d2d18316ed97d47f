"""Twilio's clock as its answers tell it, since ours may be wrong.

``Date`` is when an answer was made, to the second (RFC 9110, 6.6.1).
"""

import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime


class CarrierClock:
    """Twilio's time. Until an answer has told it, it is taken for ours (``now``, Unix seconds)."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self.ahead = 0.0
        """Seconds by which it is later there than here."""

    def heard(self, date: str | None) -> None:
        """An answer that came just now says when it was made. What is no date tells nothing."""
        try:
            there = parsedate_to_datetime(date or "").timestamp()
        except (ValueError, TypeError, IndexError, OverflowError):
            return
        self.ahead = there - self._now()

    def of(self, here: float) -> float:
        """Return what time it was there when it was ``here`` here."""
        return here + self.ahead

    @property
    def now(self) -> float:
        """What time it is there."""
        return self.of(self._now())
