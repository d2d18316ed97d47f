"""How long Say and Play take. Nothing is heard: a stream's audio is what the phone is about."""

import io
import wave

from phone.verbs import Say

ULAW_TYPES = frozenset({"audio/basic", "audio/ulaw", "audio/x-mulaw"})

_CHARACTERS_A_SECOND = 15
_TONE_S = {"w": 0.5, "W": 1.0}
_KEY_S = 0.2
_UNKNOWN_S = 2.0
_FOREVER = 1000
"""Twilio's own limit of a loop without end."""


def times(loop: int) -> int:
    """Return how often a verb with this ``loop`` is repeated."""
    return loop or _FOREVER


def say_seconds(say: Say) -> float:
    """Return how long a voice would speak, all repetitions together."""
    return len(say.text) / _CHARACTERS_A_SECOND * times(say.loop)


def tone_seconds(digits: str) -> float:
    """Return how long key tones take."""
    return sum(_TONE_S.get(key, _KEY_S) for key in digits)


def file_seconds(content_type: str, body: bytes) -> float:
    """Return how long a file plays: exact for WAV and μ-law, two seconds for the others."""
    if content_type in ULAW_TYPES:
        return len(body) / 8000
    try:
        with wave.open(io.BytesIO(body)) as file:
            return float(file.getnframes() / file.getframerate())
    except (wave.Error, EOFError, ZeroDivisionError):
        return _ulaw_wav_seconds(body) or _UNKNOWN_S


def _ulaw_wav_seconds(body: bytes) -> float:
    """Return how long a WAV file of the kind plays that the standard library does not read.

    0 if it is none: format 7 in ``fmt``, one byte a sample.
    """
    at, rate = 12, 0
    while body[:4] == b"RIFF" and at + 8 <= len(body):
        name, size = body[at : at + 4], int.from_bytes(body[at + 4 : at + 8], "little")
        if name == b"fmt " and body[at + 8 : at + 10] == b"\x07\x00":
            rate = int.from_bytes(body[at + 16 : at + 20], "little")
        if name == b"data" and rate:
            return size / rate
        at += 8 + size + size % 2
    return 0.0
