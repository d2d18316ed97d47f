"""Speech: what the server refuses, and a tone that lasts as long as its text."""

import array
import math
from typing import Any

from tests.fakes.openai_refusal import Refusal, known_model, number, text, unknown_field

RATE = 24_000
_FIELDS = frozenset(
    ["model", "input", "voice", "response_format", "speed", "instructions", "stream_format"]
)
_VOICES = {
    "alloy",
    "ash",
    "ballad",
    "coral",
    "echo",
    "fable",
    "onyx",
    "nova",
    "sage",
    "shimmer",
    "verse",
    "marin",
    "cedar",
}
_FORMATS = {"mp3", "opus", "aac", "flac", "wav", "pcm"}
_PIECE = 4801  # odd on purpose: samples are split between pieces

_SECOND = array.array(
    "h", [int(9000 * math.sin(2 * math.pi * 400 * at / RATE)) for at in range(RATE)]
).tobytes()


def check(body: dict[str, Any], models: set[str]) -> None:
    """Refuse what the server refuses."""
    unknown_field(body, _FIELDS)
    model = text(body, "model")
    known_model(model, models)
    text(body, "input", 4096)
    if text(body, "voice") not in _VOICES:
        raise Refusal(400, "invalid_value", "Invalid value of 'voice'.", param="voice")
    if body.get("response_format", "mp3") not in _FORMATS:
        raise Refusal(400, "invalid_value", "Invalid 'response_format'.", param="response_format")
    number(body, "speed", 0.25, 4)
    if "instructions" in body and model.startswith("tts-1"):
        message = "'instructions' is not supported with this model."
        raise Refusal(400, "unsupported_parameter", message, param="instructions")


def pieces(body: dict[str, Any], letter_ms: float) -> list[bytes]:
    """Return the audio, PCM16 24 kHz, cut anywhere."""
    if body.get("response_format", "mp3") != "pcm":
        return [b"ID3"]
    size = 2 * int(len(body["input"]) * letter_ms * RATE / 1000 / body.get("speed", 1.0))
    audio = (_SECOND * (size // len(_SECOND) + 1))[:size]
    return [audio[start : start + _PIECE] for start in range(0, size, _PIECE)]
