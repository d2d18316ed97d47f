"""The caller's audio on its way to a session, and what of it may be needed again. Pure.

    start            floor        spoke     sent        end     positions: bytes of μ-law, from
      ├───────────────┼─────────────┼─────────┼───────────┤     the first that the call posted
      │ kept          │ a turn that │ speech  │ waits for
                        is over       goes on   a socket

A new connection hears a little of what was sent last, so that speech which nobody has noticed yet
is whole; speech in progress it hears from its beginning, but nothing of a turn that is over. What
is older than `MOST_BYTES` is lost.
"""

from shared.audio import bytes_of_ms

BATCH_MS = 40
"""What is waited for before audio is sent: half of it is what it adds to an answer's time."""

BATCH_BYTES = bytes_of_ms(BATCH_MS)
MOST_BATCH_BYTES = 8000
"""1 s: how much is sent at once when there is much to send."""

MOST_BYTES = 15 * 8000
"""15 s: a longer gap nobody wants to have answered."""

_LEAD_BYTES = bytes_of_ms(400)


class Tape:
    """Audio by its position in the call."""

    def __init__(self) -> None:
        self._audio = bytearray()
        self.start = self.sent = 0
        self._base = 0
        """Where the connection's clock is 0."""
        self._floor = 0
        self._spoke: int | None = None

    @property
    def end(self) -> int:
        """The position after the last byte."""
        return self.start + len(self._audio)

    @property
    def is_ready(self) -> bool:
        """There is enough to be sent."""
        return self.end - self.sent >= BATCH_BYTES

    def add(self, audio: bytes) -> None:
        """Take audio; lose the oldest of it when there is too much."""
        self._audio += audio
        gone = len(self._audio) - MOST_BYTES
        if gone <= 0:
            return
        del self._audio[:gone]
        self.start += gone
        if self.sent < self.start:  # never sent: the server's clock does not count it
            self._base += self.start - self.sent
            self.sent = self.start

    def next(self) -> bytes:
        """Return what is to be sent now, nothing if there is too little; it counts as sent."""
        if not self.is_ready:
            return b""
        until = min(self.end, self.sent + MOST_BATCH_BYTES)
        audio = bytes(self._audio[self.sent - self.start : until - self.start])
        self.sent = until
        return audio

    def spoke(self, start_ms: float | None) -> None:
        """Speech began, at this time of the connection."""
        self._spoke = self._position(start_ms)

    def committed(self, end_ms: float | None) -> bytes:
        """A turn is over, at this time of the connection; return how it sounded."""
        end = self._position(end_ms)
        begin = self._floor if self._spoke is None else self._spoke
        begin = max(begin, self.start)
        self._floor, self._spoke = max(self._floor, end), None
        return bytes(self._audio[begin - self.start : max(begin, end) - self.start])

    def rewind(self) -> None:
        """A new connection: its clock begins where it goes on from."""
        again = self.sent - _LEAD_BYTES if self._spoke is None else self._spoke
        again = min(max(again, self._floor, self.start), self.sent)
        self.sent = self._base = again
        self._spoke = None

    def _position(self, ms: float | None) -> int:
        if ms is None:
            return self.sent
        bounded = min(max(ms, 0.0), 1e9)  # whatever a server says
        return min(max(self._base + int(bounded * 8), self.start), self.sent)
