"""What ElevenLabs' multi-context socket takes: its query and its messages, field by field."""

import json
from dataclasses import dataclass
from typing import Any

_QUERY = {
    "model_id",
    "output_format",
    "auto_mode",
    "inactivity_timeout",
    "sync_alignment",
    "language_code",
    "apply_text_normalization",
    "enable_ssml_parsing",
    "enable_logging",
    "seed",
}
_FIELDS = {
    "text": str,
    "context_id": str,
    "voice_settings": dict,
    "generation_config": dict,
    "flush": bool,
    "close_context": bool,
    "close_socket": bool,
    "xi_api_key": str,
}
_SETTINGS = {
    "stability": (0, 1),
    "similarity_boost": (0, 1),
    "style": (0, 1),
    "speed": (0.7, 1.2),
}


class BadMessage(Exception):  # noqa: N818
    """What ends the connection with an error frame and 1008."""

    def __init__(self, error: str, message: str) -> None:
        super().__init__(error, message)
        self.error, self.message = error, message


@dataclass(frozen=True)
class Query:
    """What the upgrade asked for."""

    auto_mode: bool
    alignment: bool
    inactivity_s: float


def query_of(values: dict[str, list[str]]) -> Query:
    """Read the query of an upgrade. Raises `BadMessage` naming the parameter."""
    query = {name: given[0] for name, given in values.items()}
    for name in query:
        if name not in _QUERY:
            raise BadMessage(name, "not known")
    if query.get("output_format") != "ulaw_8000":
        raise BadMessage("output_format", "this fake speaks ulaw_8000 only")
    if not query.get("model_id", "eleven_").startswith("eleven_"):
        raise BadMessage("model_id", "no such model")
    try:
        seconds = float(query.get("inactivity_timeout", "20"))
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= 180:
        raise BadMessage("inactivity_timeout", "up to 180")
    flags = {}
    for name in ("auto_mode", "sync_alignment"):
        flags[name] = query.get(name, "false")
        if flags[name] not in ("true", "false"):
            raise BadMessage(name, "true or false")
    return Query(flags["auto_mode"] == "true", flags["sync_alignment"] == "true", seconds)


def check(raw: str | bytes) -> dict[str, Any]:
    """Read a message. Raises `BadMessage`."""
    try:
        message = json.loads(raw)
    except ValueError:
        raise BadMessage("invalid_message", "not JSON") from None
    if not isinstance(message, dict):
        raise BadMessage("invalid_message", "not an object")
    for name, value in message.items():
        if name not in _FIELDS or not isinstance(value, _FIELDS[name]):
            raise BadMessage("invalid_message", f"{name} is not known or of the wrong type")
    for name, value in message.get("voice_settings", {}).items():
        least, most = _SETTINGS.get(name, (1, 0))
        if not isinstance(value, int | float) or not least <= value <= most:
            raise BadMessage("invalid_message", f"voice_settings.{name} is wrong")
    return message
