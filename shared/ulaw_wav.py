"""Stereo μ-law WAV files (format 7, 8 kHz, 2 channels): their head, written and read.

    RIFF size WAVE | fmt  18: 7, 2 channels, 8000 Hz, 16000 B/s, 2, 8 bits, 0
                   | fact  4: frames | data size

58 bytes, then frames of two bytes: left, right. The head of a file that grows is written anew
after its audio, so that it never promises what is not there. Sources: "Multimedia Programming
Interface and Data Specifications 1.0" (RIFF), RFC 2361 (format 7). No file is opened here.
"""

import struct
from dataclasses import dataclass
from typing import BinaryIO

from shared.audio import SAMPLE_RATE

HEAD_BYTES = 58
FRAME_BYTES = 2
"""Bytes of one sample of both sides."""

MOST_FRAMES = (2**32 - 1 - HEAD_BYTES) // FRAME_BYTES
"""What a WAV file can hold: 74 hours."""

MULAW = 7
_HEAD = struct.Struct("<4sI4s 4sIHHIIHHH 4sII 4sI")


def head(frames: int) -> bytes:
    """Return the head of a file of ``frames`` samples a side."""
    size = frames * FRAME_BYTES
    return _HEAD.pack(
        *(b"RIFF", HEAD_BYTES - 8 + size, b"WAVE"),
        *(b"fmt ", 18, MULAW, 2, SAMPLE_RATE, SAMPLE_RATE * FRAME_BYTES, FRAME_BYTES, 8, 0),
        *(b"fact", 4, frames),
        *(b"data", size),
    )


def interleaved(left: bytes, right: bytes) -> bytearray:
    """Return frames of two tracks of one length."""
    both = bytearray(FRAME_BYTES * len(left))
    both[0::2], both[1::2] = left, right
    return both


@dataclass(frozen=True, slots=True)
class Sound:
    """Where the audio of an open file is: ``frames`` of ``channels`` bytes from ``start``."""

    channels: int
    rate: int
    start: int
    frames: int


def find_sound(file: BinaryIO) -> Sound | None:
    """Find the audio of a μ-law WAV file; ``None`` for a file of another kind.

    What the file does not hold is not counted, whatever its head says.
    """
    size = file.seek(0, 2)
    file.seek(0)
    riff = file.read(12)
    if riff[:4] != b"RIFF" or riff[8:] != b"WAVE":
        return None
    channels = rate = 0
    while len(chunk := file.read(8)) == 8:
        name, length = struct.unpack("<4sI", chunk)
        place = file.tell()
        if name == b"fmt ":
            form = file.read(min(length, 16))
            if len(form) < 16:
                return None
            kind, channels, rate, _, _, bits = struct.unpack("<HHIIHH", form)
            if kind != MULAW or bits != 8 or not channels:
                return None
        elif name == b"data":
            held = min(length, size - place)
            return Sound(channels, rate, place, held // channels) if channels else None
        file.seek(place + length + length % 2)
    return None
