"""Ultravox' data messages, the JSON beside the audio on a server WebSocket. Pure.

Source: Ultravox' documentation, "Protocol & Data Messages". Unknown types, and messages that are
not what they should be, are no messages; wire names of ``user_started_speaking`` and
``user_stopped_speaking`` are by analogy with the rest.
"""

from typing import Any, Final

import msgspec

from worker.llm import Call

PROVIDER = "ultravox"

CALL_STARTED: Final = "call_started"
STATE: Final = "state"
TRANSCRIPT: Final = "transcript"
CLEAR: Final = "playback_clear_buffer"
TOOL: Final = "client_tool_invocation"
PONG: Final = "pong"
STARTED_SPEAKING: Final = "user_started_speaking"
STOPPED_SPEAKING: Final = "user_stopped_speaking"

_MOST_TEXT = 60_000


class Received(msgspec.Struct, rename="camel"):
    """A data message, one of those above. Of a transcript either ``text`` or ``delta`` is set."""

    type: str
    call_id: str = ""
    state: str = ""
    role: str = ""
    medium: str = "voice"
    text: str | None = None
    delta: str | None = None
    final: bool = False
    ordinal: int = 0
    tool_name: str = ""
    invocation_id: str = ""
    parameters: msgspec.Raw = msgspec.Raw(b"{}")

    @property
    def call(self) -> Call:
        """The tool that is wanted, with its parameters as JSON text."""
        text = bytes(self.parameters).decode("utf-8", "replace")
        return Call(self.invocation_id, self.tool_name, "{}" if text == "null" else text)


class _Kind(msgspec.Struct):
    type: str


_KINDS = {CALL_STARTED, STATE, TRANSCRIPT, CLEAR, TOOL, PONG, STARTED_SPEAKING, STOPPED_SPEAKING}
_kind = msgspec.json.Decoder(_Kind).decode
_received = msgspec.json.Decoder(Received).decode
_encode = msgspec.json.Encoder().encode


def read(message: str) -> Received | None:
    """Return a data message; ``None`` for what is none that matters here."""
    try:
        return _received(message) if _kind(message).type in _KINDS else None
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None


def tool_result(invocation: str, text: str, stage: dict[str, Any] | None = None) -> bytes:
    """Answer a tool; with ``stage`` the conversation moves on to it."""
    return _encode({"type": "client_tool_result", **_result(invocation, text, stage)})


def tool_runs(invocation: str) -> bytes:
    """Answer that the result follows: the conversation goes on, and the agent says nothing."""
    answer = _result(invocation, "It is still running; its result will follow.", None)
    return _encode({"type": "client_tool_result", **answer, "agentReaction": "listens"})


def late_result(call: Call, text: str, stage: dict[str, Any] | None = None) -> bytes:
    """Have the agent call a tool again, of which the result is known by now, and speak of it."""
    invocation = f"{call.id}-late"
    try:
        arguments = msgspec.json.decode(call.arguments, type=dict[str, Any])
    except msgspec.MsgspecError:
        arguments = {}
    return _encode(
        {
            "type": "forced_agent_message",
            "toolCalls": [{"id": invocation, "name": call.name, "arguments": arguments}],
            "knownToolResults": [_result(invocation, text, stage)],
            "urgency": "soon",
        }
    )


def _result(invocation: str, text: str, stage: dict[str, Any] | None) -> dict[str, Any]:
    if stage is None:
        return {"invocationId": invocation, "result": text, "responseType": "tool-response"}
    result = _encode({**stage, "toolResultText": text}).decode()
    return {"invocationId": invocation, "result": result, "responseType": "new-stage"}


def forced(text: str, *, interruptible: bool) -> bytes:
    """Have the agent say ``text``, as soon as it has said what it is saying."""
    return _encode(
        {
            "type": "forced_agent_message",
            "content": text[:_MOST_TEXT],
            "uninterruptible": not interruptible,
            "urgency": "soon",
        }
    )


def told(text: str, urgency: str) -> bytes:
    """Tell the model something: ``immediate`` interrupts, ``later`` makes it say nothing."""
    return _encode({"type": "user_text_message", "text": text[:_MOST_TEXT], "urgency": urgency})


def hush() -> bytes:
    """Interrupt the agent without having anything answered, as LiveKit's plugin does it."""
    return _encode(
        {"type": "user_text_message", "text": "", "urgency": "immediate", "deferResponse": True}
    )


def ping(at: float) -> bytes:
    """Ask for a ``pong``."""
    return _encode({"type": "ping", "timestamp": at})
