"""Keys that belong together: digits collected with a time-out and a terminator."""

from worker.turns.policy import Turns


class Keys:
    """Collects a caller's keys. ``now`` is monotonic seconds."""

    def __init__(self, turns: Turns) -> None:
        self.turns = turns
        self._pressed = ""
        self.deadline: float | None = None

    @property
    def pressed(self) -> str:
        """The keys so far."""
        return self._pressed

    def press(self, key: str, now: float) -> str | None:
        """Take a key; return the keys when it completes them (empty: the end key alone)."""
        if key == self.turns.keys_end:
            return self._complete()
        self._pressed += key
        if len(self._pressed) >= self.turns.keys_most:
            return self._complete()
        self.deadline = now + self.turns.keys_timeout_s
        return None

    def tick(self, now: float) -> str | None:
        """Return the keys when no further one came in time."""
        if self.deadline is None or now < self.deadline:
            return None
        return self._complete()

    def _complete(self) -> str:
        pressed, self._pressed, self.deadline = self._pressed, "", None
        return pressed
