"""A bad telephone line towards Twilio: frames lost, and frames that come in bunches.

Frames keep their own timestamps and their order, as Twilio says of real ones ("use timestamp and
chunk, not arrival time"). It knows no clock: time is the timestamps of the frames it is given.
"""

from random import Random


class Line:
    """``loss`` is the fraction of frames dropped, ``jitter_ms`` the longest a frame is held."""

    def __init__(self, loss: float, jitter_ms: float, random: Random) -> None:
        self._loss, self._jitter, self._random = loss, jitter_ms, random
        self._held: list[tuple[bytes, int]] = []
        self._release_at = 0.0

    def carry(self, frame: bytes | None, timestamp_ms: int) -> list[tuple[bytes, int]]:
        """Take the frame of this moment, if there is one, and return those that arrive now."""
        if frame is not None and self._random.random() >= self._loss:
            if not self._held:
                self._release_at = timestamp_ms + self._random.uniform(0, self._jitter)
            self._held.append((frame, timestamp_ms))
        if timestamp_ms < self._release_at:
            return []
        return self.flush()

    def flush(self) -> list[tuple[bytes, int]]:
        """Return the frames still held: the line is closing."""
        arrived, self._held = self._held, []
        return arrived
