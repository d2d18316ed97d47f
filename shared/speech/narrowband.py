"""From an engine's wide-band PCM to what a telephone carries: band-limited, 8 kHz, μ-law.

Knows nothing of engines. The filter is written with `audioop`'s vector operations: 40 of them for
a chunk of any length cost a hundredth of what a loop over samples would.
"""

import audioop
import math

from shared.audio import SAMPLE_RATE, Resampler, pcm16_to_ulaw

_CUTOFF_HZ = 3500
"""The telephone's band ends at 3.4 kHz; what is above 4 kHz would come back as an alias."""

_TAPS = 31
_HEADROOM = 8
"""The sum is made at an eighth, since it may pass full scale on its way to its end."""

_PADDING = b"\0" * 4 * (_TAPS // 2)


def _lowpass(rate: int) -> list[float]:
    """Return a symmetric windowed-sinc filter (Hamming) of unit gain, at an eighth."""
    middle = _TAPS // 2
    taps = []
    for index in range(_TAPS):
        n = index - middle
        window = 0.54 + 0.46 * math.cos(math.pi * n / middle)
        x = 2 * _CUTOFF_HZ / rate
        taps.append(window * (x if n == 0 else math.sin(math.pi * x * n) / (math.pi * n)))
    total = sum(taps)
    return [tap / total / _HEADROOM for tap in taps]


class Narrowband:
    """Turns PCM16 mono of ``rate`` Hz into μ-law 8 kHz, chunk by chunk without seams.

    ``gain`` is linear; what it lifts over full scale is clipped. ``rate`` must be above 8 kHz.
    """

    def __init__(self, rate: int, gain: float = 1.0) -> None:
        self._taps = _lowpass(rate)
        self._gain = gain * _HEADROOM
        self._tail = _PADDING * 2
        self._resampler = Resampler(rate, SAMPLE_RATE)

    def feed(self, pcm: bytes) -> bytes:
        """Return the μ-law of ``pcm`` (whole samples), delayed by half the filter: under 1 ms."""
        if not pcm:
            return b""
        wide = audioop.lin2lin(pcm, 2, 4)
        signal = self._tail + wide
        self._tail = signal[-len(_PADDING) * 2 :]
        out = b"\0" * len(wide)
        for index, tap in enumerate(self._taps):
            shifted = signal[4 * index : 4 * index + len(wide)]
            out = audioop.add(out, audioop.mul(shifted, 4, tap), 4)
        narrow = audioop.lin2lin(audioop.mul(out, 4, self._gain), 4, 2)
        return pcm16_to_ulaw(self._resampler.feed(narrow))
