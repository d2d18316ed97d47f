"""The conversation of a realtime voice session: its items, and what may be done to them."""

import base64
from dataclasses import dataclass
from itertools import count
from typing import Any

from tests.fakes.openai_realtime_session import only, wrong
from tests.fakes.openai_refusal import Refusal
from tests.fakes.speech import words_in

_FIELDS = {
    "message": {"role", "content"},
    "function_call": {"call_id", "name", "arguments"},
    "function_call_output": {"call_id", "output"},
}
_CONTENT = {
    "user": {"input_text", "input_audio", "input_image"},
    "assistant": {"output_text", "output_audio"},
    "system": {"input_text"},
}
_LONGEST_ID = 32
_ids = count(1)


def new_id(kind: str) -> str:
    """Return an id as the server makes them."""
    return f"{kind}_{next(_ids):06}"


@dataclass(slots=True)
class Item:
    """An item. ``text`` is what it says, ``audio`` what of it is there to be heard."""

    id: str
    type: str
    role: str = ""
    text: str = ""
    audio_ms: float | None = None
    call_id: str = ""
    name: str = ""
    status: str = "completed"

    def wire(self) -> dict[str, Any]:
        """Return it as the server sends it, without its audio."""
        found = {"id": self.id, "object": "realtime.item", "type": self.type}
        if self.type == "message":
            kind = {"user": "input_audio", "assistant": "output_audio"}.get(self.role, "input_text")
            if self.audio_ms is None and self.role != "system":
                kind = kind.replace("audio", "text")
            named = "transcript" if "audio" in kind else "text"
            content = [{"type": kind, named: self.text}] if self.text or self.audio_ms else []
            return {**found, "role": self.role, "status": self.status, "content": content}
        found["call_id"] = self.call_id
        if self.type == "function_call":
            return {**found, "name": self.name, "arguments": self.text, "status": self.status}
        return {**found, "output": self.text}


class Items:
    """The items in their order."""

    def __init__(self) -> None:
        self.all: list[Item] = []

    def find(self, item_id: object) -> Item | None:
        """Return an item by its id."""
        return next((item for item in self.all if item.id == item_id), None)

    @property
    def last_id(self) -> str | None:
        """The id of the last one."""
        return self.all[-1].id if self.all else None

    def add(self, item: Item) -> Item:
        """Add one of the server's own."""
        self.all.append(item)
        return item

    def create(self, event: dict[str, Any]) -> tuple[Item, str | None]:
        """Add one of the client's; return it and what stands before it. Raises `Refusal`."""
        given, previous = event.get("item"), event.get("previous_item_id")
        item = _checked(given)
        if self.find(item.id) is not None:
            raise wrong("item_create_duplicate_item_id", "item.id")
        known = any(it.type == "function_call" and it.call_id == item.call_id for it in self.all)
        if item.type == "function_call_output" and not known:
            message = f"Tool call ID '{item.call_id}' not found in conversation."
            raise Refusal(400, "invalid_tool_call_id", message, param="item.call_id")
        place = len(self.all)
        if previous == "root":
            place = 0
        elif previous is not None:
            before = self.find(previous)
            if before is None:
                raise wrong("item_create_invalid_previous_item_id", "previous_item_id")
            place = self.all.index(before) + 1
        self.all.insert(place, item)
        return item, self.all[place - 1].id if place else None

    def truncate(self, event: dict[str, Any]) -> dict[str, Any]:
        """Cut an item short; return what is said of it. Raises `Refusal`."""
        item, end = self.find(event.get("item_id")), event.get("audio_end_ms")
        if item is None:
            raise wrong("item_truncate_invalid_item_id", "item_id")
        if item.role != "assistant" or item.audio_ms is None or event.get("content_index") != 0:
            raise wrong("item_truncate_invalid_content", "content_index")
        if isinstance(end, bool) or not isinstance(end, int) or end < 0:
            raise wrong("invalid_type", "audio_end_ms")
        if end > item.audio_ms:
            message = f"Audio content of {item.audio_ms:.0f}ms is already shorter than {end}ms"
            raise Refusal(400, "invalid_value", message, param="audio_end_ms")
        item.audio_ms, item.text = end, ""
        return {"item_id": item.id, "content_index": 0, "audio_end_ms": end}

    def delete(self, item_id: object) -> Item:
        """Take an item out. Raises `Refusal`."""
        item = self.find(item_id)
        if item is None:
            raise wrong("item_delete_invalid_item_id", "item_id")
        self.all.remove(item)
        return item


def _checked(given: Any) -> Item:
    if not isinstance(given, dict) or given.get("type") not in _FIELDS:
        raise wrong("invalid_value", "item.type")
    kind = given["type"]
    only(given, frozenset(_FIELDS[kind] | {"id", "type", "object", "status"}), "item.")
    missing = [name for name in _FIELDS[kind] if name not in given]
    if missing:
        raise wrong("missing_required_parameter", f"item.{missing[0]}")
    item = Item(given.get("id") or new_id("item"), kind)
    if not isinstance(item.id, str) or len(item.id) > _LONGEST_ID:
        raise wrong("string_above_max_length", "item.id")
    if kind == "message":
        _take_content(item, given)
        return item
    item.call_id, item.name = given["call_id"], given.get("name", "")
    item.text = given["arguments" if kind == "function_call" else "output"]
    if not all(isinstance(value, str) for value in (item.call_id, item.name, item.text)):
        raise wrong("invalid_type", "item")
    return item


def _take_content(item: Item, given: dict[str, Any]) -> None:
    item.role = given["role"]
    if item.role not in _CONTENT or not isinstance(given["content"], list):
        raise wrong("invalid_value", "item.role")
    for at, part in enumerate(given["content"]):
        where = f"item.content[{at}]."
        only(part, frozenset({"type", "text", "audio", "transcript"}), where)
        if part.get("type") not in _CONTENT[item.role]:
            raise wrong("invalid_value", f"{where}type")
        if part["type"] == "input_audio":
            audio = base64.b64decode(part.get("audio") or "")
            if not audio:
                raise wrong("missing_required_parameter", f"{where}audio")
            item.text, item.audio_ms = " ".join(words_in(audio)), len(audio) / 8
        elif not isinstance(part.get("text"), str):
            raise wrong("missing_required_parameter", f"{where}text")
        else:
            item.text += part["text"]
