"""Cuts text into pieces that a voice can speak one after the other.

Knows nothing of engines. A piece ends where a sentence does, so that its melody is right; only a
long sentence is cut at a comma, or at worst between words. Text may come in parts, as a language
model writes it: what is not yet a whole sentence waits.
"""

import re
import unicodedata

LONGEST = 100
"""Characters a piece may have: about 6 s of speech, 5 ms of an engine's work."""

_SENTENCE_END = re.compile(r"[.!?…;:]+[\"'”’)\]]*(?=\s)|\n")
_COMMA = re.compile(r"[,–—](?=\s)")
_ABBREVIATION = re.compile(
    r"\b(?:[^\W\d_]|mrs?|ms|mme|dr|prof|hr|fr|sra?|jr|st|nos?|nr|vs|etc|ca|bzw|inc|ltd|co|corp|tel|str"
    r"|ave|rd|apt|dept|ext|approx|min|max|incl)\.\Z",
    re.IGNORECASE,
)
"""A full stop after a letter, or after one of these, is no end: "Mr.", "No.", "p.m."."""


def speakable(text: str) -> str:
    """Return ``text`` with nothing in it but what is meant to be heard.

    Control, private-use and unassigned characters and lone surrogates become spaces: engines
    take some of them for commands. Names from outside can so not change voice or pace.
    """
    return "".join(" " if _is_hidden(character) else character for character in text)


def _is_hidden(character: str) -> bool:
    return unicodedata.category(character) in ("Cc", "Co", "Cs", "Cn") and character != "\n"


class Clauses:
    """Collects text and gives out pieces of at most `LONGEST` characters, in order.

    ``verbatim`` pieces keep their spaces, so that put together they are the text. The very first
    piece may end at a comma already after ``eager`` characters: the sooner it is spoken the better.
    """

    def __init__(self, *, verbatim: bool = False, eager: int | None = None) -> None:
        self._rest = ""
        self._verbatim, self._eager = verbatim, eager

    def feed(self, text: str) -> list[str]:
        """Return the pieces that are complete with ``text``."""
        self._rest += speakable(text)
        pieces = []
        while (end := self._end()) is not None:
            if self._verbatim:
                end += len(self._rest[end:]) - len(self._rest[end:].lstrip())
            piece, self._rest = self._rest[:end], self._rest[end:]
            if not self._verbatim:
                piece, self._rest = piece.strip(), self._rest.lstrip(" ")
            if piece.strip():
                self._eager = None
            pieces.append(piece)
        return [piece for piece in pieces if piece]

    def flush(self) -> list[str]:
        """Return what is left, as if a sentence ended here."""
        pieces = [] if self._verbatim else self.feed("\n")
        rest, self._rest = self._rest, ""
        return [rest] if self._verbatim and rest else pieces

    def _end(self) -> int | None:
        for match in _SENTENCE_END.finditer(self._rest, 0, LONGEST + 2):
            if not _ABBREVIATION.search(self._rest[: match.end()]):
                return match.end()
        if self._eager is not None:
            comma = _COMMA.search(self._rest, self._eager, LONGEST)
            if comma:
                return comma.end()
        if len(self._rest) <= LONGEST:
            return None
        return self._cut()

    def _cut(self) -> int:
        """Where a sentence that is too long is cut: after a comma, a word, or anywhere."""
        commas = [match.end() for match in _COMMA.finditer(self._rest, LONGEST // 3, LONGEST)]
        if commas:
            return commas[-1]
        space = self._rest.rfind(" ", 1, LONGEST)
        return space if space > 0 else LONGEST


def clauses(text: str) -> list[str]:
    """Return the pieces of a whole ``text``."""
    collector = Clauses()
    return collector.feed(text) + collector.flush()
