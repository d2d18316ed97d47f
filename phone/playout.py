"""Twilio's playout buffer: what the agent sent and the caller has not heard yet.

Audio is queued and handed out 20 ms at a time. A frame that was handed out is being played until
the next one is asked for; a mark is due when everything sent before it *has been* played, at once
if that is so already. ``clear`` empties the queue and makes every waiting mark due. More than ten
minutes are not kept. Source: Twilio, "Media Streams: WebSocket Messages".

It knows bytes and names only: no clock, no socket.
"""

from collections import deque

import msgspec

from shared.audio import FRAME_BYTES, SAMPLE_RATE, SILENCE, SILENT_FRAME

LIMIT_BYTES = 10 * 60 * SAMPLE_RATE


class Cleared(msgspec.Struct, frozen=True):
    """What a ``clear`` threw away: bytes of audio never heard, and the marks that waited."""

    dropped_bytes: int
    marks: tuple[str, ...]


class Playout:
    """One stream's buffer of μ-law audio and marks."""

    def __init__(self, limit_bytes: int = LIMIT_BYTES) -> None:
        self._limit = limit_bytes
        self._buffer = bytearray()
        self._marks: deque[tuple[int, str]] = deque()
        self._accepted = 0
        self._handed_out = 0
        self._played = 0

    @property
    def buffered_bytes(self) -> int:
        """Audio that waits, without the frame that is being played."""
        return len(self._buffer)

    def play(self, audio: bytes) -> int:
        """Queue ``audio`` (any length). Return how many bytes of it were over the limit."""
        room = self._limit - len(self._buffer)
        kept = audio if len(audio) <= room else audio[:room]
        self._buffer += kept
        self._accepted += len(kept)
        return len(audio) - len(kept)

    def mark(self, name: str) -> None:
        """Remember a mark behind the audio queued so far; ask `due` for what to echo now."""
        self._marks.append((self._accepted, name))

    def clear(self) -> Cleared:
        """Throw the queued audio away and return it with all waiting marks, in their order."""
        cleared = Cleared(len(self._buffer), tuple(name for _, name in self._marks))
        self._buffer.clear()
        self._marks.clear()
        self._accepted = self._handed_out
        return cleared

    def frame(self) -> bytes:
        """Return the next 20 ms to play (160 bytes); the frame before it has then been played.

        An empty buffer gives `SILENT_FRAME` itself, so silence can be told by identity.
        """
        self._played = self._handed_out
        if not self._buffer:
            return SILENT_FRAME
        frame = bytes(self._buffer[:FRAME_BYTES])
        del self._buffer[:FRAME_BYTES]
        self._handed_out += len(frame)
        return frame.ljust(FRAME_BYTES, SILENCE)

    def due(self) -> tuple[str, ...]:
        """Take the marks whose audio has been played, in their order."""
        if not self._marks or self._marks[0][0] > self._played:
            return ()
        names = []
        while self._marks and self._marks[0][0] <= self._played:
            names.append(self._marks.popleft()[1])
        return tuple(names)
