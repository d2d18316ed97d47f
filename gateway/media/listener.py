"""Who may open a media socket, and who listens to it: the seams between a socket and a call.

Only types: no socket, no carrier, no call is known here. Audio is μ-law 8 kHz mono throughout.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from websockets.datastructures import Headers


@dataclass(frozen=True, slots=True)
class Handshake:
    """A well-formed request to open a media socket."""

    target: str
    """Path and query, raw as they were sent: what a signature is made over."""
    headers: Headers
    """Case-insensitive. ``get`` raises ``MultipleValuesError`` for a header sent twice, which
    a gatekeeper may leave uncaught: the request is then refused with 400."""
    client: tuple[str, int] | None
    """Address and port of the other end of the connection; it may be a proxy's."""
    tls: bool
    """Whether the connection itself is encrypted."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Answer the handshake with a registered HTTP ``status`` and a ``sentence`` that helps."""

    status: int
    sentence: str


@dataclass(frozen=True, slots=True)
class StreamStart:
    """What the carrier's start message says, after its call and account were checked."""

    stream_sid: str
    parameters: Mapping[str, str]


class MediaSocket(Protocol):
    """The way back to the caller. Once the stream or the socket ended, nothing here has effect."""

    def play(self, audio: bytes) -> None:
        """Queue ``audio`` of any length behind what the carrier has yet to play."""

    def mark(self, name: str) -> None:
        """Have ``name`` come back when all audio before it was played, or cleared."""

    def clear(self) -> None:
        """Drop what the carrier has yet to play; its pending marks come back at once."""

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Close the socket. The stream's ``stream_closed`` follows within a few seconds."""


class StreamListener(Protocol):
    """Hears one media socket. What it raises ends that socket with 1011, and nothing else.

    Order: ``stream_started``, any number of the others, ``stream_stopped`` if the carrier says
    so, and always, exactly once and last, ``stream_closed``. Every call comes from the event
    loop and must not block.
    """

    def stream_started(self, socket: MediaSocket, start: StreamStart) -> None:
        """The stream is open: ``socket`` plays from now on."""

    def stream_audio(self, audio: bytes) -> None:
        """Some of the caller's voice as it came, in practice 20 ms (160 bytes)."""

    def stream_mark(self, name: str) -> None:
        """A mark came back."""

    def stream_dtmf(self, digit: str) -> None:
        """The caller pressed a key."""

    def stream_stopped(self) -> None:
        """The carrier ended the stream; nothing more is heard or played."""

    def stream_closed(self, code: int, reason: str) -> None:
        """The socket is gone: whoever closed first gave ``code``; 1006 when it was lost."""


@dataclass(frozen=True, slots=True)
class Admission:
    """Open the socket for ``listener``; its stream must be that call's of that account."""

    listener: StreamListener
    call_sid: str
    account_sid: str
    start_timeout: float = 5.0
    """Seconds in which the stream must start."""


class Gatekeeper(Protocol):
    """Decides on each handshake, at once and without blocking."""

    def admit(self, handshake: Handshake) -> Admission | Refusal:
        """Return who listens, or why not."""
