"""When a delivery is tried again, and when an address is left alone. No I/O; time is given.

    answer      2xx         delivered
                410         given up: the address is gone
                all else    again, after `DELAYS`, a day long; a Retry-After is waited for

Whatever an address answers, it is tried again: a flow that is switched off answers 404, one whose
key was mistyped 401, and both are put right within the day.
"""

from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from enum import Enum

DELAYS = (5.0, 30.0, 120.0, 600.0, 1800.0, 3600.0, 7200.0, 14400.0, 28800.0, 28800.0)
"""Seconds after each failure, a day in all. Jitter is a fifth either way."""

LIFETIME = 26 * 3600.0
"""Seconds after which a delivery is given up that could not even be tried."""

MOST_RETRY_AFTER = 6 * 3600.0
"""Seconds that an address may ask to be left alone."""

GONE = 410

_NOT_THERE = frozenset({429, 502, 503, 504, *range(520, 531)})
"""What a proxy answers in place of who is behind it (520-530 are Cloudflare's), and who is busy. A
500 is none of them: a flow that fails at one body may well take the next."""


@dataclass(frozen=True, slots=True)
class Tried:
    """How a try ended: by a status, or by an ``error`` (a sentence) without one.

    ``hopeless``: it will fail each time. ``retry_after`` in seconds, as asked for.
    """

    status: int | None = None
    error: str | None = None
    retry_after: float | None = None
    hopeless: bool = False
    ms: float = 0.0

    @property
    def is_delivered(self) -> bool:
        """Whether it was taken."""
        return self.status is not None and 200 <= self.status < 300

    @property
    def is_alive(self) -> bool:
        """Whether the address answers, be it that it will not have this."""
        return self.hopeless or (self.status is not None and self.status not in _NOT_THERE)


class Next(Enum):
    """What comes after a try."""

    DONE = "delivered"
    AGAIN = "waiting"
    GIVEN_UP = "failed"


def after(tried: Tried, number: int, jitter: float) -> tuple[Next, float]:
    """Return what comes after the ``number``-th try (from 1), and in how many seconds.

    ``jitter`` is random, from 0 to 1.
    """
    if tried.is_delivered:
        return Next.DONE, 0.0
    if tried.hopeless or tried.status == GONE or number > len(DELAYS):
        return Next.GIVEN_UP, 0.0
    delay = DELAYS[number - 1] * (0.8 + 0.4 * jitter)
    return Next.AGAIN, max(delay, tried.retry_after or 0.0)


def retry_after(value: str | None, now: float) -> float | None:
    """Return the seconds that a ``Retry-After`` asks for, ``None`` for what is none."""
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        seconds = float(text[:9])
    else:
        try:
            seconds = parsedate_to_datetime(text).timestamp() - now
        except (ValueError, TypeError, OverflowError, IndexError):
            return None
    return min(max(seconds, 0.0), MOST_RETRY_AFTER)


class Circuit:
    """Whether an address is tried at all.

    closed ──some failures in a row──> open ──time──> one try ──good──> closed
                                        ^───────────────┘ bad: twice as long
    """

    FAILURES = 5
    FIRST_SECONDS = 15.0
    LAST_SECONDS = 600.0

    def __init__(self, now: Callable[[], float], scale: float = 1.0) -> None:
        self._now, self._scale = now, scale
        self._failures = 0
        self._seconds = self.FIRST_SECONDS
        self._open_until = 0.0
        self._probing = False

    @property
    def is_closed(self) -> bool:
        """Whether several may be under way at once."""
        return self._failures < self.FAILURES

    @property
    def opens_at(self) -> float:
        """When the next try may be made."""
        return self._open_until

    def may(self) -> bool:
        """Tell whether a try may be made now."""
        return self._now() >= self._open_until and (self.is_closed or not self._probing)

    def begun(self) -> None:
        """A try was made."""
        self._probing = not self.is_closed

    def ended(self, tried: Tried) -> bool:
        """A try has ended; true if the address was just given up for a while."""
        was_probe, self._probing = self._probing, False
        if tried.is_alive:
            self._failures, self._seconds = 0, self.FIRST_SECONDS
            return False
        was_closed = self.is_closed
        self._failures += 1
        if tried.retry_after:
            self._rest(tried.retry_after)
        if self.is_closed:
            return False
        if was_probe:
            self._seconds = min(self._seconds * 2, self.LAST_SECONDS)
        if was_closed or was_probe:  # others were under way when it was given up
            self._rest(self._seconds * self._scale)
        return was_closed

    def _rest(self, seconds: float) -> None:
        self._open_until = max(self._open_until, self._now() + seconds)
