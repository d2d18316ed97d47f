"""A vLLM server with a model that hears, on loopback: OpenAI's chat, with audio in it.

    async with VLLMFake() as fake:
        fake.replies = answers({"a table for two": "For when?"})
        ... point VLLM_BASE_URL at fake.url ...
        assert fake.heard == ["a table for two"]

It reads the words out of the audio that it is sent, and refuses audio that is none. It can be cold:
for ``starts_s`` nobody listens at its port; then, from the first request on, it loads for
``loads_s``, and answers 503 meanwhile, or, as some proxies do, ``holds`` the request.
"""

import asyncio
import contextlib
import json
import math
import socket
from typing import Any, Self

from aiohttp import web

from tests.fakes import openai_chat
from tests.fakes.openai import OpenAIFake
from tests.fakes.openai_chat import Dialect
from tests.fakes.openai_refusal import Refusal
from tests.fakes.vllm_audio import understood

MODEL = "fixie-ai/ultravox-v0_5-llama-3_1-8b"


class VLLMFake(OpenAIFake):
    """One server behind ``url``.

    ``audio_limit`` is ``--limit-mm-per-prompt.audio``; without ``tool_parser`` tools are refused.
    ``flat_errors``: refusals have the shape of older versions. With ``starts_s`` it refuses to be
    reached for so long; without end (``math.inf``) until `start_in` is called.
    """

    def __init__(
        self,
        *,
        key: str | None = None,
        port: int = 0,
        starts_s: float = 0.0,
        loads_s: float = 0.0,
        holds: bool = False,
        audio_limit: int = 1,
        tool_parser: bool = False,
        flat_errors: bool = False,
    ) -> None:
        super().__init__(key=key, port=port)
        self.models = {MODEL}
        self.dialect = Dialect(tolerant=True)
        self.audio_limit, self.tool_parser, self.flat_errors = audio_limit, tool_parser, flat_errors
        self._starts_s, self.loads_s, self._holds = starts_s, loads_s, holds
        self._ready_at: float | None = None
        self._starting: asyncio.Task[None] | None = None
        self._sock: socket.socket | None = None
        self.heard: list[str] = []
        """What was last said in each request that was understood."""
        self.turned_away = 0
        """Requests that came while it loaded."""

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=32 << 20, middlewares=[self._cold])
        app.router.add_post("/v1/chat/completions", self._chat)
        app.router.add_get("/v1/models", self._models)
        app.router.add_get("/health", self._health)
        self._runner = web.AppRunner(
            app, access_log=None, shutdown_timeout=0.5, handler_cancellation=True
        )
        await self._runner.setup()
        # Bound and not listening: whoever connects is refused, and nobody else gets the port.
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("127.0.0.1", self._port))
        self.url = f"http://127.0.0.1:{sock.getsockname()[1]}/v1"
        if self._starts_s == math.inf:
            self._sock = sock
        elif self._starts_s:
            self._starting = asyncio.create_task(self._start(sock, self._starts_s))
        else:
            await self._start(sock, 0)
        return self

    def start_in(self, seconds: float) -> None:
        """Be reached from then on, for one that does not start by itself."""
        assert self._sock is not None
        self._starting = asyncio.create_task(self._start(self._sock, seconds))

    async def _start(self, sock: socket.socket, seconds: float) -> None:
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            sock.close()
            raise
        await web.SockSite(self._runner, sock).start()

    async def __aexit__(self, *error: Any) -> None:
        if self._starting is not None:
            self._starting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._starting
        await super().__aexit__(*error)

    def sleep(self) -> None:
        """Go to sleep: the next request wakes it, as the first one does."""
        self._ready_at = None

    # What it answers ---------------------------------------------------------------------------

    @web.middleware
    async def _cold(self, request: web.Request, handler: Any) -> web.StreamResponse:
        now = asyncio.get_running_loop().time()
        if self._ready_at is None:
            self._ready_at = now + self.loads_s
        if now < self._ready_at:
            self.turned_away += 1
            if not self._holds:
                return web.Response(status=503, text="no healthy upstream")
            await asyncio.sleep(self._ready_at - now)
        response: web.StreamResponse = await handler(request)
        return response

    async def _health(self, request: web.Request) -> web.StreamResponse:
        return web.Response()

    async def _models(self, request: web.Request) -> web.StreamResponse:
        return self._shaped(await super()._models(request))

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        try:
            asked, fault = await self._open(request, "chat")
            body = asked.body
            openai_chat.check(body, self.models, self.dialect)
            if "tools" in body and not self.tool_parser:
                raise Refusal(
                    400,
                    None,
                    '"auto" tool choice requires --enable-auto-tool-choice and '
                    "--tool-call-parser to be set",
                )
            if not body.get("stream"):
                raise Refusal(400, None, "This fake streams only.")
            messages = understood(body["messages"], self.audio_limit)
        except Refusal as refusal:
            return self._shaped(refusal.response())
        self.heard.append(str(messages[-1]["content"]))
        self.changed()
        reply = openai_chat.next_reply(self.replies, messages)
        pieces = openai_chat.events(reply, body, self.dialect)
        return await self._streamed(request, asked, "text/event-stream", pieces, fault)

    def _shaped(self, response: web.StreamResponse) -> web.StreamResponse:
        """Give a refusal the shape that this version has."""
        if not self.flat_errors or not isinstance(response, web.Response) or response.status < 400:
            return response
        error = json.loads(response.text or "{}")["error"]
        flat = {"object": "error", **error, "code": response.status}
        return web.json_response(flat, status=response.status)
