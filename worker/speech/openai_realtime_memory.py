"""What was said in a call, as far as it was heard, to be handed over from session to session. Pure.

A session of OpenAI's has an end, and a lost one cannot be had again: the next begins empty and is
told all of it. Lines of the agent's that were cut are told as far as the caller heard them, by
the part of their audio, since the service times no words. Lines of the caller's whose words never
came are told as they sounded, the last ones.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from shared.audio import ms_of_bytes
from worker.llm import Call, Item, Returned, Said
from worker.speech import openai_realtime_events as wire
from worker.tts.ledger import LETTER_MS

MOST_LINES = 400
"""Lines kept of one call; the oldest go."""

MOST_SOUND_BYTES = 60 * 8000
"""1 min of the caller's lines without words."""


@dataclass(slots=True)
class Heard:
    """A turn of the caller's: its words, ``None`` before they came; else how it sounded."""

    text: str | None = None
    sound: bytes = b""


@dataclass(slots=True)
class Line:
    """An utterance of the agent's, in the session that said it.

    ``heard`` is how many bytes of its audio the caller heard, ``None`` if it was not cut.
    """

    item_id: str
    connection: int
    response_id: str
    text: str = ""
    received: int = 0
    heard: int | None = None
    has_audio: bool = False
    has_words: bool = False
    is_whole: bool = False
    """Nothing more of it will come."""

    def heard_text(self) -> str:
        """Return the words that were heard, as well as is known."""
        text, heard = self.text.strip(), self.received if self.heard is None else self.heard
        if not self.has_audio:  # how long all of it would be, nobody knows: words run ahead
            return _beginning(text, ms_of_bytes(heard) / LETTER_MS)
        if heard >= self.received:
            return text
        return _beginning(text, len(text) * heard / self.received)


def _beginning(text: str, letters: float) -> str:
    """Return the words of a text that are whole within so many letters, the last one almost."""
    words, length = [], 0
    for word in text.split():
        length += len(word) + 1
        if length > letters + 2:
            break
        words.append(word)
    return " ".join(words)


@dataclass(slots=True)
class Step:
    """Tools that the model wanted called together, and what they came to."""

    calls: tuple[Call, ...]
    answers: dict[str, str] = field(default_factory=dict)

    @property
    def is_answered(self) -> bool:
        """All of them are."""
        return len(self.answers) == len(self.calls)


Entry = Heard | Line | Step | Said


class Memory:
    """One call's conversation."""

    def __init__(self, items: Sequence[Item] = ()) -> None:
        self._entries: dict[str, Entry] = {}
        self._steps: dict[str, Step] = {}
        """By the ids of their calls."""
        self._placed: dict[str, str] = {}
        """The id that each line has in the present session, if it was handed over to it."""
        self._next = 0
        for item in items:
            self._know(item)

    def _know(self, item: Item) -> None:
        if isinstance(item, Returned):
            self.answer(item.call_id, item.text)
            return
        if item.text.strip():
            self.add(Said(item.role, item.text))
        if item.calls:
            self.step(item.calls)

    @property
    def is_unanswered(self) -> bool:
        """The last line is one that a model answers."""
        last = next(reversed(self._entries.values()), None)
        match last:
            case Heard() | Step():
                return True
            case Said(role="user"):
                return True
        return False

    @property
    def is_waiting(self) -> bool:
        """A tool has not answered yet."""
        return any(not step.is_answered for step in self._steps.values())

    def add(self, entry: Entry, key: str = "") -> None:
        """Add a line at the end."""
        self._next += 1
        self._entries[key or f"#{self._next}"] = entry
        while len(self._entries) > MOST_LINES:
            oldest = next(iter(self._entries))
            gone = self._entries.pop(oldest)
            self._placed.pop(oldest, None)
            for call in gone.calls if isinstance(gone, Step) else ():
                self._steps.pop(call.id, None)

    def heard(self, key: str, sound: bytes) -> None:
        """A turn of the caller's is over."""
        self.add(Heard(None, sound), key)
        room = MOST_SOUND_BYTES
        for entry in reversed(self._entries.values()):
            if isinstance(entry, Heard) and entry.sound:
                room -= len(entry.sound)
                if room < 0:
                    entry.sound = b""

    def said(self, key: str, text: str) -> bool:
        """The words of a turn came; tell whether they are news."""
        entry = self._entries.get(key)
        if entry is None:
            self.add(Heard(text), key)
            return True
        if not isinstance(entry, Heard) or entry.text is not None:
            return False
        entry.text, entry.sound = text, b""
        return True

    def line(self, key: str) -> Line | None:
        """Return an utterance of the agent's."""
        entry = self._entries.get(key)
        return entry if isinstance(entry, Line) else None

    def step(self, calls: Sequence[Call]) -> tuple[Call, ...]:
        """The model wants tools called; return those that nobody was told of before."""
        new = {call.id: call for call in calls if call.id not in self._steps}
        if new:
            step = Step(tuple(new.values()))
            self._steps.update(dict.fromkeys(new, step))
            self.add(step)
        return tuple(new.values())

    def answer(self, call_id: str, text: str) -> Step | None:
        """A tool has come to something; return its step, ``None`` if nobody waits for it."""
        step = self._steps.get(call_id)
        if step is None or call_id in step.answers:
            return None
        step.answers[call_id] = text
        return step

    # Handing over ----------------------------------------------------------------------------

    def hand_over(self) -> list[dict[str, Any]]:
        """Return all of it as items of a new session."""
        self._placed.clear()
        handed: list[dict[str, Any]] = []
        for key, entry in self._entries.items():
            for item in _items(entry):
                item["id"] = f"cf_{self._next}_{len(handed)}"[: wire.LONGEST_ID]
                handed.append(item)
                self._placed[key] = item["id"]
        return handed

    def replaced(self, key: str) -> tuple[str, dict[str, Any] | None, str] | None:
        """A line that was handed over was cut: return its item's id, what stands for it, and what
        stands before it. ``None`` if it was not handed over."""
        placed, line = self._placed.pop(key, None), self.line(key)
        if placed is None or line is None:
            return None
        before = "root"
        for other in self._entries:
            if other == key:
                break
            before = self._placed.get(other, before)
        item = next(_items(line), None)
        if item is not None:
            self._next += 1
            item["id"] = self._placed[key] = f"cf_{self._next}"
        return placed, item, before


def _items(entry: Entry) -> Iterator[dict[str, Any]]:
    match entry:
        case Heard(None, sound) if sound:
            yield wire.sound(sound)
        case Heard(text) if text and text.strip():
            yield wire.message("user", text)
        case Line() if text := entry.heard_text():
            yield wire.message("assistant", text)
        case Said():
            yield wire.message(entry.role, entry.text)
        case Step():
            for call in entry.calls:
                yield wire.function_call(call.id, call.name, call.arguments)
            for call_id, text in entry.answers.items():
                yield wire.function_output(call_id, text)


def bytes_heard(line: Line, heard_ms: float) -> int:
    """Return how much of what came of a line was heard, whatever a call says."""
    return int(min(max(heard_ms, 0.0), ms_of_bytes(line.received)) * 8)
