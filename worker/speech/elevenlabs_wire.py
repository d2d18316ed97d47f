"""What is said on the socket of an ElevenLabs agent, and what its errors mean. Pure.

Only what a call listens to is read: an event of another type, or one whose fields are of other
types than documented, says nothing. A caller's audio has no ``type``; everything else has.
Source: ElevenLabs, Agents WebSocket (``agent.asyncapi.yaml``).
"""

from collections.abc import Iterator, Mapping

import msgspec

from worker.errors import ProviderError, ProviderLostError, ProviderRefusedError

PROVIDER = "elevenlabs"

SHORTEST_CHUNK_MS, LONGEST_CHUNK_MS = 20, 250
"""How much of the caller's audio goes into one message."""

_MOST_REASON = 200

# What comes --------------------------------------------------------------------------------------


class Metadata(msgspec.Struct):
    conversation_id: str = ""
    agent_output_audio_format: str = ""
    user_input_audio_format: str = ""


class Audio(msgspec.Struct):
    audio_base_64: bytes = b""
    event_id: int | None = None
    alignment: msgspec.Raw = msgspec.Raw()


class _Transcript(msgspec.Struct):
    user_transcript: str = ""


class _Response(msgspec.Struct):
    agent_response: str = ""
    event_id: int | None = None


class _Correction(msgspec.Struct):
    original_agent_response: str = ""
    corrected_agent_response: str = ""


class _Numbered(msgspec.Struct):
    event_id: int | None = None


class _Ping(msgspec.Struct):
    event_id: int | float | str | None = None


class ToolCall(msgspec.Struct):
    tool_name: str
    tool_call_id: str
    parameters: msgspec.Raw = msgspec.Raw(b"{}")


class _Voice(msgspec.Struct):
    vad_score: float = 0.0


class Told(msgspec.Struct):
    """An ``error`` event: a close with its ``code`` follows."""

    code: int | None = None
    error_type: str | None = None
    message: str | None = None
    reason: str | None = None


class Event(msgspec.Struct):
    """An event of those that are read; the part that its ``type`` names is there."""

    type: str = ""
    metadata: Metadata | None = msgspec.field(
        default=None, name="conversation_initiation_metadata_event"
    )
    audio: Audio | None = msgspec.field(default=None, name="audio_event")
    transcript: _Transcript | None = msgspec.field(default=None, name="user_transcription_event")
    tentative: _Transcript | None = msgspec.field(
        default=None, name="tentative_user_transcription_event"
    )
    response: _Response | None = msgspec.field(default=None, name="agent_response_event")
    correction: _Correction | None = msgspec.field(
        default=None, name="agent_response_correction_event"
    )
    interruption: _Numbered | None = msgspec.field(default=None, name="interruption_event")
    ping: _Ping | None = msgspec.field(default=None, name="ping_event")
    tool_call: ToolCall | None = msgspec.field(default=None, name="client_tool_call")
    voice: _Voice | None = msgspec.field(default=None, name="vad_score_event")
    error: Told | None = msgspec.field(default=None, name="error_event")


class _Alignment(msgspec.Struct):
    chars: list[str] = []
    snake: list[float] | None = msgspec.field(default=None, name="char_start_times_ms")
    snakes: list[float] | None = msgspec.field(default=None, name="chars_start_times_ms")
    camel: list[float] | None = msgspec.field(default=None, name="charStartTimesMs")
    camels: list[float] | None = msgspec.field(default=None, name="charsStartTimesMs")
    snake_lasts: list[float] | None = msgspec.field(default=None, name="char_durations_ms")
    snakes_last: list[float] | None = msgspec.field(default=None, name="chars_durations_ms")
    camel_lasts: list[float] | None = msgspec.field(default=None, name="charDurationsMs")
    camels_last: list[float] | None = msgspec.field(default=None, name="charsDurationsMs")


_events = msgspec.json.Decoder(Event, strict=False)  # numbers in quotes are numbers
_alignments = msgspec.json.Decoder(_Alignment | None)


