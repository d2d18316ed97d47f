"""The messages of a Twilio media stream (Media Streams, bidirectional): JSON to values and back.

Text in, values out, text in again; it keeps no state, knows no socket and no order of messages.
Fields and events that are not listed here are ignored, as Twilio asks: new ones appear without
notice. `sequenceNumber`, `chunk` and `timestamp` are not read at all: a WebSocket neither loses
nor reorders. `track` is not either: a `<Connect><Stream>` carries the inbound track only.
"""

from binascii import b2a_base64
from collections.abc import Callable
from typing import Any, Final, TypeAlias

import msgspec

MAX_AUDIO: Final = 60_000
"""Bytes of audio (7.5 s) in the largest media message we send: 80 kB as base64. Twilio documents
no limit; under 100 kB is known to be safe."""


class Connected(msgspec.Struct, frozen=True, tag="connected", tag_field="event"):
    """First message; it says nothing about the stream yet."""


class _Format(msgspec.Struct, frozen=True, rename="camel"):
    encoding: str
    sample_rate: int
    channels: int


_ULAW: Final = _Format("audio/x-mulaw", 8000, 1)


class _StartFields(msgspec.Struct, frozen=True, rename="camel"):
    account_sid: str
    call_sid: str
    custom_parameters: dict[str, str] = {}
    media_format: _Format = _ULAW


class Start(msgspec.Struct, frozen=True, rename="camel", tag="start", tag_field="event"):
    """Sent once, right after `Connected`: which call this is, and the TwiML's parameters."""

    stream_sid: str
    start: _StartFields

    @property
    def call_sid(self) -> str:
        """The call that the stream says it belongs to."""
        return self.start.call_sid

    @property
    def account_sid(self) -> str:
        """The account that the stream says it belongs to."""
        return self.start.account_sid

    @property
    def parameters(self) -> dict[str, str]:
        """The `<Parameter>`s of the TwiML."""
        return self.start.custom_parameters


class _Payload(msgspec.Struct, frozen=True, gc=False):
    payload: bytes


class Media(msgspec.Struct, frozen=True, gc=False, rename="camel", tag="media", tag_field="event"):
    """The caller's voice: μ-law 8 kHz mono, in practice 160 bytes (20 ms)."""

    stream_sid: str
    media: _Payload

    @property
    def audio(self) -> bytes:
        """The samples as they came."""
        return self.media.payload


class _Digit(msgspec.Struct, frozen=True):
    digit: str


class Dtmf(msgspec.Struct, frozen=True, rename="camel", tag="dtmf", tag_field="event"):
    """The caller pressed one key."""

    stream_sid: str
    dtmf: _Digit

    @property
    def digit(self) -> str:
        """``0-9``, ``*`` or ``#``."""
        return self.dtmf.digit


class _Name(msgspec.Struct, frozen=True):
    name: str


class Mark(msgspec.Struct, frozen=True, rename="camel", tag="mark", tag_field="event"):
    """The echo of our mark: all audio before it was played, or cleared."""

    stream_sid: str
    mark: _Name

    @property
    def name(self) -> str:
        """The name we gave it."""
        return self.mark.name


class Stop(msgspec.Struct, frozen=True, rename="camel", tag="stop", tag_field="event"):
    """The stream or the call ended; Twilio closes the socket next."""

    stream_sid: str


class Unknown(msgspec.Struct, frozen=True):
    """An event this version does not know: to be ignored."""

    event: str


Known: TypeAlias = Connected | Start | Media | Dtmf | Mark | Stop
StreamEvent: TypeAlias = Known | Unknown

_EVENTS: Final = frozenset({"connected", "start", "media", "dtmf", "mark", "stop"})
_read: Callable[[bytes], Known] = msgspec.json.Decoder(Known).decode
_read_anything: Callable[[bytes], object] = msgspec.json.Decoder(Any).decode


class StreamMessageError(ValueError):
    """A message that Twilio would not send."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class NotJsonError(StreamMessageError):
    """The message is not a JSON text."""

    def __str__(self) -> str:
        return f"message is not JSON: {self.detail}"


class WrongFieldsError(StreamMessageError):
    """The message is JSON, but a field is missing, of the wrong type, or says what cannot be."""

    def __str__(self) -> str:
        return f"unexpected message: {self.detail}"


def decode(message: bytes) -> StreamEvent:
    """Read one text message (UTF-8).

    Raises `NotJsonError` or `WrongFieldsError`.
    """
    try:
        event = _read(message)
    except (ValueError, RecursionError) as error:
        return _unread(message, error)
    if type(event) is Start and event.start.media_format != _ULAW:
        raise WrongFieldsError("mediaFormat is not audio/x-mulaw, 8000 Hz, 1 channel")
    return event


def _unread(message: bytes, error: Exception) -> Unknown:
    """Tell an unknown event from a wrong message and from what is not JSON."""
    try:
        content = _read_anything(message)
    except RecursionError:
        raise WrongFieldsError("nested too deeply") from error
    except ValueError as not_json:
        raise NotJsonError(str(not_json)) from error
    event = content.get("event") if isinstance(content, dict) else None
    if isinstance(event, str) and event not in _EVENTS:
        return Unknown(event)
    raise WrongFieldsError(str(error)) from error


class Outbound:
    """Writes the messages to one stream: exactly the fields Twilio allows, or it drops them."""

    __slots__ = ("_clear", "_mark", "_media")

    def __init__(self, stream_sid: str) -> None:
        """Write to the stream ``stream_sid`` (of its `Start`)."""
        sid = msgspec.json.encode(stream_sid)
        self._media = b'{"event":"media","streamSid":' + sid + b',"media":{"payload":"'
        self._mark = b'{"event":"mark","streamSid":' + sid + b',"mark":{"name":'
        self._clear = b'{"event":"clear","streamSid":' + sid + b"}"

    def media(self, audio: bytes) -> bytes:
        """Return the message that plays ``audio`` (μ-law, at most `MAX_AUDIO` bytes)."""
        return self._media + b2a_base64(audio, newline=False) + b'"}}'

    def mark(self, name: str) -> bytes:
        """Return the message that has ``name`` echoed when all audio before it was played."""
        return self._mark + msgspec.json.encode(name) + b"}}"

    def clear(self) -> bytes:
        """Return the message that empties Twilio's playout buffer."""
        return self._clear
