"""The wire of a realtime transcription session, GA shape: what is sent, and what is read of it.

Source: OpenAI's reference of realtime client and server events. Events
that are not listed here, and fields of others that do not fit, are nobody's business.
"""

from typing import Any

import msgspec
from msgspec import Struct

from worker.errors import ProviderLostError
from worker.openai_client import NAME
from worker.openai_socket import Fault

COMMIT = '{"type":"input_audio_buffer.commit"}'
COMMIT_EMPTY = "input_audio_buffer_commit_empty"

UPDATED = "session.updated"
ERROR = "error"
STARTED = "input_audio_buffer.speech_started"
STOPPED = "input_audio_buffer.speech_stopped"
COMMITTED = "input_audio_buffer.committed"
_TRANSCRIPTION = "conversation.item.input_audio_transcription"
DELTA = f"{_TRANSCRIPTION}.delta"
COMPLETED = f"{_TRANSCRIPTION}.completed"
FAILED = f"{_TRANSCRIPTION}.failed"


class Event(Struct):
    """A server event; times are ms of the audio appended on this connection."""

    type: str
    item_id: str = ""
    delta: str = ""
    transcript: str = ""
    audio_end_ms: float | None = None
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
