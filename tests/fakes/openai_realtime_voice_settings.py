"""The settings of a realtime voice session: what may be said of them, and what not."""

import re
from typing import Any

from tests.fakes.openai_realtime_session import check_format, heard, only, wrong
from tests.fakes.openai_refusal import Refusal

VOICES = {
    *("alloy", "ash", "ballad", "coral", "echo", "sage", "shimmer", "verse", "marin", "cedar"),
}
_FIELDS = frozenset(
    [
        *("type", "model", "instructions", "output_modalities", "audio", "tools", "tool_choice"),
        *("max_output_tokens", "reasoning", "parallel_tool_calls", "truncation", "tracing"),
        *("include", "prompt"),
    ]
)
_RESPONSE = frozenset(
    [
        *("instructions", "output_modalities", "audio", "tools", "tool_choice", "metadata"),
        *("conversation", "input", "max_output_tokens", "reasoning", "parallel_tool_calls"),
        "prompt",
    ]
)
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")


def defaults(model: str) -> dict[str, Any]:
    """Return the settings of a session that nobody has set yet."""
    return {
        "type": "realtime",
        "object": "realtime.session",
        "model": model,
        "instructions": "Your knowledge cutoff is 2023-10.",
        "output_modalities": ["audio"],
        "audio": {
            "input": {
                "format": {"type": "audio/pcm", "rate": 24000},
                "transcription": None,
                "noise_reduction": None,
                "turn_detection": {
                    "type": "server_vad",
                    "threshold": 0.5,
                    "prefix_padding_ms": 300,
                    "silence_duration_ms": 500,
                    "idle_timeout_ms": None,
                    "create_response": True,
                    "interrupt_response": True,
                },
            },
            "output": {
                "format": {"type": "audio/pcm", "rate": 24000},
                "voice": "alloy",
                "speed": 1.0,
            },
        },
        "tools": [],
        "tool_choice": "auto",
        "max_output_tokens": "inf",
        "truncation": "auto",
    }


def updated(
    session: dict[str, Any], change: Any, models: set[str], *, has_spoken: bool
) -> dict[str, Any]:
    """Return the session with what ``change`` has of it. Raises `Refusal`."""
    if not isinstance(change, dict) or change.get("type") is None:
        raise wrong("missing_required_parameter", "session.type")
    if change["type"] != "realtime":
        raise wrong("invalid_value", "session.type")
    only(change, _FIELDS, "session.")
    if change.get("model", session["model"]) != session["model"]:
        raise wrong("cannot_update_model", "session.model")
    _check(change, session["model"])
    audio = change.get("audio", {})
    only(audio, frozenset({"input", "output"}), "session.audio.")
    said = _said(session["audio"]["output"], audio.get("output", {}), has_spoken=has_spoken)
    both = {"input": heard(session["audio"]["input"], audio.get("input", {}), models)}
    return {**session, **change, "audio": {**both, "output": said}}


def _said(old: dict[str, Any], wanted: Any, *, has_spoken: bool) -> dict[str, Any]:
    where = "session.audio.output."
    only(wanted, frozenset({"format", "voice", "speed"}), where)
    merged = {**old, **wanted}
    check_format(merged["format"], f"{where}format")
    voice = merged["voice"]
    is_own = isinstance(voice, dict) and set(voice) == {"id"}
    if not is_own and voice not in VOICES:
        raise wrong("invalid_value", f"{where}voice")
    if has_spoken and voice != old["voice"]:
        raise wrong("cannot_update_voice", f"{where}voice")
    speed = merged["speed"]
    if isinstance(speed, bool) or not isinstance(speed, int | float) or not 0.25 <= speed <= 1.5:
        raise wrong("decimal_out_of_range", f"{where}speed")
    return merged


def _check(change: dict[str, Any], model: str, where: str = "session.") -> None:
    if not isinstance(change.get("instructions", ""), str):
        raise wrong("invalid_type", f"{where}instructions")
    if change.get("output_modalities", ["audio"]) not in (["audio"], ["text"]):
        raise wrong("invalid_value", f"{where}output_modalities")
    for name in ("reasoning", "parallel_tool_calls"):
        if name in change and not model.startswith("gpt-realtime-2"):
            raise wrong("unsupported_parameter", f"{where}{name}")
    efforts = ("minimal", "low", "medium", "high", "xhigh")
    if change.get("reasoning", {"effort": "low"}).get("effort") not in efforts:
        raise wrong("invalid_value", f"{where}reasoning.effort")
    most = change.get("max_output_tokens", "inf")
    if most != "inf" and (not isinstance(most, int) or not 1 <= most <= 4096):
        raise wrong("integer_out_of_range", f"{where}max_output_tokens")
    if change.get("tool_choice", "auto") not in ("auto", "none", "required"):
        raise wrong("invalid_value", f"{where}tool_choice")
    _check_tools(change.get("tools", []), f"{where}tools")


def _check_tools(tools: Any, where: str) -> None:
    if not isinstance(tools, list):
        raise wrong("invalid_type", where)
    for at, tool in enumerate(tools):
        only(tool, frozenset({"type", "name", "description", "parameters"}), f"{where}[{at}].")
        if tool.get("type") != "function" or not _NAME.match(tool.get("name", "")):
            raise wrong("invalid_value", f"{where}[{at}].name")
        if tool.get("parameters", {"type": "object"}).get("type") != "object":
            raise wrong("invalid_function_parameters", f"{where}[{at}].parameters")


def checked_response(given: Any, model: str) -> dict[str, Any]:
    """Return what was asked for by ``response.create``. Raises `Refusal`."""
    if given is None:
        return {}
    only(given, _RESPONSE, "response.")
    _check(given, model, "response.")
    metadata = given.get("metadata") or {}
    if len(metadata) > 16 or not all(isinstance(value, str) for value in metadata.values()):
        raise wrong("invalid_value", "response.metadata")
    if given.get("conversation", "auto") != "auto":
        raise Refusal(400, "unsupported", "This fake knows one conversation.")
    found: dict[str, Any] = given
    return found
