"""The caller's audio while nobody hears it: the last of it is kept for whoever comes."""

from collections import deque

MOST_BYTES = 40_000
"""What a caller says before anybody hears, and is heard all the same: the last 5 s of it."""


class KeptAudio:
    """Keeps `MOST_BYTES` of μ-law, the oldest goes first."""

    def __init__(self) -> None:
        self._pieces: deque[bytes] = deque()
        self._size = 0

    def add(self, audio: bytes) -> None:
        """Keep this, too."""
        self._pieces.append(audio)
        self._size += len(audio)
        while self._size > MOST_BYTES:
            self._size -= len(self._pieces.popleft())

    def take(self) -> list[bytes]:
        """Return it, piece by piece, and keep none of it."""
        pieces, self._size = list(self._pieces), 0
        self._pieces.clear()
        return pieces
