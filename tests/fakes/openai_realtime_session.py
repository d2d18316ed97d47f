"""The settings of a realtime session, transcription first: what may be said of them, what not."""

from typing import Any

from tests.fakes.openai_refusal import Refusal

NO_VAD = {"gpt-live-transcribe", "gpt-realtime-whisper"}
"""Models whose ``turn_detection`` must be null: the client commits."""

_SERVER_VAD = frozenset(
    [
        "type",
        "threshold",
        "prefix_padding_ms",
        "silence_duration_ms",
        "create_response",
        "interrupt_response",
        "idle_timeout_ms",
    ]
)
_SEMANTIC_VAD = frozenset(["type", "eagerness", "create_response", "interrupt_response"])
_TRANSCRIPTION = frozenset(["model", "language", "prompt", "keywords", "languages", "delay"])


def defaults() -> dict[str, Any]:
    """Return the settings of a session that nobody has set yet."""
    return {
        "type": "transcription",
        "audio": {
            "input": {
                "format": {"type": "audio/pcm", "rate": 24000},
                "transcription": None,
                "noise_reduction": None,
                "turn_detection": {
                    "type": "server_vad",
                    "threshold": 0.5,
                    "prefix_padding_ms": 300,
                    "silence_duration_ms": 200,
                },
            }
        },
    }


def updated(session: dict[str, Any], change: object, models: set[str]) -> dict[str, Any]:
    """Return the session with what ``change`` has of it. Raises `Refusal`."""
    if not isinstance(change, dict) or change.get("type") is None:
        raise wrong("missing_required_parameter", "session.type")
    if change["type"] != "transcription":
        raise wrong("invalid_value", "session.type")
    only(change, frozenset({"type", "audio", "include"}), "session.")
    audio = change.get("audio", {})
    only(audio, frozenset({"input"}), "session.audio.")
    merged = heard(session["audio"]["input"], audio.get("input", {}), models)
    return {"type": "transcription", "audio": {"input": merged}}


def heard(old: dict[str, Any], wanted: Any, models: set[str]) -> dict[str, Any]:
    """Return how is heard, with what is wanted of it: of any kind of session. Raises `Refusal`."""
    only(
        wanted,
        frozenset({"format", "transcription", "noise_reduction", "turn_detection"}),
        "session.audio.input.",
    )
    merged = dict(old)
    for name, value in wanted.items():
        before = merged.get(name)
        same_type = isinstance(before, dict) and isinstance(value, dict)
        is_other = same_type and before.get("type") != value.get("type", before.get("type"))  # type: ignore[union-attr]
        merged[name] = {**before, **value} if same_type and not is_other else value  # type: ignore[dict-item]
    check_format(merged["format"], "session.audio.input.format")
    _check_transcription(merged["transcription"], models)
    _check_noise(merged["noise_reduction"])
    _check_turns(merged["turn_detection"], merged["transcription"])
    return merged


def wrong(code: str, param: str) -> Refusal:
    """Return the refusal of a field."""
    return Refusal(400, code, f"Invalid or missing: '{param}'.", param=param)


def only(value: object, known: frozenset[str], prefix: str) -> None:
    """Refuse fields that are not known."""
    if not isinstance(value, dict):
        raise wrong("invalid_type", prefix[:-1])
    for name in value:
        if name not in known:
            raise wrong("unknown_parameter", f"{prefix}{name}")


def check_format(audio: object, where: str) -> None:
    """Refuse a format that there is not."""
    if audio not in (
        {"type": "audio/pcmu"},
        {"type": "audio/pcma"},
        {"type": "audio/pcm", "rate": 24000},
    ):
        raise wrong("invalid_value", where)


def _check_transcription(value: Any, models: set[str]) -> None:
    where = "session.audio.input.transcription"
    if value is None:
        return
    only(value, _TRANSCRIPTION, f"{where}.")
    model = value.get("model")
    if model not in models or ("transcribe" not in model and "whisper" not in model):
        raise Refusal(404, "model_not_found", "There is no such model.", param=f"{where}.model")
    if "delay" in value and model != "gpt-realtime-whisper":
        raise wrong("unsupported_parameter", f"{where}.delay")
    if "prompt" in value and model == "gpt-realtime-whisper":
        raise wrong("unsupported_parameter", f"{where}.prompt")
    if "keywords" in value and model not in ("gpt-transcribe", "gpt-live-transcribe"):
        raise wrong("unsupported_parameter", f"{where}.keywords")
    language = value.get("language", "en")
    if not isinstance(language, str) or not 2 <= len(language) <= 3:
        raise wrong("invalid_value", f"{where}.language")


def _check_noise(value: Any) -> None:
    if value is None:
        return
    only(value, frozenset({"type", "strength"}), "session.audio.input.noise_reduction.")
    if value.get("type") not in ("near_field", "far_field"):
        raise wrong("invalid_value", "session.audio.input.noise_reduction.type")


def _check_turns(value: Any, transcription: Any) -> None:
    where = "session.audio.input.turn_detection"
    if value is None:
        return
    if transcription is not None and transcription["model"] in NO_VAD:
        raise wrong("unsupported_parameter", where)
    kind = value.get("type") if isinstance(value, dict) else None
    if kind not in ("server_vad", "semantic_vad"):
        raise wrong("invalid_value", f"{where}.type")
    only(value, _SERVER_VAD if kind == "server_vad" else _SEMANTIC_VAD, f"{where}.")
    if not 0 <= value.get("threshold", 0.5) <= 1:
        raise wrong("decimal_out_of_range", f"{where}.threshold")
    if value.get("eagerness", "auto") not in ("low", "medium", "high", "auto"):
        raise wrong("invalid_value", f"{where}.eagerness")
