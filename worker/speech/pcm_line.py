"""Telephone audio to and from a service that wants PCM16 in real time, without gaps. Pure.

    line ──μ-law, in bursts, with gaps──> Uplink ──PCM16, a second for each second──> service
    line <──μ-law, whole samples──────── Downlink <──PCM16, bytes as they come────── service

The uplink sends what it has at once. Where nothing has come for a while it sends silence; audio
that comes late then is too much, and the uplink makes up for it by leaving out quiet. What the
caller was saying when a socket was lost goes to the next one from its beginning. Times are seconds
of the loop's clock, and given.
"""

from shared.audio import (
    FRAME_BYTES,
    SAMPLE_RATE,
    SILENCE,
    level_dbfs,
    ulaw_to_pcm16,
)
from worker.speech.pcm_rates import Narrowed, Widened

GAP_BYTES = SAMPLE_RATE * 240 // 1000
"""What may be missing before silence is sent in its place: 240 ms. Sooner, it would cut words in
two on a line that is only late."""

AHEAD_BYTES = SAMPLE_RATE // 5
"""What may be sent too early before quiet is left out: 200 ms."""

KEPT_BYTES = 2 * SAMPLE_RATE
"""What is kept while there is no socket, and what is made up for at most: 2 s."""

SAID_BYTES = 8 * SAMPLE_RATE
"""What is kept of what the caller is saying."""

_LEAD_BYTES = SAMPLE_RATE * 6 // 10
"""What is kept of a silent line: speech that nobody has noticed yet."""

_QUIET_DBFS = -45.0


class Uplink:
    """The caller's audio; ``begin`` first."""

    def __init__(self) -> None:
        self._rate = Widened(SAMPLE_RATE)
        self._waiting = bytearray()
        self._begun_at = 0.0
        self._sent = 0
        self._said = bytearray()
        self._is_saying = False
        self.left_out = 0
        """How many bytes of μ-law were not sent: quiet, and what was too old."""

    def begin(self, now: float, sample_rate: int) -> None:
        """Begin with a new socket of ``sample_rate``; what is waiting goes first.

        What the caller was saying on the socket before, and was not yet heard out, goes before it.
        """
        self._rate = Widened(sample_rate)
        self._begun_at, self._sent = now, 0
        if self._is_saying:
            self._waiting[:0] = self._said
        self._said.clear()

    def saying(self, is_so: bool) -> None:
        """The caller is saying something that nobody has answered yet, or no more."""
        self._is_saying = is_so

    def add(self, audio: bytes) -> None:
        """Take μ-law of any size; the oldest is dropped when too much is waiting."""
        self._waiting += audio
        excess = len(self._waiting) - KEPT_BYTES - (SAID_BYTES if self._is_saying else 0)
        if excess > 0:
            del self._waiting[:excess]
            self.left_out += excess

    def next(self, now: float) -> bytes:
        """Return what is to be sent now as PCM16, nothing if that is nothing."""
        due = round((now - self._begun_at) * SAMPLE_RATE) - self._sent
        if due > KEPT_BYTES + GAP_BYTES:  # this process stood still: that time is gone
            self._sent += due - KEPT_BYTES
            due = KEPT_BYTES
        audio = bytes(self._waiting)
        if audio:
            self._waiting.clear()
            if len(audio) - due > AHEAD_BYTES:
                audio = self._shorter(audio, due)
        elif due >= GAP_BYTES:
            audio = SILENCE * due
        if not audio:
            return b""
        self._sent += len(audio)
        self._said += audio
        excess = len(self._said) - (SAID_BYTES if self._is_saying else _LEAD_BYTES)
        if excess > 0:
            del self._said[:excess]
        return self._rate.feed(ulaw_to_pcm16(audio))

    def _shorter(self, audio: bytes, due: int) -> bytes:
        """Leave out quiet frames, no more than is too much."""
        excess, kept = len(audio) - due, bytearray()
        for start in range(0, len(audio), FRAME_BYTES):
            frame = audio[start : start + FRAME_BYTES]
            if excess >= len(frame) and level_dbfs(frame) < _QUIET_DBFS:
                excess -= len(frame)
                self.left_out += len(frame)
            else:
                kept += frame
        return bytes(kept)

    def wait_s(self, now: float) -> float:
        """Return after how long silence is due if nothing comes until then, in seconds."""
        gap_at = self._begun_at + (self._sent + GAP_BYTES) / SAMPLE_RATE
        return max(0.0, gap_at - now)


class Downlink:
    """The service's audio, PCM16 at ``sample_rate``; a sample may be split between messages."""

    def __init__(self, sample_rate: int) -> None:
        self._rate = Narrowed(sample_rate)
        self._rest = b""

    def feed(self, pcm: bytes) -> bytes:
        """Return it as μ-law."""
        pcm = self._rest + pcm if self._rest else pcm
        whole = len(pcm) & ~1
        self._rest = pcm[whole:]
        return self._rate.feed(pcm[:whole]) if whole else b""
