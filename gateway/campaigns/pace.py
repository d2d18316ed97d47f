"""How fast calls may be placed: the account's calls per second. No I/O, the clock is given."""


class Pace:
    """A bucket of ``burst`` turns that fills by ``per_second``; a call takes one.

    One belongs to an account and is shared by its campaigns. Times are monotonic seconds.
    """

    def __init__(self, per_second: float, burst: float = 1.0) -> None:
        self.per_second, self._burst = per_second, burst
        self._turns, self._at = burst, 0.0

    def ready_at(self, now: float) -> float:
        """Return when a call may be placed, ``now`` if at once."""
        missing = 1.0 - self._filled(now)
        return now if missing <= 0 else now + missing / self.per_second

    def take(self, now: float) -> None:
        """A call is placed, whether it may be or not."""
        self._turns, self._at = self._filled(now) - 1.0, max(self._at, now)

    def _filled(self, now: float) -> float:
        passed = max(0.0, now - self._at)
        # A grain of tolerance: the moment that ``ready_at`` gave must do.
        return min(self._burst, self._turns + passed * self.per_second + 1e-9)
