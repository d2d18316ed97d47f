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
_ABBREVIATION = re.compile(r"\b[^\W\d_]{1,3}\.\Z")
"""A full stop after up to three letters may be one of "Mr." or "No.": not an end."""


def speakable(text: str) -> str:
    """Return ``text`` with nothing in it but what is meant to be heard.

    Control, private-use and unassigned characters and lone surrogates become spaces: engines
    take some of them for commands. Names from outside can so not change voice or pace.
    """
    return "".join(" " if _is_hidden(character) else character for character in text)


def _is_hidden(character: str) -> bool:
    return unicodedata.category(character) in ("Cc", "Co", "Cs", "Cn") and character != "\n"


class Clauses:
    """Collects text and gives out pieces of at most `LONGEST` characters, in order."""

    def __init__(self) -> None:
        self._rest = ""

    def feed(self, text: str) -> list[str]:
        """Return the pieces that are complete with ``text``."""
        self._rest += speakable(text)
        pieces = []
        while (end := self._end()) is not None:
            pieces.append(self._rest[:end].strip())
            self._rest = self._rest[end:].lstrip(" ")
        return [piece for piece in pieces if piece]

    def flush(self) -> list[str]:
        """Return what is left, as if a sentence ended here."""
        pieces = self.feed("\n")
        self._rest = ""
        return pieces

    def _end(self) -> int | None:
        for match in _SENTENCE_END.finditer(self._rest, 0, LONGEST + 2):
            if not _ABBREVIATION.search(self._rest[: match.end()]):
                return match.end()
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
