"""A small real server that plays a Twilio application: webhooks, callbacks and a media socket.

Each test says what the webhooks answer and what the socket does. Every request must be signed;
one that is not is refused and kept in `unsigned`.
"""

import asyncio
import base64
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect
from twilio.request_validator import RequestValidator

TOKEN = "phone-test-token"

Form = dict[str, str]
Webhook = Callable[[Form], str | Response | Awaitable[Response]]


def twiml(*verbs: str) -> str:
    """Return a document of ``verbs``."""
    return f"<Response>{''.join(verbs)}</Response>"


def stream(url: str = "/media", inside: str = "", attributes: str = "", connect: str = "") -> str:
    """Return a ``<Connect><Stream>``."""
    return f'<Connect{connect}><Stream url="{url}" {attributes}>{inside}</Stream></Connect>'


class Media:
    """The server's end of one media socket."""

    def __init__(self, websocket: WebSocket) -> None:
        self.websocket = websocket
        self.messages: list[dict[str, Any]] = []
        self.sid = ""
        self.disconnected: int | None = None
        self.over = asyncio.Event()

    async def next(self, event: str | None = None) -> dict[str, Any]:
        """Return the next message, or the next one of a kind."""
        while True:
            message: dict[str, Any] = json.loads(await self.websocket.receive_text())
            self.messages.append(message)
            if event is None or message["event"] == event:
                return message

    async def started(self) -> None:
        """Read up to ``start``."""
        self.sid = (await self.next("start"))["streamSid"]

    async def all(self) -> None:
        """Read until the other side closes."""
        while True:
            await self.next()

    async def play(self, audio: bytes) -> None:
        payload = base64.b64encode(audio).decode()
        await self.send({"event": "media", "media": {"payload": payload}})

    async def mark(self, name: str) -> None:
        await self.send({"event": "mark", "mark": {"name": name}})

    async def clear(self) -> None:
        await self.send({"event": "clear"})

    async def send(self, message: dict[str, Any]) -> None:
        await self.websocket.send_text(json.dumps({"streamSid": self.sid} | message))

    async def close(self, code: int = 1000) -> None:
        await self.websocket.close(code)

    def of(self, event: str) -> list[dict[str, Any]]:
        return [message for message in self.messages if message["event"] == event]

    @property
    def audio(self) -> bytes:
        """What the caller sent."""
        return b"".join(base64.b64decode(m["media"]["payload"]) for m in self.of("media"))


async def listen(media: Media) -> None:
    """A media handler that only reads."""
    await media.started()
    await media.all()


@dataclass
class App:
    """What the server answers, and what it was asked."""

    webhooks: dict[str, Webhook] = field(default_factory=dict)
    media: Callable[[Media], Awaitable[None]] = listen
    requests: list[tuple[str, Form]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    sockets: list[Media] = field(default_factory=list)
    unsigned: list[str] = field(default_factory=list)
    order: list[str] = field(default_factory=list)
    """Paths and socket events in the order in which the server saw them."""
    base: str = ""

    def url(self, path: str = "/voice") -> str:
        return self.base + path

    def forms(self, path: str) -> list[Form]:
        return [form for where, form in self.requests if where == path]

    async def webhook(self, request: Request) -> Response:
        form: Form = {}
        if request.method == "POST":
            form = dict(parse_qsl((await request.body()).decode(), keep_blank_values=True))
        signature = request.headers.get("x-twilio-signature", "")
        if not RequestValidator(TOKEN).validate(str(request.url), form, signature):
            self.unsigned.append(str(request.url))
            return Response(status_code=403)
        form |= dict(request.query_params) if request.method == "GET" else {}
        self.headers.append(dict(request.headers))
        self.requests.append((request.url.path, form))
        self.order.append(request.url.path)
        answer = self.webhooks.get(request.url.path, _empty)(form)
        if isinstance(answer, str):
            return Response(answer, media_type="text/xml")
        return answer if isinstance(answer, Response) else await answer

    async def socket(self, websocket: WebSocket) -> None:
        self.headers.append(dict(websocket.headers))
        url = str(websocket.url).replace("ws:", "wss:", 1)
        signature = websocket.headers.get("x-twilio-signature", "")
        if not RequestValidator(TOKEN).validate(url, {}, signature):
            self.unsigned.append(url)
            await websocket.close(1008)
            return
        await websocket.accept()
        media = Media(websocket)
        self.sockets.append(media)
        try:
            await self.media(media)
        except WebSocketDisconnect as gone:
            media.disconnected = gone.code
        self.order.append("closed")
        media.over.set()


def _empty(form: Form) -> Response:
    del form
    return Response()


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()


@asynccontextmanager
async def serving(app: App, certificate: Path | None = None) -> AsyncIterator[App]:
    """Run ``app`` on a free port of loopback, with TLS if there is a certificate with its key."""
    methods = ["GET", "POST"]
    starlette = Starlette(
        routes=[
            WebSocketRoute("/media{rest:path}", app.socket),
            Route("/{path:path}", app.webhook, methods=methods),
        ]
    )
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        starlette,
        log_config=None,
        ws="websockets-sansio",
        lifespan="off",
        loop="none",
        ssl_certfile=certificate,
    )
    server = _Server(config)
    server.capture_signals = nullcontext  # type: ignore[method-assign, assignment]
    scheme = "https" if certificate else "http"
    app.base = f"{scheme}://127.0.0.1:{listener.getsockname()[1]}"
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        await server.up.wait()
        yield app
    finally:
        server.should_exit = True
        await task
