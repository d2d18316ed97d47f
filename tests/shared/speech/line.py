"""A telephone line for the speech tests: room before and after, another level, noise."""

import audioop
import math
from random import Random

from shared.audio import SAMPLE_RATE, pcm16_to_ulaw, silence, ulaw_to_pcm16


def noise(ms: float, level_dbfs: float, seed: int = 1) -> bytes:
    """Return white noise as μ-law; the same for the same seed."""
    random = Random(seed)
    rms = 32768 * 10 ** (level_dbfs / 20)
    count = int(ms * SAMPLE_RATE / 1000)
    samples = (max(-32768, min(32767, int(random.gauss(0, rms)))) for _ in range(count))
    return pcm16_to_ulaw(b"".join(sample.to_bytes(2, "little", signed=True) for sample in samples))


def over_the_line(
    speech: bytes, gain_db: float = 0.0, noise_dbfs: float | None = None, seed: int = 1
) -> bytes:
    """Return ``speech`` as it arrives: 0.6 s of room before it, 0.9 s after, louder, noisier."""
    pcm = audioop.mul(
        ulaw_to_pcm16(silence(600 + seed) + speech + silence(900)), 2, 10 ** (gain_db / 20)
    )
    if noise_dbfs is not None:
        hiss = ulaw_to_pcm16(noise(1000, noise_dbfs, seed))
        pcm = audioop.add(pcm, (hiss * (len(pcm) // len(hiss) + 1))[: len(pcm)], 2)
    return pcm16_to_ulaw(pcm)


def tone(ms: float, hertz: float, level_dbfs: float) -> bytes:
    """Return a sine as μ-law."""
    peak = 32768 * 10 ** (level_dbfs / 20) * math.sqrt(2)
    count = int(ms * SAMPLE_RATE / 1000)
    samples = (
        int(peak * math.sin(2 * math.pi * hertz * index / SAMPLE_RATE)) for index in range(count)
    )
    return pcm16_to_ulaw(b"".join(sample.to_bytes(2, "little", signed=True) for sample in samples))
