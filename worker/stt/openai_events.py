"""The wire of a realtime transcription session, GA shape: what is sent, and what is read of it.

Source: OpenAI's reference of realtime client and server events. Audio is base64 in JSON. Events
that are not listed here, and fields of others that do not fit, are nobody's business.
"""

import base64
from typing import Any

import msgspec
from msgspec import Struct

from worker.errors import ProviderLostError
from worker.openai_client import NAME

COMMIT = '{"type":"input_audio_buffer.commit"}'
COMMIT_EMPTY = "input_audio_buffer_commit_empty"
SESSION_EXPIRED = "session_expired"

UPDATED = "session.updated"
ERROR = "error"
STARTED = "input_audio_buffer.speech_started"
STOPPED = "input_audio_buffer.speech_stopped"
COMMITTED = "input_audio_buffer.committed"
_TRANSCRIPTION = "conversation.item.input_audio_transcription"
DELTA = f"{_TRANSCRIPTION}.delta"
COMPLETED = f"{_TRANSCRIPTION}.completed"
FAILED = f"{_TRANSCRIPTION}.failed"


class Fault(Struct):
    """Why something was refused. Its ``message`` may quote the caller and is not read."""

    code: str | None = None
    type: str | None = None
    param: str | None = None


class Event(Struct):
    """A server event; times are ms of the audio appended on this connection."""

    type: str
    item_id: str = ""
    delta: str = ""
    transcript: str = ""
    audio_end_ms: float | None = None
    error: Fault | None = None


class _Refusal(Struct):
    error: Fault | None = None


_decoder = msgspec.json.Decoder(Event)


def read(text: str | bytes) -> Event | None:
    """Return an event, ``None`` for one that does not fit. Raises `ProviderLostError`."""
    try:
        return _decoder.decode(text)
    except msgspec.ValidationError:
        return None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise ProviderLostError(NAME, "sent what is no event") from None


def read_refusal(body: bytes) -> Fault:
    """Return what the body of a refused handshake says, nothing for one that says nothing."""
    try:
        return msgspec.json.decode(body, type=_Refusal).error or Fault()
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Fault()


def append(audio: bytes) -> bytes:
    """Return the event that appends audio, as the bytes of a text frame."""
    encoded = base64.b64encode(audio)
    return b'{"type":"input_audio_buffer.append","audio":"' + encoded + b'"}'


def session_update(
    audio_format: str,
    transcription: dict[str, Any],
    turn_detection: dict[str, Any] | None,
    noise_reduction: str | None,
) -> bytes:
    """Return the event that sets a session up; ``null`` says *off* where there is a default."""
    layout: dict[str, Any] = {"type": audio_format}
    if audio_format == "audio/pcm":
        layout["rate"] = 24_000
    heard = {
        "format": layout,
        "transcription": transcription,
        "turn_detection": turn_detection,
        "noise_reduction": None if noise_reduction is None else {"type": noise_reduction},
    }
    session = {"type": "transcription", "audio": {"input": heard}}
    return msgspec.json.encode({"type": "session.update", "session": session})
