"""What was said in a call, as the model is told of it: with the agent's lines as they were heard.

    caller    I would like a table
    agent     For how man-            cut when the caller interrupted: kept as far as heard
    agent     [calls book_table]      each call is followed by its answer, always
    tool      booked

Lines are immutable; one that is still being spoken is replaced once it is known how much of it was
heard. Tools answer when they are done, which may be later than what comes next: their answers
stand behind their calls all the same, as models require.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from worker.llm import Call, Item, Returned, Said, Sound

CUT = "Cut off: the caller interrupted before it was done."
AT_WORK = "{call.name} was called with {call.arguments} and is at work; its result will follow."
MOST_LINES = 400
"""Lines kept of one call; the oldest go."""
MOST_SOUNDS = 4
"""Turns of the caller whose sound is kept, up to 240 kB each; of older ones the text stays."""


class History:
    """One call's conversation."""

    def __init__(self) -> None:
        self._lines: dict[int, Said] = {}
        self._answers: dict[str, str | None] = {}
        """What the calls of the lines came to, ``None`` as long as nobody knows."""
        self._next = 0

    def __len__(self) -> int:
        return len(self._lines)

    def __contains__(self, key: object) -> bool:
        """Whether the line ``key`` is still there."""
        return key in self._lines

    @property
    def items(self) -> tuple[Item, ...]:
        """All of it, in order; lines of which nothing was heard are left out."""
        return tuple(self._each())

    @property
    def so_far(self) -> tuple[Item, ...]:
        """The same for a model that takes over: of tools at work it is told, and owes no answer."""
        items: list[Item] = []
        for line in self._in_order():
            answers = {call.id: self._answers[call.id] for call in line.calls}
            done = tuple(call for call in line.calls if answers[call.id] is not None)
            if line.text or done:
                items.append(replace(line, calls=done))
            items += [Returned(call.id, answers[call.id] or "") for call in done]
            for call in line.calls:
                if call not in done:
                    items.append(Said("system", AT_WORK.format(call=call)))
        return tuple(items)

    def _each(self) -> Iterator[Item]:
        for line in self._in_order():
            yield line
            for call in line.calls:
                answer = self._answers[call.id]
                yield Returned(call.id, CUT if answer is None else answer)

    def _in_order(self) -> list[Said]:
        """Return the lines, the last of them one that a model can answer.

        What was said beside tools (a filler, a stage's first words) is told with their calls: not
        every model answers when the last words are its own.
        """
        lines = [line for line in self._lines.values() if line.text or line.calls]
        end = len(lines)
        while end and lines[end - 1].role == "assistant" and not lines[end - 1].calls:
            end -= 1
        if end and lines[end - 1].calls:
            said = " ".join(line.text for line in lines[end - 1 :] if line.text)
            lines[end - 1 :] = [replace(lines[end - 1], text=said)]
        return lines

    def caller(self, text: str, sound: Sound | None = None) -> int:
        """The caller said something; returns the line's key."""
        key = self._add(Said("user", text, sound=sound))
        if sound is not None:
            self._forget_sounds()
        return key

    def _forget_sounds(self) -> None:
        keys = [key for key, line in self._lines.items() if line.sound is not None]
        for key in keys[:-MOST_SOUNDS]:
            self._lines[key] = replace(self._lines[key], sound=None)

    def agent(self, text: str) -> int:
        """The agent says something; returns the line's key."""
        return self._add(Said("assistant", text))

    def system(self, text: str) -> int:
        """Something that the model is to know; returns the line's key."""
        return self._add(Said("system", text))

    def _add(self, line: Said) -> int:
        key, self._next = self._next, self._next + 1
        self._lines[key] = line
        self.trim(MOST_LINES)
        return key

    def heard(self, key: int, text: str) -> None:
        """Line ``key`` is ``text``: what of it was heard, or what the model is to read of it."""
        line = self._lines.get(key)
        if line is not None:
            self._lines[key] = replace(line, text=text)

    def unique(self, calls: Sequence[Call]) -> tuple[Call, ...]:
        """Return the calls with ids that no call before has: some servers count from 0 each time.

        Raises nothing; an id that nobody uses stays as it is.
        """
        taken = set(self._answers)
        named = []
        for call in calls:
            name, number = call.id or "call", 1
            while name in taken:
                number += 1
                name = f"{call.id or 'call'}-{number}"
            taken.add(name)
            named.append(call if name == call.id else replace(call, id=name))
        return tuple(named)

    def called(self, key: int, calls: tuple[Call, ...]) -> None:
        """The agent's line ``key`` ends with calls of tools, whose ids are `unique`."""
        line = self._lines.get(key)
        if line is not None:
            self._lines[key] = replace(line, calls=calls)
            self._answers.update(dict.fromkeys(call.id for call in calls))

    def returned(self, call_id: str, text: str) -> None:
        """A tool has returned, once more if it had been cut; one that is forgotten stays so."""
        if call_id in self._answers:
            self._answers[call_id] = text

    def trim(self, most: int) -> None:
        """Keep the last ``most`` lines; calls go with their answers."""
        while len(self._lines) > most:
            line = self._lines.pop(next(iter(self._lines)))
            for call in line.calls:
                self._answers.pop(call.id, None)

    def messages(self) -> list[dict[str, Any]]:
        """Return its words as ``{"role", "content"}``, for whoever asks a model themselves.

        Calls of tools and their answers are left out.
        """
        return [
            {"role": line.role, "content": line.text} for line in self._lines.values() if line.text
        ]
