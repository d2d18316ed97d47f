"""The caller's audio on its way to a recogniser: what waits, what was sent, what is answered. Pure.

A connection's clock counts the audio sent on it and begins at zero; when it is lost, what it has
not answered is sent again on the next one. The tape knows where each clock began.

    posted      |======== answered ========|~~~~ sent ~~~~|.... waits ....|
                 gone                       again if lost   in batches

It is never longer than `KEPT_MS`: beyond that the oldest goes, for late words are worth nothing.
"""

from shared.audio import SAMPLE_RATE, bytes_of_ms, ms_of_bytes

KEPT_MS = 5000
"""How much audio is kept, in ms."""


class Tape:
    """One call's audio, μ-law 8 kHz, handed out in batches of ``batch_ms``."""

    def __init__(self, batch_ms: int) -> None:
        self._batch = bytes_of_ms(batch_ms)
        self._audio = bytearray()
        self._start = 0
        """Where ``_audio`` begins in all that was posted, in bytes."""
        self._sent = 0
        """How many bytes of ``_audio`` were sent on this connection."""
        self._origin = 0
        """Where in all that was posted this connection's clock began, in bytes."""

    def post(self, audio: bytes) -> bool:
        """Take audio; tell whether a batch is ready."""
        self._audio += audio
        excess = len(self._audio) - bytes_of_ms(KEPT_MS)
        if excess > 0:
            self._drop(excess)
        return self.waiting >= self._batch

    def take(self) -> bytes:
        """Return the next batch to send, empty while there is no whole one."""
        return self._take(self._batch) if self.waiting >= self._batch else b""

    def take_rest(self) -> bytes:
        """Return what is left at the end, less than a batch or a whole one, empty if nothing."""
        return self._take(min(self._batch, self.waiting))

    def _take(self, size: int) -> bytes:
        chunk = bytes(self._audio[self._sent : self._sent + size])
        self._sent += size
        return chunk

    @property
    def waiting(self) -> int:
        """How many bytes wait to be sent."""
        return len(self._audio) - self._sent

    @property
    def is_behind(self) -> bool:
        """More waits than is in the making."""
        return self.waiting >= 2 * self._batch

    @property
    def origin_ms(self) -> float:
        """What to add to a time of this connection to have it in all that was posted, in ms."""
        return ms_of_bytes(self._origin)

    def answered(self, seconds: float) -> None:
        """What was sent up to ``seconds`` of this connection's clock is not needed again."""
        position = self._origin + int(seconds * SAMPLE_RATE)
        self._drop(min(max(0, position - self._start), self._sent))

    def inserted(self, size: int) -> None:
        """``size`` bytes of ours, not the caller's, were sent: the clock counts them."""
        self._origin -= size

    def reopened(self, again_ms: float = KEPT_MS) -> None:
        """A new connection: what waits goes there, after ``again_ms`` of what was sent before."""
        self._drop(max(0, self._sent - bytes_of_ms(again_ms)))
        self._sent, self._origin = 0, self._start

    def forget(self) -> None:
        """Drop everything, sent or not."""
        self._drop(len(self._audio))

    def _drop(self, size: int) -> None:
        del self._audio[:size]
        self._start += size
        # What is dropped unsent the connection's clock never counts.
        self._origin += max(0, size - self._sent)
        self._sent = max(0, self._sent - size)
