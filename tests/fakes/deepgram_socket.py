"""One connection to the fake: what it received, and how it answers and ends."""

import asyncio
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from websockets.asyncio.server import ServerConnection
from websockets.frames import Frame, Opcode
from websockets.http11 import Request

from tests.fakes.deepgram_query import Query

NET_0001 = (
    "Deepgram did not receive audio data or a text message within the timeout window. "
    "See https://dpgr.am/net0001"
)


class ClosedError(Exception):
    """This side has closed."""


class PingedConnection(ServerConnection):
    """A connection that knows when it was last pinged: pings hold Flux open."""

    pinged_at = 0.0

    def process_event(self, event: Frame | Request) -> None:  # type: ignore[override]
        if isinstance(event, Frame) and event.opcode is Opcode.PING:
            self.pinged_at = time.monotonic()
        super().process_event(event)


@dataclass(eq=False)
class Socket:
    """A connection as tests see it. ``texts`` are the client's messages, ``audio`` its audio."""

    connection: PingedConnection
    path: str
    query: Query
    headers: Mapping[str, str]
    audio: bytearray = field(default_factory=bytearray)
    chunks: list[int] = field(default_factory=list)
    """Sizes of the binary messages."""

    texts: list[dict[str, object]] = field(default_factory=list)
    close_code: int | None = None
    """The code that the client closed with, once it has."""

    is_mute: bool = False
    """It listens and says nothing more."""

    @property
    def types(self) -> list[object]:
        """Return the types of the client's messages, in order."""
        return [text.get("type") for text in self.texts]

    async def send(self, message: Mapping[str, object] | str | bytes) -> None:
        """Send a message as it is."""
        if not self.is_mute:
            data = message if isinstance(message, str | bytes) else json.dumps(message)
            await self.connection.send(data)

    async def receive(self, idle_s: float, *, pings_count: bool = False) -> str | bytes:
        """Return the client's next message; close with 1011 NET-0001 when there is none."""
        since = time.monotonic()
        while True:
            try:
                async with asyncio.timeout(since + idle_s - time.monotonic()):
                    message = await self.connection.recv()
            except TimeoutError:
                if not pings_count or self.connection.pinged_at <= since:
                    await self.close(1011, NET_0001)
                since = self.connection.pinged_at
            else:
                self._keep(message)
                return message

    def _keep(self, message: str | bytes) -> None:
        if isinstance(message, bytes):
            self.audio += message
            self.chunks.append(len(message))

    def parse(self, message: str) -> dict[str, object] | None:
        """Return a client's text message, ``None`` when it is none with a type."""
        try:
            parsed = json.loads(message)
        except ValueError:
            return None
        if not isinstance(parsed, dict) or not isinstance(parsed.get("type"), str):
            return None
        self.texts.append(parsed)
        return parsed

    async def close(self, code: int, reason: str = "") -> None:
        """Close and raise what ends the connection's handler."""
        await self.connection.close(code, reason)
        raise ClosedError

    async def close_without_code(self) -> None:
        """Close with a frame that has no status code (1005)."""
        self.connection.protocol.send_close()
        self.connection.send_data()
        await self.connection.wait_closed()
        raise ClosedError

    def cut(self) -> None:
        """Drop the connection with no close frame (1006)."""
        self.connection.transport.abort()
