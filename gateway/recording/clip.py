"""A recording as bytes to be sent: as it is, or as 16-bit PCM; whole, or any part of it.

A file that still grows is cut where it ends now. Nothing is made in advance: the head is written
for what is there, samples are decoded as they are read. `part` blocks: for a thread.
"""

import audioop
import struct
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from shared import ulaw_wav
from shared.audio import SAMPLE_RATE

_PCM_HEAD = struct.Struct("<4sI4s 4sIHHIIHH 4sI")
_PCM_FRAME = 4
_PCM = 1


class Format(StrEnum):
    """What a sample is."""

    ULAW = "ulaw"
    PCM = "pcm"


@dataclass(frozen=True, slots=True)
class Clip:
    """``frames`` of our own recording in ``path``, as a WAV file of ``form``."""

    path: Path
    frames: int
    form: Format = Format.ULAW

    @property
    def size(self) -> int:
        """Bytes of the whole."""
        return len(self._head) + self.frames * self._frame

    @property
    def _frame(self) -> int:
        return ulaw_wav.FRAME_BYTES if self.form is Format.ULAW else _PCM_FRAME

    @property
    def _head(self) -> bytes:
        return ulaw_wav.head(self.frames) if self.form is Format.ULAW else _pcm_head(self.frames)

    def part(self, start: int, end: int) -> bytes:
        """Return the bytes from ``start`` to ``end``. Raises ``OSError``."""
        head, frame = self._head, self._frame
        data = head[start:end]
        begin, until = max(0, start - len(head)), max(0, end - len(head))
        if until > begin:
            first, last = begin // frame, -(-until // frame)
            sound = self._frames(first, last)
            data += sound[begin - first * frame : until - first * frame]
        return data

    def _frames(self, first: int, last: int) -> bytes:
        width = ulaw_wav.FRAME_BYTES
        with self.path.open("rb") as file:
            file.seek(ulaw_wav.HEAD_BYTES + first * width)
            sound = file.read((last - first) * width)
        if len(sound) < (last - first) * width:
            raise OSError(f"{self.path.name} is shorter than it was")
        return sound if self.form is Format.ULAW else audioop.ulaw2lin(sound, 2)


@dataclass(frozen=True, slots=True)
class PlainClip:
    """A file as it is: the carrier's."""

    path: Path
    size: int

    def part(self, start: int, end: int) -> bytes:
        """Return the bytes from ``start`` to ``end``. Raises ``OSError``."""
        with self.path.open("rb") as file:
            file.seek(start)
            return file.read(end - start)


def _pcm_head(frames: int) -> bytes:
    size = frames * _PCM_FRAME
    return _PCM_HEAD.pack(
        *(b"RIFF", 36 + size, b"WAVE"),
        *(b"fmt ", 16, _PCM, 2, SAMPLE_RATE, SAMPLE_RATE * _PCM_FRAME, _PCM_FRAME, 16),
        *(b"data", size),
    )


MOST_PCM_FRAMES = (2**32 - 1 - 44) // _PCM_FRAME


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes from ``start`` up to and without ``end``."""

    start: int
    end: int


class UnsatisfiableError(ValueError):
    """What is asked for lies behind the end."""


def span(header: str, size: int) -> Span | None:
    """Return what a Range header asks for; ``None`` if the whole is to be sent (RFC 9110 §14.2).

    Several ranges at once are answered with the whole, as is allowed. Raises `UnsatisfiableError`.
    """
    unit, _, ranges = header.partition("=")
    first, dash, last = ranges.strip().partition("-")
    if unit.strip().lower() != "bytes" or not dash or "," in ranges:
        return None
    first, last = first.strip(), last.strip()
    if not (_is_place(first) and _is_place(last)):
        return None
    if not first:
        if not last:
            return None
        if not int(last) or not size:
            raise UnsatisfiableError
        return Span(max(0, size - int(last)), size)
    start, end = int(first), min(int(last) + 1 if last else size, size)
    if last and int(last) < start:
        return None
    if start >= size:
        raise UnsatisfiableError
    return Span(start, end)


def _is_place(text: str) -> bool:
    """Whether it is a number of bytes, or nothing."""
    return not text or (text.isascii() and text.isdecimal() and len(text) < 20)
