"""One media socket of a call: the audio's way in, one method call long."""

from collections.abc import Callable
from typing import Protocol

from gateway.calls.inbound import Inbound
from gateway.media.listener import MediaSocket, StreamStart
from gateway.recording.recorder import Recorder
from gateway.recording.taps import RecordedSocket, both
from shared import messages


class StreamOwner(Protocol):
    """The call that a stream belongs to."""

    inbound: Inbound

    def tell(self, event: messages.Event) -> None:
        """Send an event to the call's process."""

    def stream_started(self, stream: "CallStream", sid: str, parameters: dict[str, str]) -> None:
        """The stream is open."""

    def stream_ended(self, stream: "CallStream", said_stop: bool, reason: str) -> None:
        """The stream is gone."""


class CallStream:
    """Hears one media socket for one call. A call may have several, one after the other."""

    __slots__ = ("_bare", "_call", "_closed", "_hear", "_recorder", "_stopped", "socket")

    socket: MediaSocket
    _bare: MediaSocket
    _hear: Callable[[bytes], None]

    def __init__(self, call: StreamOwner) -> None:
        self._call = call
        self._stopped = self._closed = False
        self._recorder: Recorder | None = None

    def stream_started(self, socket: MediaSocket, start: StreamStart) -> None:
        """Hand the stream to the call."""
        self.socket = self._bare = socket
        self._hear = self._call.inbound.audio
        self._call.stream_started(self, start.stream_sid, dict(start.parameters))

    def stream_audio(self, audio: bytes) -> None:
        """The caller's audio came."""
        self._hear(audio)

    def stream_mark(self, name: str) -> None:
        """A mark came back."""
        if self._recorder is not None:
            self._recorder.echo(name)
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

    def record(self, recorder: Recorder | None) -> None:
        """Let a recorder hear both sides, or nobody."""
        if self._closed:
            return
        self._recorder, self._hear = recorder, self._call.inbound.audio
        self.socket = self._bare
        if recorder is not None:
            self._hear = both(self._hear, recorder)
            self.socket = RecordedSocket(self._bare, recorder)

    def close(self, reason: str) -> None:
        """Close the socket from this side."""
        self._closed, self._recorder = True, None
        self._hear = _nowhere
        self.socket.close(1000, reason[:100])


def _nowhere(audio: bytes) -> None:
    """Where audio goes that comes after the close."""
