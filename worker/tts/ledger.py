"""What was posted of each utterance, and how much of it has come back as audio. Pure.

When a connection is lost in the middle of a sentence the rest of it is posted again, to a new
connection or to another provider: from the first word whose audio has not come whole.

    posted    |The table is|booked for four people.|
    audio     ~~~~~~~~~~~~~~~~~~~~~~~X                lost here, in the middle of "four"
    unsaid                            |four people.|

Where the provider times words that is exact. Where it times clauses, or nothing, it is an
estimate by the letters, which would rather have a word said twice than lost.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from shared.audio import ms_of_bytes
from worker.message import Message
from worker.tts import Timing

LETTER_MS = 65.0
"""How long a letter takes to say, about: where a provider times nothing."""

WHOLE_MS = 1.0
"""A word that lacks no more than this was said: what is timed and what is audio is rounded."""

_PAUSE_MS = 300.0
"""Of the audio after a timed clause this much may be the pause after it."""

_REACH = 40
"""How far on in the text a timed word is looked for: voices skip marks, and spell out numbers."""

_TOKEN = re.compile(r"\S+")


@dataclass(frozen=True, slots=True)
class Unsaid:
    """What is to be posted again: ``text``, and whether it is the last of the utterance.

    ``offset_ms`` is how much audio has come before: timings of the rest begin there.
    """

    text: str
    whole: bool
    offset_ms: float


@dataclass(slots=True)
class _Entry:
    text: str = ""
    whole: bool = False
    size: int = 0
    timings: list[Timing] = field(default_factory=list)
    pieces: set[str] = field(default_factory=set)
    """What the timing of a whole clause is known by."""
    said: int = 0
    """Letters said, and ms of audio come, over the connections that were lost."""
    said_ms: float = 0.0


class Ledger:
    """The open utterances of one session, in the order in which they began."""

    def __init__(self) -> None:
        self._entries: dict[UUID, _Entry] = {}

    def __contains__(self, uuid: UUID) -> bool:
        return uuid in self._entries

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[UUID]:
        return iter(list(self._entries))

    def posted(self, message: Message[str]) -> None:
        """A piece was posted; the first one opens its utterance."""
        entry = self._entries.setdefault(message.uuid, _Entry())
        entry.text += message.data
        entry.pieces.add(message.data.strip())
        entry.whole = entry.whole or message.done

    def received(self, uuid: UUID, size: int) -> None:
        """``size`` bytes of its audio have come."""
        if uuid in self._entries:
            self._entries[uuid].size += size

    def timed(self, uuid: UUID, timings: Sequence[Timing]) -> None:
        """Timings of it have come."""
        if uuid in self._entries:
            self._entries[uuid].timings += timings

    def close(self, uuid: UUID) -> bool:
        """It is done, or forgotten; tell whether it was open."""
        return self._entries.pop(uuid, None) is not None

    def received_ms(self, uuid: UUID) -> float:
        """Return how much audio of it has come, in ms."""
        entry = self._entries.get(uuid)
        return ms_of_bytes(entry.size) if entry is not None else 0.0

    def unsaid(self, uuid: UUID) -> Unsaid:
        """Return what a new connection has to say of it.

        The timings of the old one count no more; asked again, the answer is the same until more
        is posted or comes. Raises ``KeyError`` if the utterance is not open.
        """
        entry = self._entries[uuid]
        came_ms = ms_of_bytes(entry.size)
        entry.said = _next_word(entry.text, _said(entry, came_ms))
        entry.said_ms, entry.timings = came_ms, []
        return Unsaid(entry.text[entry.said :], entry.whole, came_ms)


def _said(entry: _Entry, came_ms: float) -> int:
    """Return how many letters of the text were said in ``came_ms`` of audio."""
    cursor, end_ms, by_word = entry.said, entry.said_ms, False
    for timing in entry.timings:
        if timing.end_ms <= entry.said_ms:
            continue
        word = timing.text.strip()
        by_word = by_word or (" " not in word and word not in entry.pieces)
        at = _find(entry.text, word, cursor)
        if timing.end_ms > came_ms + WHOLE_MS:
            return cursor if at is None else _cut(entry.text, at, timing, came_ms)
        if at is not None:
            cursor, end_ms = at + len(word), timing.end_ms
    if by_word:
        return cursor
    letters, pause_ms, letter_ms = cursor - entry.said, 0.0, LETTER_MS
    if letters:
        pause_ms, letter_ms = _PAUSE_MS, max(1.0, (end_ms - entry.said_ms) / letters)
    beyond = int(max(0.0, came_ms - end_ms - pause_ms) / letter_ms)
    return _word_at(entry.text, cursor + beyond, cursor) if beyond else cursor


def _cut(text: str, at: int, timing: Timing, came_ms: float) -> int:
    """Return where the word begins that is cut: the timed one, or one of the timed clause."""
    if " " in timing.text.strip():
        share = (came_ms - timing.start_ms) / max(1.0, timing.end_ms - timing.start_ms)
        return _word_at(text, at + int(max(0.0, share) * len(timing.text)), at)
    start = at
    while start and not text[start - 1].isalnum() and not text[start - 1].isspace():
        start -= 1
    return start if not start or text[start - 1].isspace() else at


def _find(text: str, word: str, cursor: int) -> int | None:
    """Return where ``word`` is, a little after ``cursor`` at most.

    Not inside of another word, except right there: some scripts have no spaces.
    """
    pattern = re.compile(rf"(?<!\w){re.escape(word)}(?!\w)")
    match = pattern.search(text, cursor, cursor + _REACH + len(word))
    if match:
        return match.start()
    near = text.find(word, cursor, cursor + len(word) + 1)
    return near if near >= 0 else None


def _next_word(text: str, position: int) -> int:
    """Return where the next word begins, when all before ``position`` was said.

    Marks that follow a word go with it. What is left of a compound ("-known") is no word: it is
    said again, whole.
    """
    for token in _TOKEN.finditer(text):
        if token.end() <= position:
            continue
        rest = text[max(position, token.start()) : token.end()]
        if any(map(str.isalnum, rest)):
            is_begun = token.start() < position
            return position if is_begun and rest[0].isalnum() else token.start()
    return len(text)


def _word_at(text: str, position: int, least: int) -> int:
    """Return where the word at ``position`` begins, not before ``least``; the last one at most."""
    starts = [token.start() for token in _TOKEN.finditer(text) if token.start() <= position]
    return max(least, starts[-1]) if starts else least
