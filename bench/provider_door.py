"""The connections of the providers' stand-in: HTTP requests and WebSockets on one port.

As lean as Python can be, so that what is measured is the agents: no framework, no task. It knows
nothing of what is said; a `Side` does. For loopback only: what it does not expect ends the
connection.
"""

import asyncio
import base64
import hashlib
from collections.abc import Callable, Mapping
from typing import Protocol, cast

from gateway.media import frames
from gateway.media.frames import Binary, Close, FrameReader, Ping, text_frame

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_LARGEST = 1 << 20
_UPGRADED = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: %b\r\n\r\n"
)


class Side(Protocol):
    """The provider's side of one connection."""

    def asked(self, path: str, body: bytes) -> None:
        """An HTTP request came."""

    def heard(self, audio: bytes) -> None:
        """A binary message came."""

    def told(self, text: bytes) -> None:
        """A text message came."""

    def lost(self) -> None:
        """The connection is gone."""


class Door(asyncio.Protocol):
    """One connection. ``admit`` returns who answers a path, ``None`` to refuse it."""

    def __init__(self, admit: Callable[["Door", str, Mapping[str, str]], Side | None]) -> None:
        self._admit = admit
        self._side: Side | None = None
        self._reader: FrameReader | None = None
        self._head = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a connection."""
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever answered."""
        if self._side is not None:
            self._side.lost()

    def write(self, data: bytes) -> None:
        """Send bytes as they are."""
        if not self._transport.is_closing():
            self._transport.write(data)

    def tell(self, *messages: bytes) -> None:
        """Send text messages of a WebSocket."""
        self.write(b"".join(map(text_frame, messages)))

    def send(self, message: bytes) -> None:
        """Send a binary message of a WebSocket, up to 65535 bytes (RFC 6455, 5.2)."""
        size = len(message)
        head = bytes((0x82, size)) if size < 126 else b"\x82\x7e" + size.to_bytes(2, "big")
        self.write(head + message)

    def close(self) -> None:
        """Close the WebSocket."""
        self.write(frames.close_frame(frames.NORMAL))

    def data_received(self, data: bytes) -> None:
        """Read."""
        if self._reader is None:
            self._request(self._head + data)
            return
        for item in self._reader.feed(data):
            self._message(item)

    def _message(self, item: frames.Item) -> None:
        assert self._side is not None
        if isinstance(item, Binary):
            self._side.heard(item.data)
        elif isinstance(item, bytes):
            self._side.told(bytes(item))
        elif isinstance(item, Ping):
            self.write(frames.pong_frame(item.data))
        elif isinstance(item, Close):
            self.write(frames.close_frame(item.code))
            self._transport.close()

    def _request(self, data: bytes) -> None:
        head, separator, rest = data.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.strip().lower(): value.strip() for name, _, value in map(_field, lines)}
        size = int(headers.get("content-length", 0)) if separator else 0
        if not separator or len(rest) < size:
            self._head = data
            return
        self._head = b""
        path = first.split(" ")[1]
        side = self._admit(self, path, headers)
        if side is None:
            self.write(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n")
            self._transport.close()
            return
        self._side = side
        if "upgrade" in headers:
            key = headers["sec-websocket-key"].encode()
            accept = base64.b64encode(hashlib.sha1(key + _GUID).digest())
            self.write(_UPGRADED % accept)
            self._reader = FrameReader(_LARGEST)
        else:
            side.asked(path, rest[:size])


def _field(line: str) -> tuple[str, str, str]:
    return line.partition(":")
