"""One call's way to its process: the caller's audio and all events, in the order they came in.

    audio ──20 ms──> gathered, if the call has asked for batches ──full──> pipe
    event ──────────> what was gathered first, then the event ───────────> pipe

Every message wakes the call's process. One that hears through a provider which takes 60 ms at a
time needs no more messages than that.
"""

from typing import Protocol

from shared import messages
from shared.audio import FRAME_BYTES, bytes_of_ms


class Outlet(Protocol):
    """A pipe, as far as it is written to."""

    def send(self, frame: bytes, droppable: bool = False) -> None:
        """Write a frame, or queue it."""


class Inbound:
    """Hands audio and events on. Before `connect` there is nobody to hear them."""

    __slots__ = ("_batch", "_gathered", "_outlet", "_size")

    def __init__(self) -> None:
        self._outlet: Outlet | None = None
        self._batch = FRAME_BYTES
        self._gathered: list[bytes] = []
        self._size = 0

    def connect(self, outlet: Outlet) -> None:
        """From now on a process listens."""
        self._outlet = outlet

    def gather(self, batch_ms: int) -> None:
        """Send audio ``batch_ms`` at a time from now on; 20 ms is as it comes."""
        self._flush()
        self._batch = bytes_of_ms(batch_ms)

    def audio(self, audio: bytes) -> None:
        """Send the caller's audio; the oldest goes first when the process does not read."""
        if self._outlet is None:
            return
        if self._batch <= FRAME_BYTES:
            self._outlet.send(messages.audio_frame(audio), True)
            return
        self._gathered.append(audio)
        self._size += len(audio)
        if self._size >= self._batch:
            self._flush()

    def event(self, event: messages.Event) -> None:
        """Send an event, behind all audio so far."""
        if self._outlet is not None:
            self._flush()
            self._outlet.send(messages.encode(event))

    def _flush(self) -> None:
        if self._gathered and self._outlet is not None:
            gathered = b"".join(self._gathered)
            self._gathered.clear()
            self._size = 0
            self._outlet.send(messages.audio_frame(gathered), True)
