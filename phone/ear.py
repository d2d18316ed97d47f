"""Speech and silence in what is played to the caller, 20 ms at a time.

    silent --voiced frame--> speaking --quiet for ``quiet_ms``--> silent (a `Span` is over)

A frame is voiced when its level reaches a threshold. It knows no clock: the caller of `hear` says
when a frame began.
"""

import msgspec

from shared.audio import FRAME_BYTES, FRAME_MS, SILENT_FRAME, level_dbfs


class Span(msgspec.Struct, frozen=True):
    """Speech from the start of its first voiced frame to the end of its last, in ms."""

    from_ms: float
    until_ms: float


def voiced_until(audio: bytes, threshold_dbfs: float) -> int:
    """Return where speech ends in ``audio``, in bytes, to 20 ms; 0 when there is none."""
    for start in range((len(audio) - 1) // FRAME_BYTES * FRAME_BYTES, -1, -FRAME_BYTES):
        if level_dbfs(audio[start : start + FRAME_BYTES]) >= threshold_dbfs:
            return min(start + FRAME_BYTES, len(audio))
    return 0


class Ear:
    """Follows one side of one call."""

    def __init__(self, quiet_ms: float, threshold_dbfs: float) -> None:
        self._quiet_ms, self._threshold = quiet_ms, threshold_dbfs
        self.began_ms: float | None = None
        """When the speech now going on began, ``None`` in silence."""
        self.last_began_ms = 0.0
        """When the speech heard last began."""
        self.voiced_ms: float | None = None
        """The end of the last voiced frame, ``None`` when nothing was heard yet."""

    def hear(self, frame: bytes, at_ms: float) -> Span | None:
        """Take the frame that began at ``at_ms``; return the span it brought to an end, if any."""
        if frame is not SILENT_FRAME and level_dbfs(frame) >= self._threshold:
            if self.began_ms is None:
                self.began_ms = self.last_began_ms = at_ms
            self.voiced_ms = at_ms + FRAME_MS
            return None
        if self.voiced_ms is None or at_ms + FRAME_MS - self.voiced_ms < self._quiet_ms:
            return None
        return self.finish()

    def finish(self) -> Span | None:
        """End the span now going on, if any, and return it."""
        if self.began_ms is None or self.voiced_ms is None:
            return None
        span = Span(self.began_ms, self.voiced_ms)
        self.began_ms = None
        return span
