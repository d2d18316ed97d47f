"""The playback clock: what has left the carrier's playout buffer, to about a frame of 20 ms.

Audio is sent ahead of real time, so what was *sent* is not what was *heard*. The clock knows from
the bytes sent, from marks and from clears where the carrier's playhead stands:

    sent        |==========================|          bytes handed to the carrier
    played      |============>                         moves in real time while anything is queued
    mark echo               ^ played reached the mark: the clock is corrected to it
    clear                    |xxxxxxxxxxxxx|          queued audio is gone, a new generation begins

The carrier echoes all pending marks at a clear, played or not (Twilio, Media Streams "clear"), so
a mark's name carries its generation: an echo of an older one proves nothing.

Positions are μ-law bytes (8 a millisecond) counted over the whole stream. The clock does no I/O
and reads no clock: ``now`` is monotonic seconds, given by the caller.
"""

from collections import deque

from shared.audio import SAMPLE_RATE, bytes_of_ms


class PlaybackClock:
    """Where the playhead of one stream stands.

    ``network_ms`` is how long the phone network beyond the carrier delays what it plays
    (100-300 ms in practice); `heard` allows for it.
    """

    def __init__(self, network_ms: float = 0.0) -> None:
        self._network = network_ms / 1000
        self._sent = 0
        self._ends = 0.0
        self._generation = 0
        self._number = 0
        self._marks: deque[tuple[str, int]] = deque()
        self._played = self._heard = 0

    @property
    def sent(self) -> int:
        """Bytes sent and not cleared."""
        return self._sent

    def send(self, size: int, now: float) -> None:
        """``size`` bytes were handed to the carrier."""
        self._settle(now)
        self._ends = max(self._ends, now) + size / SAMPLE_RATE
        self._sent += size

    def mark(self) -> str:
        """Return the name for a mark sent now, behind everything sent so far."""
        self._number += 1
        name = f"{self._generation}.{self._number}"
        self._marks.append((name, self._sent))
        return name

    def echo(self, name: str, now: float) -> bool:
        """The carrier echoed ``name``; tell whether all audio before it was played."""
        if not any(name == known for known, _ in self._marks):
            return False
        self._settle(now)
        while self._marks:
            known, position = self._marks.popleft()
            if known == name:
                self._ends = now + (self._sent - position) / SAMPLE_RATE
                break
        return True

    def clear(self, now: float) -> int:
        """The queue was cleared; return the bytes that were dropped."""
        self._settle(now)
        dropped = self._sent - self._played
        self._sent = self._played
        self._ends = min(self._ends, now)
        self._generation += 1
        self._marks.clear()
        return dropped

    def _settle(self, now: float) -> None:
        """Before the estimate changes: what counts as played and heard by now stays so.

        An echo that comes later than expected stops the playhead until the carrier has caught up.
        """
        self._played, self._heard = self.played(now), self.heard(now)

    def played(self, now: float) -> int:
        """Return how many bytes the carrier has played. Never less than before."""
        return max(self._played, self._sent - bytes_of_ms(self.remaining_ms(now)))

    def heard(self, now: float) -> int:
        """Return how many bytes have come out of the caller's phone. Never less than before."""
        then = now - self._network
        return max(self._heard, self._sent - bytes_of_ms(self.remaining_ms(then)))

    def remaining_ms(self, now: float) -> float:
        """Return how long the carrier will still play what it has, in ms."""
        left = min(self._ends - now, self._sent / SAMPLE_RATE)
        return max(0.0, left * 1000)
