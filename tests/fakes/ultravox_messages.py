"""What the fake Ultravox refuses of a data message: other types, other fields, fields left out.

Source: Ultravox' documentation, "Protocol & Data Messages". ``deferResponse`` is in its guide to
agents, and what LiveKit's plugin sends. What a real server does with a wrong one is not known.
"""

from collections.abc import Mapping
from typing import Any

_URGENCIES = ("immediate", "soon", "later")
_FIELDS: Mapping[str, tuple[frozenset[str], frozenset[str]]] = {
    name: (frozenset(required), frozenset(optional))
    for name, required, optional in (
        ("ping", ("timestamp",), ()),
        ("user_text_message", ("text",), ("urgency", "deferResponse", "threadId")),
        ("set_output_medium", ("medium",), ()),
        (
            "client_tool_result",
            ("invocationId",),
            (
                *("result", "responseType", "agentReaction", "errorType", "errorMessage"),
                "updateCallState",
            ),
        ),
        (
            "forced_agent_message",
            (),
            (
                *("content", "toolCalls", "knownToolResults", "uninterruptible", "urgency"),
                "threadId",
            ),
        ),
        ("hang_up", (), ("message",)),
        ("_started", (), ()),
        ("_digit", ("digit",), ()),
    )
}


def fault_of(message: Mapping[str, Any]) -> str:
    """Return what is wrong with a message, empty if nothing is."""
    kind = str(message.get("type"))
    if kind not in _FIELDS:
        return f"unknown type {kind}"
    required, optional = _FIELDS[kind]
    given = set(message) - {"type"}
    if required - given:
        return f"{kind} without {sorted(required - given)}"
    if given - required - optional:
        return f"{kind} with {sorted(given - required - optional)}"
    if message.get("urgency", "soon") not in _URGENCIES:
        return f"{kind} of unknown urgency"
    return "urgency" if kind == "forced_agent_message" and message.get("urgency") == "later" else ""
