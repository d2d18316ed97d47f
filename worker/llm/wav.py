"""The caller's audio as a model that hears is sent it: WAV, PCM16 mono, 16 kHz.

Such models are made for 16 kHz, and what a server does with another rate is its own business. So
each sample of the telephone's 8 kHz is kept, and the one between two is reckoned by a half-band
filter: linear steps would put a mirror image of the speech above 4 kHz, where the model listens.
The arithmetic is `audioop`'s, over the whole of it at once: under 1 ms for a second of speech.
"""

import audioop
import functools
import io
import math
import wave

from shared.audio import ulaw_to_pcm16

RATE = 16_000
"""Samples a second of what is sent."""

_PAIRS = 8
"""Samples on each side from which one between them is reckoned."""


def wav_of(audio: bytes) -> bytes:
    """Return μ-law 8 kHz as a WAV file of `RATE`."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writing:
        writing.setnchannels(1)
        writing.setsampwidth(2)
        writing.setframerate(RATE)
        writing.writeframes(twice_the_rate(ulaw_to_pcm16(audio)))
    return file.getvalue()


def twice_the_rate(pcm: bytes) -> bytes:
    """Return PCM16 with a sample after each of its own."""
    between = _between(pcm)
    return audioop.add(audioop.tostereo(pcm, 2, 1, 0), audioop.tostereo(between, 2, 0, 1), 2)


def _between(pcm: bytes) -> bytes:
    """Return what lies half-way between each sample and the next, silence around them all."""
    # Half as loud meanwhile and in 32 bits: no sum of two can be clipped, nothing is rounded off.
    half = audioop.mul(audioop.lin2lin(pcm, 2, 4), 4, 0.5)
    edge, size = bytes(4 * _PAIRS), len(half)
    padded = edge + half + edge
    total = bytes(size)
    for away, weight in enumerate(_weights()):
        before, after = 4 * (_PAIRS - away), 4 * (_PAIRS + 1 + away)
        both = audioop.add(padded[before : before + size], padded[after : after + size], 4)
        total = audioop.add(total, audioop.mul(both, 4, weight), 4)
    return audioop.lin2lin(audioop.mul(total, 4, 2.0), 4, 2)


@functools.cache
def _weights() -> tuple[float, ...]:
    """Return the half-band filter's, the nearest pair first: a sinc in a Hann window."""
    offsets = [away + 0.5 for away in range(_PAIRS)]
    weights = [
        math.sin(math.pi * at) / (math.pi * at) * math.cos(math.pi * at / (2 * _PAIRS + 1)) ** 2
        for at in offsets
    ]
    return tuple(weight / (2 * sum(weights)) for weight in weights)