def read(raw: bytes | str) -> Event | None:
    """Return what a message says, ``None`` if it cannot be read as an event."""
    try:
        return _events.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def letters(alignment: msgspec.Raw) -> Iterator[tuple[str, float, float]]:
    """Yield each character of a chunk of audio, its start and its end in ms of the chunk.

    An alignment of another shape than documented has none.
    """
    try:
        found = _alignments.decode(alignment) if bytes(alignment) else None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return
    if found is None:
        return
    starts = found.snake or found.snakes or found.camel or found.camels or ()
    lasts = found.snake_lasts or found.snakes_last or found.camel_lasts or found.camels_last or ()
    for char, start, last in zip(found.chars, starts, lasts, strict=False):
        yield char, float(start), float(start + last)


# What is sent ------------------------------------------------------------------------------------

_encode = msgspec.json.Encoder().encode


def begin(initiation: Mapping[str, object]) -> bytes:
    """Begin the conversation: the first message, before anything else."""
    return _encode({"type": "conversation_initiation_client_data", **initiation})


def chunk(audio: bytes) -> bytes:
    """A piece of the caller's audio, in the agent's input format."""
    return _encode({"user_audio_chunk": audio})


def pong(event_id: float | str) -> bytes:
    """Answer a ping, with whatever it was numbered by."""
    return _encode({"type": "pong", "event_id": event_id})


def user_message(text: str) -> bytes:
    """Text that is answered as if the caller had said it."""
    return _encode({"type": "user_message", "text": text})


def user_activity() -> bytes:
    """The caller is doing something: the agent does not begin to speak by itself."""
    return _encode({"type": "user_activity"})


def context(text: str, context_id: str | None = None) -> bytes:
    """Something to know, and not to answer; in place of what had the same ``context_id``."""
    named = {} if context_id is None else {"context_id": context_id}
    return _encode({"type": "contextual_update", "text": text, **named})


def tool_result(call_id: str, text: str, is_error: bool) -> bytes:
    """What a client tool came to."""
    return _encode(
        {
            "type": "client_tool_result",
            "tool_call_id": call_id,
            "result": text,
            "is_error": is_error,
        }
    )


# What went wrong ---------------------------------------------------------------------------------

_FIXES = {
    "override_error": "allow it in the agent's security settings, or do not set it",
    "missing_dynamic_variable": "give it in dynamic_variables",
    "missing_dynamic_variable_transfer": "give it in dynamic_variables",
}
_LASTING = ("quota",)
"""Words of reasons that come again on every socket, whatever their code."""


def fault(code: int | None, reason: str, told: Told | None) -> ProviderError:
    """Return the error for a socket that ended by ``code``, ``None`` without a close frame.

    ``told`` is the ``error`` event before it. 1008 is a matter of settings (3000, of access), and
    is no use to try again; 1002 and 1011 are troubles at ElevenLabs.
    """
    kind = (told.error_type or "") if told is not None else ""
    if code is None and told is not None:
        code = told.code
    if code is None:
        return ProviderLostError(PROVIDER, "the connection dropped", 1006)
    lasts = code in (1008, 3000) or any(word in f"{kind} {reason}".lower() for word in _LASTING)
    said = [_line(kind), _line(reason)]
    if told is not None and lasts:  # about the settings; of other errors it may hold words spoken
        said.insert(1, _line(told.message or told.reason or ""))
    words = ": ".join(dict.fromkeys(filter(None, said)))
    sentence = f"closed the connection: {code} {words}".rstrip()
    if not lasts:
        return ProviderLostError(PROVIDER, sentence, code)
    hint = _FIXES.get(kind, "check the agent's settings")
    return ProviderRefusedError(PROVIDER, f"{sentence}; {hint}", code)


def _line(text: str) -> str:
    return "".join(filter(str.isprintable, " ".join(text.split())))[:_MOST_REASON]
