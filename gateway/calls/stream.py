"""One media socket of a call: the audio's way in, one method call long."""

from collections.abc import Callable
from typing import Protocol

from gateway.farm.process import CallProcess
from gateway.media.listener import MediaSocket, StreamStart
from shared import messages


class StreamOwner(Protocol):
    """The call that a stream belongs to."""

    process: CallProcess | None

    def tell(self, event: messages.Event) -> None:
        """Send an event to the call's process."""

    def stream_started(self, stream: "CallStream", sid: str, parameters: dict[str, str]) -> None:
        """The stream is open."""

    def stream_ended(self, stream: "CallStream", said_stop: bool, reason: str) -> None:
        """The stream is gone."""


class CallStream:
    """Hears one media socket for one call. A call may have several, one after the other."""

    __slots__ = ("_call", "_send", "_stopped", "socket")

    socket: MediaSocket
    _send: Callable[..., None]

    def __init__(self, call: StreamOwner) -> None:
        self._call = call
        self._stopped = False

    def stream_started(self, socket: MediaSocket, start: StreamStart) -> None:
        """Hand the stream to the call."""
        self.socket = socket
        process = self._call.process
        self._send = process.pipe.send if process is not None else _nowhere
        self._call.stream_started(self, start.stream_sid, dict(start.parameters))

    def stream_audio(self, audio: bytes) -> None:
        """Send the caller's audio to the process; the oldest goes first when it does not read."""
        self._send(messages.audio_frame(audio), True)

    def stream_mark(self, name: str) -> None:
        """A mark came back."""
        self._call.tell(messages.MarkPlayed(name))

    def stream_dtmf(self, digit: str) -> None:
        """The caller pressed a key."""
        self._call.tell(messages.Dtmf(digit))

    def stream_stopped(self) -> None:
        """The carrier said that the stream is over; the socket closes next."""
        self._stopped = True

    def stream_closed(self, code: int, reason: str) -> None:
        """The socket is gone."""
        self._call.stream_ended(self, self._stopped, f"closed with {code} {reason}".rstrip())

    def close(self, reason: str) -> None:
        """Close the socket from this side."""
        self._send = _nowhere
        self.socket.close(1000, reason[:100])


def _nowhere(frame: bytes, droppable: bool = False) -> None:
    """Where audio goes when there is no process."""
