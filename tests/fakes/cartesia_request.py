"""What Cartesia's socket takes for a request (generation and cancel), field by field.

Source: cartesia 4.2.0, ``generation_request_param`` and the types it names; contexts and
continuations in the documentation.
"""

from dataclasses import dataclass
from typing import Any

_FIELDS = {
    "context_id": str,
    "model_id": str,
    "voice": (str, dict),
    "output_format": dict,
    "transcript": str,
    "continue": bool,
    "flush": bool,
    "max_buffer_delay_ms": int,
    "add_timestamps": bool,
    "add_phoneme_timestamps": bool,
    "use_normalized_timestamps": bool,
    "language": str,
    "generation_config": dict,
    "speed": str,
    "pronunciation_dict_id": str,
}
_REQUIRED = ("context_id", "model_id", "voice", "output_format", "transcript")
_MAY_CHANGE = {"transcript", "continue", "flush"}
_ENCODINGS = {"pcm_mulaw", "pcm_alaw", "pcm_s16le", "pcm_f32le"}
_RATES = {8000, 16000, 22050, 24000, 44100, 48000}
_RANGES = {"speed": (0.6, 1.5), "volume": (0.5, 2.0)}


class BadRequest(Exception):  # noqa: N818
    """A request that is answered by an error event."""

    def __init__(self, status: int, code: str, message: str, context: str | None = None) -> None:
        super().__init__(status, code, message)
        self.status, self.code, self.message, self.context = status, code, message, context


@dataclass(frozen=True)
class Settings:
    """What must stay the same within a context."""

    voice: str
    timestamps: bool
    buffer_s: float
    everything: str


def check(request: Any) -> str:
    """Return the context of a request. Raises `BadRequest`."""
    if not isinstance(request, dict):
        raise BadRequest(400, "invalid_request", "a request is an object")
    name = request.get("context_id")
    if not isinstance(name, str) or not name:
        raise BadRequest(400, "invalid_request", "context_id is missing")
    if "cancel" in request:
        if request["cancel"] is not True or set(request) != {"context_id", "cancel"}:
            raise BadRequest(400, "invalid_request", "not a cancel", name)
        return name
    _check_fields(request, name)
    _check_values(request, name)
    return name


def _check_fields(request: dict[str, Any], name: str) -> None:
    for field in _REQUIRED:
        if field not in request:
            raise BadRequest(400, "invalid_request", f"{field} is missing", name)
    for field, value in request.items():
        if field not in _FIELDS:
            raise BadRequest(400, "invalid_request", f"{field} is not known", name)
        is_bool = isinstance(value, bool) and _FIELDS[field] is int
        if is_bool or not isinstance(value, _FIELDS[field]):  # type: ignore[arg-type]
            raise BadRequest(400, "invalid_request", f"{field} is of the wrong type", name)


def _check_values(request: dict[str, Any], name: str) -> None:
    model = request["model_id"]
    if not model.startswith(("sonic-3", "sonic-latest")):
        raise BadRequest(404, "model_not_found", f"there is no model {model}", name)
    form = request["output_format"]
    if (
        form.get("container") != "raw"
        or form.get("encoding") not in _ENCODINGS
        or form.get("sample_rate") not in _RATES
    ):
        raise BadRequest(400, "invalid_request", "output_format is wrong", name)
    if (form["encoding"], form["sample_rate"]) != ("pcm_mulaw", 8000):
        raise BadRequest(501, "not_in_this_fake", "it speaks pcm_mulaw at 8000 Hz only", name)
    if not 0 <= request.get("max_buffer_delay_ms", 3000) <= 5000:
        raise BadRequest(400, "invalid_request", "max_buffer_delay_ms is 0 to 5000", name)
    for field, value in request.get("generation_config", {}).items():
        least, most = _RANGES.get(field, (0, 0))
        if field != "emotion" and not (field in _RANGES and least <= value <= most):
            raise BadRequest(400, "invalid_request", f"generation_config.{field} is wrong", name)
    ends = not request.get("continue", False)
    if not request["transcript"].strip() and not ends and not request.get("flush"):
        raise BadRequest(400, "invalid_request", "transcript is empty", name)


def settings_of(request: dict[str, Any]) -> Settings:
    """Return the fields that belong to the context."""
    fixed = {name: value for name, value in request.items() if name not in _MAY_CHANGE}
    voice = request["voice"]
    return Settings(
        voice if isinstance(voice, str) else str(voice.get("id", "")),
        bool(request.get("add_timestamps")),
        request.get("max_buffer_delay_ms", 3000) / 1000,
        repr(sorted(fixed.items())),
    )
