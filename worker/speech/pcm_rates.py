"""From the telephone's 8 kHz to a service's rate and back, band-limited. Pure.

    line 8 kHz ──half-band filter──> 16 kHz ──straight lines──> rate      `Widened`
    line 8 kHz <──1 of n──────── low-pass <──────────────────── rate      `Narrowed`

In a straight line alone, what a service says above 4 kHz would be heard as a whistle below it, and
the caller's own voice would come to the model a second time, mirrored, above 4 kHz. Either way adds
1 ms of delay at most. The telephone's own rate passes through.
"""

from shared.audio import SAMPLE_RATE, Resampler, pcm16_to_ulaw
from shared.speech.narrowband import Narrowband
from worker.llm.wav import RATE, twice_the_rate

_EDGE = 8
"""Samples on each side of which `twice_the_rate` does not know all neighbours."""


class Widened:
    """Makes PCM16 of ``rate`` of the telephone's, in pieces of any size, 1 ms later."""

    def __init__(self, rate: int) -> None:
        self._is_wider = rate != SAMPLE_RATE
        self._resampler = Resampler(RATE, rate)
        self._tail = bytes(2 * 2 * _EDGE)

    def feed(self, pcm: bytes) -> bytes:
        """Take PCM16 of 8 kHz (whole samples)."""
        if not self._is_wider or not pcm:
            return pcm
        known = self._tail + pcm
        self._tail = known[-len(self._tail) :]
        return self._resampler.feed(twice_the_rate(known)[4 * _EDGE : -4 * _EDGE])


class Narrowed:
    """Makes μ-law of PCM16 of ``rate``, in pieces of any size, under 1 ms later."""

    def __init__(self, rate: int) -> None:
        self._band = Narrowband(rate) if rate != SAMPLE_RATE else None

    def feed(self, pcm: bytes) -> bytes:
        """Take PCM16 (whole samples)."""
        return pcm16_to_ulaw(pcm) if self._band is None else self._band.feed(pcm)
