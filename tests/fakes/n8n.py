"""A receiver of webhooks, as n8n's Webhook node is one: it records, checks, and fails to order.

    async with N8nFake(secrets=("key",)) as n8n:
        n8n.answers = [Answer(500), Answer(200)]          the next ones; then ``otherwise``
        ... EVENTS_URL=n8n.url + "/webhook/calls" ...
        assert n8n.bodies("call.ended")

Like the real one it answers 404 for a path at which no flow is active (docs.n8n.io, "Webhook node"
and "common issues": *The requested webhook ... is not registered*), 200 with
``{"message":"Workflow was started"}`` else. A signature that is wrong, or older than
``freshness_s``, gets 401, whoever sent it.
"""

import asyncio
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

MOST_BODY = 16 << 20  # N8N_PAYLOAD_SIZE_MAX, 16 MB by default
STARTED = b'{"message":"Workflow was started"}'


@dataclass(frozen=True)
class Answer:
    """What a request is answered with. ``cut``: the connection is closed instead, half-way."""

    status: int = 200
    body: bytes = STARTED
    headers: dict[str, str] = field(default_factory=dict)
    delay_s: float = 0.0
    cut: bool = False
    garbage: bool = False


@dataclass(frozen=True)
class Received:
    """A request as it came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    at: float
    answered: int

    @property
    def json(self) -> Any:
        """The body, read."""
        return json.loads(self.body)

    @property
    def key(self) -> str:
        """Its idempotency key."""
        return self.headers.get("idempotency-key", "")


class N8nFake:
    """One n8n. ``url`` is where it listens."""

    def __init__(
        self,
        secrets: Sequence[str] = (),
        *,
        paths: Sequence[str] = ("/webhook/calls",),
        freshness_s: float = 300.0,
        voxflow_secret: str = "",
        port: int = 0,
        tls: Any = None,
    ) -> None:
        self.secrets, self.paths, self.freshness_s = tuple(secrets), tuple(paths), freshness_s
        self.voxflow_secret = voxflow_secret
        self.received: list[Received] = []
        self.answers: list[Answer] = []
        self.otherwise: Answer | Callable[[Received], Answer] = Answer()
        self.open = self.most_open = 0
        self._port, self._tls = port, tls
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(
            self._connected, "127.0.0.1", self._port, ssl=self._tls
        )
        self._port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def url(self) -> str:
        """Its address."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self._port}"

    @property
    def port(self) -> int:
        """Its port, the same after another start."""
        return self._port

    def taken(self, event: str | None = None) -> list[Received]:
        """Return the requests that were taken (2xx), of one event or of all."""
        return [
            it
            for it in self.received
            if it.answered < 300 and (event is None or it.json.get("event") == event)
        ]

    def bodies(self, event: str | None = None) -> list[Any]:
        """Return what was taken, read."""
        return [it.json for it in self.taken(event)]

    # HTTP ------------------------------------------------------------------------------------

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while await self._request(reader, writer):
                pass
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, path, _ = head[0].split(" ")
        headers = {
            name.strip().lower(): value.strip()
            for name, _, value in (line.partition(":") for line in head[1:] if line)
        }
        length = int(headers.get("content-length", "0"))
        body = await reader.readexactly(min(length, MOST_BODY + 1))
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            return await self._answer(method, path, headers, body, writer)
        finally:
            self.open -= 1

    async def _answer(
        self,
        method: str,
        path: str,
        headers: dict[str, str],
        body: bytes,
        writer: asyncio.StreamWriter,
    ) -> bool:
        refusal = self._refusal(method, path, headers, body)
        if refusal is None:
            seen = Received(method, path, headers, body, time.time(), 0)
            answer = self.answers.pop(0) if self.answers else self.otherwise
            answer = answer if isinstance(answer, Answer) else answer(seen)
        else:
            answer = refusal
        status = 599 if answer.cut or answer.garbage else answer.status
        self.received.append(Received(method, path, headers, body, time.time(), status))
        if answer.delay_s:
            await asyncio.sleep(answer.delay_s)
        if answer.garbage:
            writer.write(b"\x00\xff not http at all\r\n\r\n")
            return False
        lines = [f"HTTP/1.1 {answer.status} X", f"Content-Length: {len(answer.body)}"]
        lines += [f"{name}: {value}" for name, value in answer.headers.items()]
        head = ("\r\n".join(lines) + "\r\n\r\n").encode()
        if answer.cut:
            writer.write(head + answer.body[: len(answer.body) // 2])
            return False
        writer.write(head + answer.body)
        await writer.drain()
        return headers.get("connection", "").lower() != "close"

    # What it refuses -----------------------------------------------------------------------------

    def _refusal(
        self, method: str, path: str, headers: dict[str, str], body: bytes
    ) -> Answer | None:
        where = path.partition("?")[0]
        if where not in self.paths or method != "POST":
            sentence = f'The requested webhook "{method} {where}" is not registered.'
            return Answer(404, json.dumps({"code": 404, "message": sentence}).encode())
        if len(body) > MOST_BODY:
            return Answer(413, b'{"message":"request entity too large"}')
        if headers.get("content-type", "").partition(";")[0] != "application/json":
            return Answer(415, b'{"message":"send JSON"}')
        try:
            json.loads(body)
        except ValueError:
            return Answer(422, b'{"message":"Failed to parse request body"}')
        if self.secrets and not self._is_signed(headers, body):
            return Answer(401, b'{"message":"signature"}')
        if self.voxflow_secret:
            wanted = hmac.new(self.voxflow_secret.encode(), body, hashlib.sha256).hexdigest()
            if headers.get("x-voxflow-signature") != f"sha256={wanted}":
                return Answer(401, b'{"message":"signature"}')
        return None

    def _is_signed(self, headers: dict[str, str], body: bytes) -> bool:
        parts = [part.partition("=") for part in headers.get("x-callfarm-signature", "").split(",")]
        times = [value for name, _, value in parts if name == "t"]
        if len(times) != 1 or abs(time.time() - int(times[0])) > self.freshness_s:
            return False
        signed = times[0].encode() + b"." + body
        known = {hmac.new(key.encode(), signed, hashlib.sha256).hexdigest() for key in self.secrets}
        return any(name == "v1" and value in known for name, _, value in parts)
