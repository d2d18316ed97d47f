"""The audio parts of a chat: what a model that hears refuses, and the words that are in them."""

import base64
import binascii
import io
import wave
from collections.abc import Mapping
from typing import Any

from shared.audio import pcm16_to_ulaw
from tests.fakes.openai_refusal import Refusal
from tests.fakes.speech import words_in

LONGEST_SECONDS = 30.0
RATE = 16_000
"""What the model's audio processor works at."""


def understood(messages: list[dict[str, Any]], limit: int) -> list[dict[str, Any]]:
    """Return the messages with words in place of audio. Raises `Refusal` as the server refuses.

    ``limit`` is ``--limit-mm-per-prompt.audio``.
    """
    count = sum(
        isinstance(part, Mapping) and part.get("type") in ("input_audio", "audio_url")
        for message in messages
        if isinstance(message.get("content"), list)
        for part in message["content"]
    )
    if count > limit:
        raise _refused(f"At most {limit} audio(s) may be provided in one prompt.")
    return [{**message, "content": _said(message.get("content"))} for message in messages]


def _said(content: object) -> object:
    if not isinstance(content, list):
        return content
    if not content:
        raise _refused("content is an empty list")
    return " ".join(filter(None, map(_part, content)))


def _part(part: object) -> str:
    match part:
        case {"type": "text", "text": str(text)}:
            if "<|audio|>" in text:
                raise _refused("Found more '<|audio|>' placeholders in input prompt than audios.")
            return text
        case {"type": "input_audio", "input_audio": {"data": str(data), "format": "wav"}}:
            return " ".join(words_of_wav(_decoded(data)))
        case {"type": "input_audio"}:
            raise _refused("input_audio: data and format are required, and the format is wav here")
        case _:
            raise _refused("Unknown part type of a message's content")


def _decoded(data: str) -> bytes:
    try:
        return base64.b64decode(data, validate=True)
    except binascii.Error:
        raise _refused("Invalid base64-encoded string") from None


def words_of_wav(file: bytes) -> list[str]:
    """Return the words in a WAV file. Raises `Refusal` for a file of another kind."""
    try:
        with wave.open(io.BytesIO(file), "rb") as reading:
            channels, width, rate, frames = reading.getparams()[:4]
            pcm = reading.readframes(frames)
    except (wave.Error, EOFError):
        raise _refused("Failed to load audio: Format not recognised.") from None
    if (channels, width) != (1, 2):
        raise _refused(f"Failed to load audio: {channels} channels of {8 * width} bits")
    if len(pcm) != 2 * frames or not frames:
        raise _refused("Failed to load audio: Invalid or incomplete data")
    if frames > LONGEST_SECONDS * rate:
        raise _refused("The audio is longer than the model's 30 s")
    return _words(pcm, rate)


def _words(pcm: bytes, rate: int) -> list[str]:
    """Read what is said at the rate that the header claims: at another it is a jumble."""
    step = rate // 8000
    if rate not in (8000, RATE):
        return []
    found = []
    for offset in range(step):
        samples = memoryview(pcm).cast("h")[offset::step]
        found.append(words_in(pcm16_to_ulaw(samples.tobytes())))
    return max(found, key=len)


def _refused(message: str) -> Refusal:
    return Refusal(400, None, message)
