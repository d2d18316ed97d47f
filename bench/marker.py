"""What a talker's audio says to the providers' stand-in: whose it is, and where its speech begins.

A frame that begins with a mark says which call and turn it belongs to and what happens there; all
others are a tone or silence. Batches keep frames whole, so a mark is never cut.
"""

from collections.abc import Iterator
from enum import IntEnum
from struct import Struct

from shared.audio import FRAME_BYTES, SILENT_FRAME

_MAGIC = b"\x01\x81\x02\x82\x03\x83\x04\x84"
_FIELDS = Struct("!BHH")
_SIZE = len(_MAGIC) + _FIELDS.size
TONE = bytes((0x10, 0x90)) * (FRAME_BYTES // 2)
SILENCE = SILENT_FRAME


class Sign(IntEnum):
    """What happens in a caller's speech."""

    BEGIN = 1
    WORDS = 2
    """So much was said that some words are known."""
    END = 3


def marked(sign: Sign, call: int, turn: int) -> bytes:
    """Return the frame of 20 ms that says so."""
    return _MAGIC + _FIELDS.pack(sign, call, turn) + TONE[_SIZE:]


def marks_in(audio: bytes) -> Iterator[tuple[Sign, int, int]]:
    """Yield sign, call and turn of each marked frame in ``audio``."""
    at = audio.find(_MAGIC)
    while at >= 0:
        sign, call, turn = _FIELDS.unpack_from(audio, at + len(_MAGIC))
        yield Sign(sign), call, turn
        at = audio.find(_MAGIC, at + _SIZE)
