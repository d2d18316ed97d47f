"""What the socket of an ElevenLabs agent takes: the beginning and each message, field by field."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

ALL_OVERRIDES = frozenset(
    [
        "agent.prompt.prompt",
        "agent.prompt.llm",
        "agent.first_message",
        "agent.language",
        "tts.voice_id",
        "tts.stability",
        "tts.speed",
        "tts.similarity_boost",
        "asr.keywords",
        "conversation.text_only",
        "conversation.client_events",
    ]
)
"""Every override there is."""

ALL_EVENTS = frozenset(
    [
        "audio",
        "interruption",
        "user_transcript",
        "tentative_user_transcript",
        "agent_response",
        "agent_response_correction",
        "client_tool_call",
        "agent_tool_request",
        "agent_tool_response",
        "vad_score",
        "ping",
    ]
)

_TOP = {
    "type": str,
    "conversation_config_override": dict,
    "custom_llm_extra_body": dict,
    "dynamic_variables": dict,
    "user_id": str,
    "source_info": dict,
}
_MESSAGES: Mapping[str, Mapping[str, Any]] = {
    "pong": {"event_id": int},
    "client_tool_result": {"tool_call_id": str, "result": str, "is_error": bool},
    "user_message": {"text": str},
    "user_activity": {},
    "contextual_update": {"text": str, "context_id": str},
    "feedback": {"event_id": int, "score": str},
}
_OPTIONAL = {"context_id", "is_error", "score"}
_RANGES = {"tts.stability": (0, 1), "tts.speed": (0.7, 1.2), "tts.similarity_boost": (0, 1)}
_VARIABLE = re.compile(r"\{\{\s*(\w+)\s*\}\}")


class BadMessage(Exception):  # noqa: N818
    """What ends the conversation with an ``error`` event and a close."""

    def __init__(self, kind: str, message: str, code: int = 1008) -> None:
        super().__init__(kind, message, code)
        self.kind, self.message, self.code = kind, message, code


@dataclass(slots=True)
class Setup:
    """The agent, as it is set up on the dashboard."""

    agent_id: str = "agent_1"
    prompt: str = "You are helpful."
    first_message: str = ""
    input_format: str = "ulaw_8000"
    output_format: str = "ulaw_8000"
    overrides: frozenset[str] = ALL_OVERRIDES
    """Those that its security settings allow."""
    tools: dict[str, float] = field(default_factory=dict)
    """Its client tools, and how many seconds each may take."""
    events: frozenset[str] = ALL_EVENTS
    """Its client events."""
    public: bool = False


@dataclass(frozen=True, slots=True)
class Beginning:
    """What a conversation began with, read."""

    prompt: str
    first_message: str
    events: frozenset[str]
    variables: Mapping[str, Any]


def beginning(raw: str | bytes, setup: Setup) -> tuple[dict[str, Any], Beginning]:
    """Read the first message. Raises `BadMessage`."""
    message = _object(raw)
    if message.get("type") != "conversation_initiation_client_data":
        raise BadMessage("invalid_message", "the first message must be initiation data")
    for name, value in message.items():
        if name not in _TOP or not isinstance(value, _TOP[name]):
            raise BadMessage("invalid_message", f"{name} is not known or of the wrong type")
    given = dict(_leaves(message.get("conversation_config_override", {})))
    for name, value in given.items():
        if name not in ALL_OVERRIDES:
            raise BadMessage("value_error", f"{name} cannot be overridden")
        if name not in setup.overrides:
            raise BadMessage("override_error", f"Override for field '{name}' is not allowed")
        least, most = _RANGES.get(name, (None, None))
        if least is not None and most is not None and not least <= value <= most:
            raise BadMessage("value_error", f"{name} is out of range")
    variables = _variables(message.get("dynamic_variables", {}))
    prompt = str(given.get("agent.prompt.prompt", setup.prompt))
    first = str(given.get("agent.first_message", setup.first_message))
    for name in _VARIABLE.findall(prompt + first):
        if name not in variables and not name.startswith("system__"):
            raise BadMessage("missing_dynamic_variable", f"Missing required variables: {name}")
    events = frozenset(given.get("conversation.client_events", setup.events))
    return message, Beginning(prompt, _filled(first, variables), events, variables)


def _filled(text: str, variables: Mapping[str, Any]) -> str:
    return _VARIABLE.sub(lambda found: str(variables.get(found[1], "")), text)


def _variables(given: dict[str, Any]) -> dict[str, Any]:
    for name, value in given.items():
        if name.startswith("system__"):
            raise BadMessage("value_error", f"{name} is reserved")
        if not isinstance(value, str | int | float):
            raise BadMessage("value_error", f"{name} is of a type that is not taken")
    return given


def _leaves(tree: Mapping[str, Any], path: Iterable[str] = ()) -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        here = [*path, name]
        if isinstance(value, dict):
            yield from _leaves(value, here)
        else:
            yield ".".join(here), value


def check(raw: str | bytes) -> dict[str, Any]:
    """Read a later message; audio has no type. Raises `BadMessage`."""
    message = _object(raw)
    if set(message) == {"user_audio_chunk"}:
        return message
    kind = message.get("type")
    fields = _MESSAGES.get(kind) if isinstance(kind, str) else None
    if fields is None:
        raise BadMessage("invalid_message", f"Invalid message received: {kind}")
    for name in fields:
        if name not in message and name not in _OPTIONAL:
            raise BadMessage("missing_fields", f"{kind} needs {name}")
    for name, value in message.items():
        if name != "type" and (name not in fields or not isinstance(value, fields[name])):
            raise BadMessage("invalid_message", f"{kind}.{name} is not known or of a wrong type")
    return message


def _object(raw: str | bytes) -> dict[str, Any]:
    try:
        message = json.loads(raw)
    except ValueError:
        raise BadMessage("invalid_message", "not JSON") from None
    if not isinstance(raw, str) or not isinstance(message, dict):
        raise BadMessage("invalid_message", "no object in a text frame")
    return message
