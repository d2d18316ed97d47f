"""What a caller hears on hold: a short, soft loop, made here and nobody's property.

Four chords of broken fifths and sevenths, each note a plucked string: a sine with its octave, dying
away. Notes that outlast the loop go on at its beginning, so that nobody hears where it ends. It is
made once, in a thread, when the first caller waits.
"""

import asyncio
import audioop
import hashlib
import math
import struct
from array import array

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from shared.audio import SAMPLE_RATE, pcm16_to_ulaw

MUSIC_PATH = "/twilio/hold-music.wav"

BEAT_SECONDS = 0.5
NOTE_SECONDS = 3.0
LOUDNESS = 3800
"""The peak of one note; several sound together, and a telephone is no hall."""

_CHORDS = (
    (48, 55, 59, 64, 67, 64, 59, 55),  # C major seventh
    (45, 52, 55, 60, 64, 60, 55, 52),  # A minor seventh
    (41, 53, 57, 60, 64, 60, 57, 53),  # F major seventh
    (43, 50, 57, 59, 64, 59, 57, 50),  # G sixth, with a ninth
)
"""Notes by their MIDI numbers, one a beat."""

_WEEK = 7 * 24 * 3600
_ULAW_FORMAT = 7


def music() -> bytes:
    """Return the loop, μ-law 8 kHz mono. Takes a fifth of a second."""
    beat, length = int(BEAT_SECONDS * SAMPLE_RATE), int(NOTE_SECONDS * SAMPLE_RATE)
    melody = [note for chord in _CHORDS for note in chord]
    strings = {note: _plucked(note, length) for note in set(melody)}
    size = beat * len(melody)
    mixed = bytes(2 * (size + length))
    for place, note in enumerate(melody):
        start = 2 * beat * place
        end = start + 2 * length
        mixed = mixed[:start] + audioop.add(mixed[start:end], strings[note], 2) + mixed[end:]
    loop, tail = mixed[: 2 * size], mixed[2 * size :]
    return pcm16_to_ulaw(audioop.add(loop[: len(tail)], tail, 2) + loop[len(tail) :])


def _plucked(note: int, length: int) -> bytes:
    """Return one note as PCM16; low ones last longer."""
    hertz = 440.0 * 2 ** ((note - 69) / 12)
    samples = array("d", bytes(8 * length))
    for multiple, share, lasts in ((1, 1.0, 0.8), (2, 0.3, 0.4)):
        step = 2 * math.pi * hertz * multiple / SAMPLE_RATE
        fade = math.exp(-1 / (lasts * SAMPLE_RATE))
        # y(n) = 2 r cos(w) y(n-1) - r² y(n-2) is a sine that dies away, without a sine a sample.
        before, now = 0.0, share * math.sin(step)
        ahead, back = 2 * fade * math.cos(step), fade * fade
        for place in range(length):
            samples[place] += before
            before, now = now, ahead * now - back * before
    rise = int(0.01 * SAMPLE_RATE)
    for place in range(rise):
        samples[place] *= place / rise
        samples[-1 - place] *= place / rise
    return struct.pack(f"<{length}h", *(int(LOUDNESS * each) for each in samples))


def wav(audio: bytes) -> bytes:
    """Return μ-law ``audio`` as a WAV file, which the standard library writes as PCM only."""
    form = struct.pack("<HHIIHHH", _ULAW_FORMAT, 1, SAMPLE_RATE, SAMPLE_RATE, 1, 8, 0)
    fact = struct.pack("<I", len(audio))
    chunks = [(b"fmt ", form), (b"fact", fact), (b"data", audio + b"\xff" * (len(audio) % 2))]
    body = b"WAVE" + b"".join(name + struct.pack("<I", len(it)) + it for name, it in chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


class HoldMusic:
    """Serves the loop. It is no secret: whoever asks may hear it."""

    def __init__(self) -> None:
        self._making = asyncio.Lock()
        self._file = b""
        self._tag = ""

    def routes(self) -> list[Route]:
        """Return its route."""
        return [Route(MUSIC_PATH, self._serve, methods=["GET", "HEAD"])]

    async def _serve(self, request: Request) -> Response:
        async with self._making:
            if not self._file:
                self._file = await asyncio.to_thread(lambda: wav(music()))
                self._tag = f'"{hashlib.sha256(self._file).hexdigest()[:16]}"'
        headers = {"Cache-Control": f"public, max-age={_WEEK}", "ETag": self._tag}
        if self._tag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        return Response(self._file, media_type="audio/wav", headers=headers)
