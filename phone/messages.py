"""The JSON of a media socket, both ways.

To the server: string-typed numbers, one sequence over all messages that starts at 1 with
``start``. From the server: exactly the fields Twilio documents, anything else is an
`InvalidMessageError` (Twilio's warning 31951). Source: "Media Streams: WebSocket Messages".
"""

import binascii
from collections.abc import Mapping

import msgspec

from shared.audio import SILENT_FRAME


class _Payload(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    payload: bytes


class _MarkName(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str


class _ServerMessage(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="event", rename="camel"
):
    stream_sid: str


class Media(_ServerMessage, frozen=True, tag="media"):
    """Audio to play: ``media.payload`` is μ-law 8 kHz, already out of its base64."""

    media: _Payload


class Mark(_ServerMessage, frozen=True, tag="mark"):
    """A mark to echo when the audio before it has been played."""

    mark: _MarkName


class Clear(_ServerMessage, frozen=True, tag="clear"):
    """Throw away what has not been played."""


_decoder: msgspec.json.Decoder[Media | Mark | Clear] = msgspec.json.Decoder(Media | Mark | Clear)


class InvalidMessageError(ValueError):
    """A text message that Twilio drops with warning 31951."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return f"message from the server dropped: {self.reason}"


def decode(text: str, stream_sid: str) -> Media | Mark | Clear:
    """Read one text message of the server.

    Raises `InvalidMessageError`: bad JSON, unknown event, missing, extra or wrong-typed field, bad
    base64, or another stream's ``streamSid``.
    """
    try:
        message = _decoder.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as error:
        raise InvalidMessageError(str(error)) from error
    if message.stream_sid != stream_sid:
        raise InvalidMessageError(f"streamSid is {message.stream_sid!r}, not {stream_sid!r}")
    return message


_SILENT_PAYLOAD = binascii.b2a_base64(SILENT_FRAME, newline=False).decode("ascii")

CONNECTED = '{"event":"connected","protocol":"Call","version":"1.0.0"}'
"""The first message of every socket."""


class Writer:
    """Writes one stream's messages and counts their sequence numbers."""

    def __init__(self, account_sid: str, call_sid: str, stream_sid: str) -> None:
        self._account_sid, self._call_sid, self._stream_sid = account_sid, call_sid, stream_sid
        self._sequence = 0
        self._chunk = 0

    def _head(self, event: str) -> str:
        self._sequence += 1
        return (
            f'{{"event":"{event}","sequenceNumber":"{self._sequence}",'
            f'"streamSid":"{self._stream_sid}",'
        )

    def start(self, parameters: Mapping[str, str]) -> str:
        """Return ``start`` with the stream's ``<Parameter>``s."""
        body = {
            "accountSid": self._account_sid,
            "streamSid": self._stream_sid,
            "callSid": self._call_sid,
            "tracks": ["inbound"],
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
            "customParameters": dict(parameters),
        }
        return f'{self._head("start")}"start":{msgspec.json.encode(body).decode()}}}'

    def media(self, frame: bytes, timestamp_ms: int) -> str:
        """Return a frame of the caller's audio; ``timestamp_ms`` counts from the stream's start."""
        self._chunk += 1
        payload = (
            _SILENT_PAYLOAD
            if frame is SILENT_FRAME
            else binascii.b2a_base64(frame, newline=False).decode("ascii")
        )
        return (
            f'{self._head("media")}"media":{{"track":"inbound","chunk":"{self._chunk}",'
            f'"timestamp":"{timestamp_ms}","payload":"{payload}"}}}}'
        )

    def dtmf(self, digit: str) -> str:
        """Return one key press."""
        return f'{self._head("dtmf")}"dtmf":{{"track":"inbound_track","digit":"{digit}"}}}}'

    def mark(self, name: str) -> str:
        """Return the echo of the server's mark ``name``."""
        return f'{self._head("mark")}"mark":{{"name":{msgspec.json.encode(name).decode()}}}}}'

    def stop(self) -> str:
        """Return ``stop``, the last message."""
        return (
            f'{self._head("stop")}"stop":{{"accountSid":"{self._account_sid}",'
            f'"callSid":"{self._call_sid}"}}}}'
        )
