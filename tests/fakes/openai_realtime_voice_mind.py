"""What the model of a realtime voice session says next, by what is in its conversation."""

import re

from tests.fakes.openai_chat import Reply
from tests.fakes.openai_realtime_voice_items import Item
from tests.fakes.voice_model import Script, words_of

_EXACTLY = re.compile(r"word for word.*?:\s*\n+(.+)\Z", re.DOTALL | re.IGNORECASE)


class Mind:
    """Thinks by a `Script`. It does what it is told: to say a text word for word, or nothing but
    what is new; asked again when all is answered, it says what of its last answer is missing."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self._known: set[str] = set()
        """Items that were heard, or whose tools' answers were read."""

    def reply(self, items: list[Item], instructions: str, tool_choice: str) -> Reply:
        """Return the answer."""
        if exactly := _EXACTLY.search(instructions):
            return exactly[1].strip()
        line, said = self._line(items)
        reply = self._script.reply(line)
        rest = words_of(reply).split()
        while rest and said and rest[0] == said[0]:
            rest, said = rest[1:], said[1:]
        if tool_choice == "none" or len(rest) < len(words_of(reply).split()):
            return " ".join(rest)
        return reply

    def _line(self, items: list[Item]) -> tuple[str, list[str]]:
        """Return what is to be answered, and what was said to it already."""
        line, said = "", list[str]()
        news: list[Item] = []
        names = {it.call_id: it.name for it in items if it.type == "function_call"}
        for item in items:
            if item.role == "assistant":
                said += item.text.split()
                news.clear()  # it answered them, here or where they were handed over from
            elif item.role == "user" or item.type == "function_call_output":
                line, said = item.text, []
                news.append(item)
        for item in news:
            if item.id in self._known:
                continue
            self._known.add(item.id)
            if item.role == "user":
                self._script.heard.append(item.text)
            else:
                self._script.returned.append((names.get(item.call_id, ""), item.text))
        return line, said
