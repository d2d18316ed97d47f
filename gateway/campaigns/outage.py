"""The database is away: how long it is left alone, said once, and once when it is back."""

from structlog.typing import FilteringBoundLogger

from gateway.store.store import StoreError

FIRST_PAUSE, LAST_PAUSE = 0.5, 30.0
"""Seconds until it is tried again what did not work; doubled each time."""


class Outage:
    """What one user of the database remembers of its absence."""

    def __init__(self, log: FilteringBoundLogger, who: str) -> None:
        """``who`` is what waits, in the log's words."""
        self._log, self._who = log, who
        self._pause = FIRST_PAUSE
        self.lasts = False

    def pause(self, error: StoreError) -> float:
        """It was away just now; return the seconds until it should be tried again."""
        if not self.lasts:
            self.lasts = True
            self._log.warning(f"{self._who} waits for the database", reason=error.sentence)
        pause, self._pause = self._pause, min(2 * self._pause, LAST_PAUSE)
        return pause

    def over(self) -> None:
        """It has answered."""
        if self.lasts:
            self.lasts, self._pause = False, FIRST_PAUSE
            self._log.info(f"{self._who} goes on: the database is back")
