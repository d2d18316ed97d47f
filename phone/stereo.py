"""A stereo recording as the levels of its two tracks, 20 ms at a time.

Reads a WAV file of any length in a second's steps and keeps no audio. What is on which track and
what the levels mean is its reader's business.
"""

import audioop
import math
import wave
from itertools import pairwise
from pathlib import Path

from shared.audio import FRAME_MS, SAMPLE_RATE, ulaw_to_pcm16
from shared.ulaw_wav import find_sound

_FRAMES_A_SECOND = 1000 // FRAME_MS
_SLOWEST_HZ, _FASTEST_HZ = 8000, 192_000
_SILENT_DBFS = -96.0
_FULL_SCALE = 32768.0


class RecordingError(ValueError):
    """``path`` cannot be measured, for ``reason``; ``fix`` says what to do about it."""

    def __init__(self, path: Path, reason: str, fix: str) -> None:
        self.path, self.reason, self.fix = path, reason, fix
        super().__init__(str(path), reason, fix)

    def __str__(self) -> str:
        return f"{self.path} {self.reason}: {self.fix}"


Levels = list[float]


def track_levels(path: Path) -> tuple[Levels, Levels]:
    """Return the RMS levels of the left and of the right track, in dBFS, -96.0 for silence.

    Raises `RecordingError` for a file of another kind and ``OSError`` when it cannot be read.
    """
    try:
        levels = _own_levels(path)
        if levels is None:
            with wave.open(str(path), "rb") as file:
                _check(path, file)
                levels = _levels(file)
    except (wave.Error, EOFError, RuntimeError) as error:  # the last from damaged heads
        fix = "convert it: ffmpeg -i IN -c:a pcm_s16le OUT.wav"
        raise RecordingError(path, f"is no PCM WAV file ({error or 'cut short'})", fix) from error
    if not levels[0]:
        raise RecordingError(path, "holds no audio", "record a call: callfarm call --out FILE.wav")
    return levels


def _own_levels(path: Path) -> tuple[Levels, Levels] | None:
    """Return the levels of a gateway's own recording (μ-law), ``None`` for any other file."""
    with path.open("rb") as file:
        sound = find_sound(file)
        if sound is None or (sound.channels, sound.rate) != (2, SAMPLE_RATE):
            return None
        left: Levels = []
        right: Levels = []
        file.seek(sound.start)
        for second in range(0, sound.frames, SAMPLE_RATE):
            data = file.read(2 * min(SAMPLE_RATE, sound.frames - second))
            left += _levels_of(ulaw_to_pcm16(data[0::2]), SAMPLE_RATE)
            right += _levels_of(ulaw_to_pcm16(data[1::2]), SAMPLE_RATE)
    return left, right


def _check(path: Path, file: wave.Wave_read) -> None:
    channels, rate = file.getnchannels(), file.getframerate()
    if channels == 1:
        fix = (
            "take one with a track for each side, as callfarm call --out writes "
            "and Twilio records with recordingChannels=dual"
        )
        raise RecordingError(path, "is mono", fix)
    if channels != 2:
        raise RecordingError(path, f"has {channels} tracks", "keep the caller's and the agent's")
    if not _SLOWEST_HZ <= rate <= _FASTEST_HZ:
        raise RecordingError(path, f"has {rate} samples a second", "use 8000 to 192000")
    if file.getsampwidth() > 4:
        raise RecordingError(path, f"has samples of {8 * file.getsampwidth()} bits", "use 16")


def _levels(file: wave.Wave_read) -> tuple[Levels, Levels]:
    rate, width = file.getframerate(), file.getsampwidth()
    left: Levels = []
    right: Levels = []
    while data := file.readframes(rate):
        data = data[: len(data) - len(data) % (2 * width)]
        if width == 1:  # the only width whose samples have no sign
            data = audioop.bias(data, 1, -128)
        pcm = data if width == 2 else audioop.lin2lin(data, width, 2)
        left += _levels_of(audioop.tomono(pcm, 2, 1, 0), rate)
        right += _levels_of(audioop.tomono(pcm, 2, 0, 1), rate)
    return left, right


def _levels_of(pcm: bytes, rate: int) -> Levels:
    """Return the levels of a second of PCM16 or less; a frame that is not whole is left out."""
    ends = [2 * (rate * n // _FRAMES_A_SECOND) for n in range(_FRAMES_A_SECOND + 1)]
    return [_dbfs(pcm[start:end]) for start, end in pairwise(ends) if end <= len(pcm)]


def _dbfs(pcm: bytes) -> float:
    rms = audioop.rms(pcm, 2)
    return 20 * math.log10(rms / _FULL_SCALE) if rms else _SILENT_DBFS
