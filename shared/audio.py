"""Telephone audio: μ-law at 8 kHz, mono, one byte a sample; 20 ms are 160 bytes.

Everything on the live path is μ-law bytes. Linear PCM here always means signed 16-bit little
endian ("PCM16"), mono unless said otherwise.
"""

import audioop
import math
import wave
from pathlib import Path

SAMPLE_RATE = 8000
"""Samples a second, and in μ-law also bytes a second."""

FRAME_MS = 20
FRAME_BYTES = SAMPLE_RATE * FRAME_MS // 1000

SILENCE = b"\xff"
"""One sample of μ-law silence (Twilio, Media Streams: 0xFF, also 0x7F)."""

SILENT_FRAME = SILENCE * FRAME_BYTES

_FULL_SCALE = 32768.0
_FLOOR_DBFS = -96.0


def bytes_of_ms(ms: float) -> int:
    """Return how many μ-law bytes last ``ms`` milliseconds, rounded down to a sample."""
    return int(ms * SAMPLE_RATE / 1000)


def ms_of_bytes(count: int) -> float:
    """Return how many milliseconds ``count`` μ-law bytes last."""
    return count * 1000 / SAMPLE_RATE


def silence(ms: float) -> bytes:
    """Return ``ms`` milliseconds of μ-law silence."""
    return SILENCE * bytes_of_ms(ms)


def ulaw_to_pcm16(audio: bytes) -> bytes:
    """Decode μ-law to PCM16 of the same rate (twice the bytes)."""
    return audioop.ulaw2lin(audio, 2)


def pcm16_to_ulaw(pcm: bytes) -> bytes:
    """Encode PCM16 as μ-law of the same rate (half the bytes).

    Raises ``ValueError`` when ``pcm`` ends inside a sample.
    """
    if len(pcm) % 2:
        raise ValueError(f"PCM16 of {len(pcm)} bytes ends inside a sample: keep the odd byte back")
    return audioop.lin2ulaw(pcm, 2)


def level_dbfs(audio: bytes) -> float:
    """Return the RMS level of μ-law ``audio`` in dBFS, -96.0 for digital silence or nothing."""
    if not audio:
        return _FLOOR_DBFS
    rms = audioop.rms(audioop.ulaw2lin(audio, 2), 2)
    return 20 * math.log10(rms / _FULL_SCALE) if rms else _FLOOR_DBFS


class Framer:
    """Cuts μ-law of any size into frames of 20 ms; what is no whole one waits for the next."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = b""

    def frames(self, audio: bytes) -> list[bytes]:
        """Return the frames that ``audio`` makes whole, in order."""
        if self._rest:
            audio = self._rest + audio
        whole = len(audio) - len(audio) % FRAME_BYTES
        self._rest = audio[whole:]
        return [audio[start : start + FRAME_BYTES] for start in range(0, whole, FRAME_BYTES)]


class Resampler:
    """Linear resampling of PCM16 mono that keeps its state, so chunk borders do not click."""

    def __init__(self, from_rate: int, to_rate: int = SAMPLE_RATE) -> None:
        self._from, self._to = from_rate, to_rate
        self._state: object = None

    def feed(self, pcm: bytes) -> bytes:
        """Return ``pcm`` (whole samples) at the new rate."""
        if self._from == self._to:
            return pcm
        out, self._state = audioop.ratecv(pcm, 2, 1, self._from, self._to, self._state)  # type: ignore[arg-type]
        return out


def read_wav(path: Path) -> bytes:
    """Read a WAV file (PCM, 8 or 16 bit, mono or stereo, any rate) as μ-law 8 kHz mono.

    Raises ``ValueError`` with the fix when the file is of another kind.
    """
    try:
        with wave.open(str(path), "rb") as file:
            channels, width, rate = file.getnchannels(), file.getsampwidth(), file.getframerate()
            data = file.readframes(file.getnframes())
    except (wave.Error, EOFError) as error:
        raise ValueError(f"{path}: {error}; convert it to 16-bit PCM WAV") from error
    if width not in (1, 2) or channels not in (1, 2):
        raise ValueError(f"{path}: {channels} channels of {8 * width} bits; use 16-bit mono")
    if width == 1:
        data = audioop.lin2lin(audioop.bias(data, 1, -128), 1, 2)
    if channels == 2:
        data = audioop.tomono(data, 2, 0.5, 0.5)
    return pcm16_to_ulaw(Resampler(rate).feed(data))


def write_stereo_wav(path: Path, left: bytes, right: bytes) -> None:
    """Write two μ-law signals as a 16-bit stereo WAV; the shorter one is padded with silence."""
    size = max(len(left), len(right))
    tracks = [ulaw_to_pcm16(track.ljust(size, SILENCE)) for track in (left, right)]
    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(
            audioop.add(
                audioop.tostereo(tracks[0], 2, 1, 0), audioop.tostereo(tracks[1], 2, 0, 1), 2
            )
        )
