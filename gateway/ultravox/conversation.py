"""What was said in a call at Ultravox, read from the pages of its messages. No I/O.

    MESSAGE_ROLE_USER, _AGENT           ──> lines
    MESSAGE_ROLE_TOOL_CALL + _RESULT    ──> tools, by their invocation

Times count from the call's beginning there. Source: Ultravox' OpenAPI document,
``calls_messages_list`` and ``ultravox.v1.Message``.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec

from gateway.calls.transcript import MOST_LETTERS, MOST_LINES, Line
from shared.messages import ToolRan

MOST_TOOLS = 200
"""Tools of one call that are kept, the last ones."""

_FARTHEST_MS = 1e9
_MOST_NAME = 200
_ROLES = {"MESSAGE_ROLE_USER": "caller", "MESSAGE_ROLE_AGENT": "agent"}


class NonsenseError(ValueError):
    """What came is no page of messages."""


@dataclass(frozen=True, slots=True)
class Conversation:
    """What was said, and the tools that Ultravox ran, in their order."""

    lines: tuple[Line, ...] = ()
    tools: tuple[ToolRan, ...] = ()


class _Span(msgspec.Struct):
    start: str = ""
    end: str = ""


class Message(msgspec.Struct, rename="camel"):
    """One message, as far as it is read here."""

    role: str = ""
    text: str | None = None
    tool_name: str | None = None
    invocation_id: str | None = None
    error_details: str | None = None
    timespan: _Span | None = None
    wall_clock_timespan: _Span | None = None


class _Page(msgspec.Struct):
    results: list[Message]
    next: str | None = None


def page_of(answer: Any) -> tuple[list[Message], str]:
    """Return a page's messages, and the cursor of the next page, empty after the last.

    The address of the next page is not followed as it is: the key goes to the server that it is
    for. Raises `NonsenseError`.
    """
    try:
        page = msgspec.convert(answer, _Page)
    except msgspec.ValidationError as error:
        raise NonsenseError(str(error)) from None
    return page.results, cursor_of(page.next)


def cursor_of(address: str | None) -> str:
    """Return the cursor in the address of another page, empty if there is none."""
    try:
        return parse_qs(urlsplit(address or "").query).get("cursor", [""])[0]
    except ValueError:
        return ""


def read(messages: Iterable[Message]) -> Conversation:
    """Return what messages say."""
    lines, tools = list[Line](), list[ToolRan]()
    open_calls: dict[str, Message] = {}
    for it in messages:
        text, role = it.text or "", _ROLES.get(it.role)
        if role is not None and text.strip():
            lines.append(Line(role, text[:MOST_LETTERS], _at_ms(it), None, interrupted=False))
        elif it.role == "MESSAGE_ROLE_TOOL_CALL":
            open_calls[it.invocation_id or ""] = it
        elif it.role == "MESSAGE_ROLE_TOOL_RESULT":
            tools.append(_ran(open_calls.pop(it.invocation_id or "", None), it))
    tools += [_ran(call, None) for call in open_calls.values()]
    tools.sort(key=lambda ran: ran.at_ms)
    return Conversation(_last(lines, MOST_LINES), _last(tools, MOST_TOOLS))


def _last(items: Sequence[Any], most: int) -> tuple[Any, ...]:
    return tuple(items[-most:])


def _ran(call: Message | None, result: Message | None) -> ToolRan:
    first = call or result
    assert first is not None
    at_ms = _at_ms(first)
    if result is None:
        outcome, text, seconds = "cancelled", "", 0.0
    else:
        outcome = "error" if result.error_details else "ok"
        text, seconds = result.text or "", max(0.0, _at_ms(result) - at_ms) / 1000
    name = first.tool_name or (result.tool_name if result is not None else None) or "?"
    arguments = (call.text or "") if call is not None else ""
    return ToolRan(name[:_MOST_NAME], arguments, outcome, text, seconds, at_ms)


def _at_ms(it: Message) -> float:
    """Return when it began, in ms: by the caller's audio, else by the clock."""
    span = it.timespan or it.wall_clock_timespan
    if span is None:
        return 0.0
    try:
        ms = float(span.start.removesuffix("s")) * 1000
    except ValueError:
        return 0.0
    return round(min(max(ms, 0.0), _FARTHEST_MS), 1) if math.isfinite(ms) else 0.0
