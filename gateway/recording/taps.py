"""Puts a recorder between a call and its media socket: both sides pass through, and are noted.

One object a recorded stream; a stream that is not recorded has none.
"""

from collections.abc import Callable

from gateway.media.listener import MediaSocket
from gateway.recording.recorder import Recorder


class RecordedSocket:
    """A `MediaSocket` whose way back to the caller is recorded."""

    __slots__ = ("_recorder", "_socket")

    def __init__(self, socket: MediaSocket, recorder: Recorder) -> None:
        self._socket, self._recorder = socket, recorder

    def play(self, audio: bytes) -> None:
        """Play, then note it."""
        self._socket.play(audio)
        self._recorder.agent(audio)

    def mark(self, name: str) -> None:
        """Set a mark, then note it."""
        self._socket.mark(name)
        self._recorder.mark(name)

    def clear(self) -> None:
        """Clear, then note it."""
        self._socket.clear()
        self._recorder.clear()

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Close the socket."""
        self._socket.close(code, reason)


def both(hear: Callable[[bytes], None], recorder: Recorder) -> Callable[[bytes], None]:
    """Return what hands the caller's audio on by ``hear``, and notes it."""
    note = recorder.caller

    def hear_and_note(audio: bytes) -> None:
        hear(audio)
        note(audio)

    return hear_and_note
