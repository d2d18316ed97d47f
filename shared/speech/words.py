"""Where in a clause's audio its words are, from what an engine tells of its own. Pure.

An engine says some words in one breath ("of the") and others in several ("$12.50"). Its marks,
a character of the text and a sample of the audio each, are laid over the words that a reader
counts: those between spaces. Words without a mark share the time of the one before them by their
letters; the pause at the end of a breath belongs to none.

    text     The  end of the street, it costs $12.50
    marks    ^    ^   ^      ^       ^  ^     ^^ ^ ^
    audio    ~~~~~~~~~~~~~~~~~~~~~~~  ~~~~~~~~~~~~~~~~
    words    ├──┤├──┤├─┤├──┤├──────┤  ├┤├────┤├──────┤
"""

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

_WORD = re.compile(r"\S+")


@dataclass(frozen=True, slots=True)
class Mark:
    """``sample`` of the audio is where the engine begins to say ``character`` of the text."""

    character: int
    sample: int


@dataclass(frozen=True, slots=True)
class Word:
    """A word, with the marks around it. Times are ms from the beginning of the audio."""

    text: str
    start_ms: float
    end_ms: float


def words_of(text: str, marks: Sequence[Mark], pcm: bytes, rate: int) -> tuple[Word, ...]:
    """Return the words of ``text`` in their order, as they are spoken in ``pcm``.

    ``pcm`` is PCM16 mono of ``rate`` Hz. Words never overlap, and none passes the end of the audio;
    what has no letters and no mark of its own (a dash) takes no time.
    """
    found = list(_WORD.finditer(text))
    samples = len(pcm) // 2
    words: list[Word] = []
    for (first, begin), (after, end) in pairwise(_breaths(found, marks, samples)):
        sounding = (len(pcm[2 * begin : 2 * end].rstrip(b"\0")) + 1) // 2
        texts = [match.group() for match in found[first:after]]
        letters = [sum(map(str.isalnum, word)) for word in texts]
        at, said, total = float(begin), 0, sum(letters)
        for word, count in zip(texts, letters, strict=True):
            said += count
            until = begin + (sounding * said / total if total else sounding)
            words.append(Word(word, at * 1000 / rate, until * 1000 / rate))
            at = until
    return tuple(words)


def _breaths(
    found: list[re.Match[str]], marks: Sequence[Mark], samples: int
) -> list[tuple[int, int]]:
    """Return the words that have a mark and their samples, ascending, then the end of all."""
    starts = [match.start() for match in found]
    breaths: list[tuple[int, int]] = []
    for mark in marks:
        index = max(0, bisect_right(starts, mark.character) - 1)
        if not breaths or index > breaths[-1][0]:
            least = breaths[-1][1] if breaths else 0
            breaths.append((index if breaths else 0, max(least, min(mark.sample, samples))))
    return [*(breaths or [(0, 0)]), (len(found), samples)]
