"""Speech of the fakes: μ-law that says which words it is, so that a test can read it back.

A word is its letters, each a loud tone of `MS_PER_LETTER`, and a pause after it. The tone of a
letter is one unit of eight samples, again and again:

    MARK  flags  n0 n1 n2 n3 n4 n5      the letter's code point in six nibbles, highest first

The flags say whether the letter is its word's first, whether it is an even or an odd one (to tell
"ll" from a long "l"), and whether the unit is the very first or the very last of its word. So any
stretch of it can be read, wherever it was cut: no vocabulary, no clock, no alignment.
``words_in`` is the reader.
"""

import re
from dataclasses import dataclass

from shared.audio import SILENCE, bytes_of_ms, ms_of_bytes

MS_PER_LETTER = 60.0
PAUSE_MS = 40.0
"""Silence after each word."""

_MARK = 0x1F
_UNIT = 8
_FIRST, _ODD, _END, _BEGIN = 1, 2, 4, 8
_READER = re.compile(rb"\x1f([\x90-\x9f])([\x00-\x0f\x80-\x8f]{6})")


@dataclass(frozen=True, slots=True)
class SpokenWord:
    """A word in audio, in ms from its beginning. ``whole``: nothing of it was cut away."""

    text: str
    start_ms: float
    end_ms: float
    whole: bool = True


def speech(text: str, ms_per_letter: float = MS_PER_LETTER) -> bytes:
    """Return ``text`` spoken, a pause after each word; nothing for a text without words."""
    pause = SILENCE * bytes_of_ms(PAUSE_MS)
    return b"".join(_word(word, ms_per_letter) + pause for word in text.split())


def timings(text: str, ms_per_letter: float = MS_PER_LETTER) -> list[SpokenWord]:
    """Return where each word of `speech` is."""
    found, at = [], 0.0
    for word in text.split():
        end = at + letter_ms(ms_per_letter) * len(word)
        found.append(SpokenWord(word, at, end))
        at = end + PAUSE_MS
    return found


def letter_ms(ms_per_letter: float = MS_PER_LETTER) -> float:
    """Return how long a letter really is: whole units."""
    return ms_of_bytes(_letter_bytes(ms_per_letter))


def heard_in(audio: bytes) -> list[SpokenWord]:
    """Return every word of which at least a whole unit is there, cut ones marked so."""
    found: list[SpokenWord] = []
    letters, start, end, last = "", 0, 0, (-1, b"")
    begun = ended = False

    def close() -> None:
        nonlocal letters
        if letters:
            whole = begun and ended
            found.append(SpokenWord(letters, ms_of_bytes(start), ms_of_bytes(end), whole))
        letters = ""

    for unit in _READER.finditer(audio):
        flags, code = unit[1][0] & 0x0F, unit[2]
        key = (flags & (_FIRST | _ODD), code)
        is_next_word = ended or flags & _BEGIN or (flags & _FIRST and not last[0] & _FIRST)
        if is_next_word or not letters:
            close()
            start, begun, last = unit.start(), bool(flags & _BEGIN), (-1, b"")
        if key != last:
            letters += _letter(code)
        last, end, ended = key, unit.end(), bool(flags & _END)
    close()
    return found


def words_in(audio: bytes) -> list[str]:
    """Return the words that are there from their first sample to their last, in order."""
    return [word.text for word in heard_in(audio) if word.whole]


def _letter_bytes(ms_per_letter: float) -> int:
    return max(_UNIT, bytes_of_ms(ms_per_letter) // _UNIT * _UNIT)


def _word(word: str, ms_per_letter: float) -> bytes:
    units = _letter_bytes(ms_per_letter) // _UNIT
    audio = bytearray()
    for index, letter in enumerate(word):
        flags = (_FIRST if index == 0 else 0) | (_ODD if index % 2 else 0)
        audio += _unit(letter, flags) * units
    audio[1] |= _BEGIN
    audio[1 - _UNIT] |= _END
    return bytes(audio)


def _unit(letter: str, flags: int) -> bytes:
    code = ord(letter)
    nibbles = [code >> shift & 0x0F for shift in range(20, -4, -4)]
    # Opposite signs in turn: a tone as loud as can be, not a constant.
    samples = [nibble | (0x80 if at % 2 else 0) for at, nibble in enumerate(nibbles)]
    return bytes([_MARK, 0x90 | flags, *samples])


def _letter(code: bytes) -> str:
    point = 0
    for sample in code:
        point = point << 4 | sample & 0x0F
    return chr(point) if point <= 0x10FFFF else "�"
