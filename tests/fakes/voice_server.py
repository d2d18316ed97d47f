"""The server of a fake voice: one WebSocket path, refused upgrades, faults, and what came.

What is said on the socket is the fake's business; here is what all of them have around it.
"""

import asyncio
from collections import deque
from types import TracebackType
from typing import Any, Self

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from tests.fakes.voice_faults import Fault, Refusal


class EndedError(Exception):
    """The conversation is over: its generations are to end with it."""


class VoiceServer:
    """A server on a port of its own at ``url``, an async context manager.

    ``requests`` holds the messages that came, oldest first, ``handshakes`` the upgrades. What
    stands in ``next_contexts`` and ``next_upgrades`` befalls those, one each.
    """

    def __init__(self) -> None:
        self.url = ""
        self.requests: deque[dict[str, Any]] = deque(maxlen=20_000)
        self.handshakes: deque[Request] = deque(maxlen=1000)
        self.next_contexts: deque[Fault | None] = deque()
        self.next_upgrades: deque[Refusal | None] = deque()
        self.connections: set[ServerConnection] = set()
        self._server: Server | None = None

    def refusal(self, request: Request) -> Refusal | None:
        """Return why an upgrade is refused, if it is."""
        raise NotImplementedError

    def body(self, refusal: Refusal) -> str:
        """Return the JSON that goes with a refusal."""
        raise NotImplementedError

    async def converse(self, connection: ServerConnection, group: asyncio.TaskGroup) -> None:
        """Serve a connection; what it starts in ``group`` ends with it."""
        raise NotImplementedError

    def take_fault(self) -> Fault | None:
        """Return what befalls the context that is opened now."""
        return self.next_contexts.popleft() if self.next_contexts else None

    async def drop(self, code: int | None = 1011) -> None:
        """End all connections; ``None`` cuts them without a close."""
        for connection in list(self.connections):
            await end(connection, code)

    async def __aenter__(self) -> Self:
        self._server = await serve(
            self._serve, "127.0.0.1", 0, process_request=self._admit, compression=None
        )
        port = next(iter(self._server.sockets)).getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._server is not None:
            for connection in self.connections:
                connection.transport.abort()
            self._server.close()
            await self._server.wait_closed()

    def _admit(self, connection: ServerConnection, request: Request) -> Response | None:
        self.handshakes.append(request)
        refusal = self.next_upgrades.popleft() if self.next_upgrades else None
        refusal = refusal or self.refusal(request)
        if refusal is None:
            return None
        body = self.body(refusal).encode()
        headers = Headers({"Content-Type": "application/json", "Content-Length": str(len(body))})
        if refusal.retry_after is not None:
            headers["Retry-After"] = refusal.retry_after
        return Response(refusal.status, "Refused", headers, body)

    async def _serve(self, connection: ServerConnection) -> None:
        self.connections.add(connection)
        try:
            async with asyncio.TaskGroup() as group:
                await self.converse(connection, group)
                raise EndedError
        except* (ConnectionClosed, EndedError):
            pass
        finally:
            self.connections.discard(connection)


async def end(connection: ServerConnection, code: int | None, reason: str = "") -> None:
    """Close a connection, or cut it when there is no ``code``."""
    if code is None:
        connection.transport.abort()
    else:
        await connection.close(code, reason)
