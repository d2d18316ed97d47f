"""Deepgram on loopback: ``/v1/listen``, ``/v2/listen`` and ``/v1/speak``, with their refusals.

    async with DeepgramFake() as deepgram:
        ... set DEEPGRAM_BASE_URL to deepgram.url, DEEPGRAM_API_KEY to deepgram.key ...
        deepgram.hears("two of us")        # the words of the next speech that it hears
        deepgram.refuse(429, "TOO_MANY_REQUESTS", "slow down")
        socket = await deepgram.socket()   # the next connection, to look at or to break

Speech is what is loud in the audio; when it ends, and what is sent for it meanwhile, follows the
parameters that the client has asked for.
"""

import asyncio
import contextlib
import json
from collections import deque
from types import TracebackType
from typing import Self

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from tests.fakes.deepgram_flux import Flux
from tests.fakes.deepgram_nova import Nova
from tests.fakes.deepgram_query import RefusedError, check_request
from tests.fakes.deepgram_socket import ClosedError, PingedConnection, Socket
from tests.fakes.deepgram_speak import Aura, SpeakLimits

KEY = "dg-fake-key"


class DeepgramFake:
    """The server, an async context manager. ``sockets`` are all connections so far, in order."""

    def __init__(
        self,
        key: str = KEY,
        *,
        idle_s: float = 10.0,
        flux_idle_s: float = 60.0,
        speak: SpeakLimits | None = None,
        is_noisy: bool = False,
    ) -> None:
        self.key = key
        self.idle_s, self.flux_idle_s = idle_s, flux_idle_s
        self.speak = speak or SpeakLimits()
        self.is_noisy = is_noisy
        self.is_mute = False
        """Connections to come are accepted, and nothing is ever said on them."""
        self.freezes = 0
        """How many of the next Flux connections freeze in their first turn."""
        self.url = ""
        self.sockets: list[Socket] = []
        self.refused = 0
        self._script: deque[str] = deque()
        self._refusals: deque[RefusedError] = deque()
        self._arrived: asyncio.Queue[Socket] = asyncio.Queue()
        self._server: Server | None = None

    def hears(self, *texts: str) -> None:
        """Have these words recognised in the next stretches of speech, on whichever connection."""
        self._script.extend(texts)

    def refuse(
        self,
        status: int,
        code: str,
        message: str,
        *,
        times: int = 1,
        retry_after: str | None = None,
    ) -> None:
        """Refuse the next upgrades."""
        refusal = RefusedError(status, code, message, retry_after)
        self._refusals.extend([refusal] * times)

    async def socket(self) -> Socket:
        """Return the next connection that was opened; wait for it."""
        return await self._arrived.get()

    async def __aenter__(self) -> Self:
        self._server = await serve(
            self._handle,
            "127.0.0.1",
            0,
            process_request=self._check,
            create_connection=PingedConnection,
            ping_interval=None,
            close_timeout=1.0,
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
            self._server.close()
            await self._server.wait_closed()

    def _check(self, connection: ServerConnection, request: Request) -> Response | None:
        try:
            if self._refusals:
                raise self._refusals.popleft()
            check_request(request.path, request.headers.get("Authorization", ""), self.key)
        except RefusedError as refusal:
            self.refused += 1
            body = {"err_code": refusal.code, "err_msg": refusal.message, "request_id": "fake"}
            response = connection.respond(refusal.status, json.dumps(body))
            response.headers["dg-request-id"] = "fake"
            response.headers["dg-error"] = refusal.message
            if refusal.retry_after is not None:
                response.headers["Retry-After"] = refusal.retry_after
            return response
        return None

    async def _handle(self, connection: ServerConnection) -> None:
        request = connection.request
        assert isinstance(connection, PingedConnection)
        assert request is not None
        headers = request.headers
        path, query = check_request(request.path, headers.get("Authorization", ""), self.key)
        socket = Socket(connection, path, query, dict(headers.raw_items()), is_mute=self.is_mute)
        self.sockets.append(socket)
        self._arrived.put_nowait(socket)
        with contextlib.suppress(ClosedError, ConnectionClosed):
            await self._side(socket).run()
        socket.close_code = connection.close_code

    def _side(self, socket: Socket) -> Nova | Flux | Aura:
        match socket.path:
            case "/v1/listen":
                return Nova(socket, self._script, self.idle_s, self.is_noisy)
            case "/v2/listen":
                is_frozen, self.freezes = self.freezes > 0, max(0, self.freezes - 1)
                return Flux(socket, self._script, self.flux_idle_s, is_frozen)
            case _:
                return Aura(socket, self.speak)
