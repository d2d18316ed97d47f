"""Where in a text the words are that a voice says it speaks. Pure.

    text     Hello,  table 42   for  two
    voice    hello   table forty two for two
    found    ├────┤  ├───┤ └ of the number: no place of their own

Voices drop marks, spell out numbers, and time parts of compounds. What has no place in the text
belongs to what it stands for, and is told by an empty place before it.
"""

import re

from worker.turns.policy import bare

_REACH = 40
"""How far on a word is looked for when it is not the next one."""

_TOKEN = re.compile(r"\S+")
_LETTER = re.compile(r"\w")
_MARKS = ".,;:!?…\"'“”‘’()"
"""What voices leave out around a word."""


class Alignment:
    """Follows a voice through a text. Places are ``start, end`` in letters, and never go back."""

    def __init__(self) -> None:
        self._cursor = 0

    def place(self, text: str, spoken: str) -> tuple[int, int]:
        """Return the place of what is spoken next: a word, or a clause as it was posted.

        It is empty when the text has no such word here.
        """
        spoken = spoken.strip()
        found = self._next(text, spoken) or self._further_on(text, spoken)
        if found is None:
            return self._cursor, self._cursor
        self._cursor = found[1]
        return found

    def _next(self, text: str, spoken: str) -> tuple[int, int] | None:
        """It is what follows, in whole or as a part of a compound."""
        letter = _LETTER.search(text, self._cursor)
        if letter is None or not spoken:
            return None
        begin = letter.start()
        while begin > self._cursor and not text[begin - 1].isspace():
            begin -= 1
        for start in (begin, letter.start()):
            for word in (spoken, spoken.strip(_MARKS)):
                end = start + len(word)
                if word and text[start:end].casefold() == word.casefold() and _is_whole(text, end):
                    return start, end
        token = _TOKEN.match(text, begin)
        assert token is not None
        return token.span() if bare(spoken) and bare(spoken) == bare(token.group()) else None

    def _further_on(self, text: str, spoken: str) -> tuple[int, int] | None:
        """Words were left out. But what follows a number may well be how the number is said."""
        word = bare(spoken)
        is_spelt = False
        for token in _TOKEN.finditer(text, self._cursor, self._cursor + _REACH + len(spoken)):
            letters = bare(token.group())
            if not letters:
                continue
            if letters == word:
                return token.span()
            is_plain = token.group().strip(_MARKS).isalpha()
            if is_plain and is_spelt:
                return None
            is_spelt = is_spelt or not is_plain
        return None


def _is_whole(text: str, end: int) -> bool:
    """Tell whether a word may end here. Scripts without spaces let it end anywhere."""
    if end >= len(text) or end == 0:
        return True
    before, after = text[end - 1], text[end]
    return not (before.isalnum() and after.isalnum() and before.isascii() and after.isascii())
