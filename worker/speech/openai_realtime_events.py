"""The wire of a realtime voice session, GA shape: what is sent, and what is read of it.

Source: OpenAI's reference of realtime client and server events, and the types of its SDK. Events
that are not listed here, and fields of others that do not fit, are nobody's business.
"""

import binascii
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from worker.errors import ProviderLostError
from worker.llm import ToolSpec
from worker.openai_client import NAME
from worker.openai_socket import Fault

CREATED = "session.created"
UPDATED = "session.updated"
ERROR = "error"
STARTED = "input_audio_buffer.speech_started"
STOPPED = "input_audio_buffer.speech_stopped"
COMMITTED = "input_audio_buffer.committed"
_TRANSCRIPTION = "conversation.item.input_audio_transcription"
SAID = f"{_TRANSCRIPTION}.completed"
NOT_UNDERSTOOD = f"{_TRANSCRIPTION}.failed"
RESPONSE = "response.created"
DONE = "response.done"
AUDIO = "response.output_audio.delta"
AUDIO_DONE = "response.output_audio.done"
WORDS = "response.output_audio_transcript.delta"
WORDS_DONE = "response.output_audio_transcript.done"

BUSY = "conversation_already_has_active_response"
"""A response was asked for while another one writes to the conversation."""

LONGEST_ID = 32
"""Letters of an item's id that a client makes up."""

ORDER = "order"
"""The metadata of a response that say which of ours it is."""


class Output(Struct):
    """An item that a response has made."""

    type: str | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None


class Details(Struct):
    """Why a response ended as it did."""

    reason: str | None = None
    error: Fault | None = None


class Response(Struct):
    """A response: an answer, from its first sound to its last call of a tool."""

    id: str | None = None
    status: str | None = None
    status_details: Details | None = None
    output: list[Output] | None = None
    metadata: dict[str, str] | None = None


class Session(Struct):
    """What a session says of itself."""

    id: str | None = None


class Event(Struct):
    """A server event; times are ms of the audio appended on this connection."""

    type: str
    item_id: str = ""
    response_id: str = ""
    delta: str = ""
    transcript: str = ""
    audio_start_ms: float | None = None
    audio_end_ms: float | None = None
    error: Fault | None = None
    response: Response | None = None
    session: Session | None = None


_decode = msgspec.json.Decoder(Event).decode
_encode = msgspec.json.Encoder().encode


def read(text: str | bytes) -> Event | None:
    """Return an event, ``None`` for one that does not fit. Raises `ProviderLostError`."""
    try:
        return _decode(text)
    except msgspec.ValidationError:
        return None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise ProviderLostError(NAME, "sent what is no event") from None


def audio_of(delta: str) -> bytes:
    """Return the audio of a piece; nothing of one that is no base64."""
    try:
        return binascii.a2b_base64(delta, strict_mode=True)
    except ValueError:
        return b""


# What is sent ------------------------------------------------------------------------------------


def update(session: Mapping[str, Any]) -> bytes:
    """Change the settings that are there, and no others."""
    return _encode({"type": "session.update", "session": {"type": "realtime", **session}})


def tools_of(tools: Sequence[ToolSpec]) -> list[dict[str, Any]]:
    """Return tools as a session has them; an empty list clears them."""
    return [
        {
            "type": "function",
            "name": tool.name,
            "description": tool.description,
            "parameters": tool.parameters,
        }
        for tool in tools
    ]


def create(item: Mapping[str, Any], previous: str | None = None) -> bytes:
    """Add an item to the conversation, at its end or behind ``previous`` (``root``: first)."""
    event = {"type": "conversation.item.create", "item": item}
    if previous is not None:
        event["previous_item_id"] = previous
    return _encode(event)


def delete(item_id: str) -> bytes:
    """Take an item out of the conversation."""
    return _encode({"type": "conversation.item.delete", "item_id": item_id})


def truncate(item_id: str, end_ms: int) -> bytes:
    """Have the model forget what it has said after ``end_ms`` of an item's audio, words included.

    More than there is of it is an error.
    """
    kind = "conversation.item.truncate"
    return _encode({"type": kind, "item_id": item_id, "content_index": 0, "audio_end_ms": end_ms})


def cancel(response_id: str) -> bytes:
    """End a response; one that has ended is an error, which does no harm."""
    return _encode({"type": "response.cancel", "response_id": response_id})


def respond(order: str, instructions: str, *, calls_tools: bool) -> bytes:
    """Ask for a response. ``instructions`` are for this one, instead of the session's.

    An error names ``order``, and so do the metadata of the response that comes of it.
    """
    response: dict[str, Any] = {"metadata": {ORDER: order}}
    if instructions:
        response["instructions"] = instructions
    if not calls_tools:
        response["tool_choice"] = "none"
    return _encode({"type": "response.create", "event_id": order, "response": response})


# Items -------------------------------------------------------------------------------------------


def message(role: str, text: str) -> dict[str, Any]:
    """Return a line of the conversation, in words."""
    kind = "output_text" if role == "assistant" else "input_text"
    return {"type": "message", "role": role, "content": [{"type": kind, "text": text}]}


def sound(audio: bytes) -> dict[str, Any]:
    """Return a line of the caller's as it sounded, in the format of the session's input."""
    encoded = binascii.b2a_base64(audio, newline=False).decode()
    content = [{"type": "input_audio", "audio": encoded}]
    return {"type": "message", "role": "user", "content": content}


def function_call(call_id: str, name: str, arguments: str) -> dict[str, Any]:
    """Return a call of a tool."""
    return {"type": "function_call", "call_id": call_id, "name": name, "arguments": arguments}


def function_output(call_id: str, text: str) -> dict[str, Any]:
    """Return what a tool has come to."""
    return {"type": "function_call_output", "call_id": call_id, "output": text}
