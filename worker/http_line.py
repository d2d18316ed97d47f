"""HTTP/1.1 as a call speaks it: a request and its answer on a connection that is kept. No JSON.

    connected ──request──> status, headers, body ──kept──> request …
                                             └ the server closes, or says nothing of how long it is

A whole client costs a call three megabytes and its loop some milliseconds, for the one request it
makes while the phone rings: what of a template's memory is touched is copied. So here are h11,
which knows the protocol, and a socket: no redirects, no cookies, no compression, no proxies.
"""

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import SplitResult, quote

import h11

from worker.tls import shared_context

MOST_BODY = 16 << 20
"""Bytes of an answer."""

KEPT_SECONDS = 5.0
"""How long a connection may rest before another request is not trusted to it."""

_PIECE = 65_536
_PORTS = {"http": 80, "https": 443}
_SAFE = "/%:@!$&'()*+,;=~-._"


class LineError(Exception):
    """What came is no answer, or no whole one."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server answered; ``headers`` by their names in small letters."""

    status: int
    headers: Mapping[str, str]
    content: bytes


class Line:
    """A connection to one server; ``connect`` makes one."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._loop = asyncio.get_running_loop()
        self._used_at = self._loop.time()
        self._protocol = h11.Connection(h11.CLIENT)

    @classmethod
    async def connect(cls, url: SplitResult) -> "Line":
        """Connect to the server of ``url``. Raises ``OSError``, and ``ValueError`` for no URL."""
        port = url.port or _PORTS[url.scheme]
        context = shared_context() if url.scheme == "https" else None
        return cls(*await asyncio.open_connection(url.hostname, port, ssl=context))

    @property
    def is_open(self) -> bool:
        """Whether another request may go on it."""
        is_gone = self._reader.at_eof() or self._writer.is_closing()
        is_idle = self._protocol.our_state is h11.IDLE
        return is_idle and not is_gone and self._loop.time() - self._used_at < KEPT_SECONDS

    async def ask(
        self, verb: str, target: str, headers: Mapping[str, str], content: bytes | None
    ) -> Answer:
        """Send a request, return its answer. ``headers`` name the host.

        Raises `LineError`, also for a request that cannot be sent, and ``OSError``.
        """
        told = [*headers.items()]
        if content is not None:
            told.append(("Content-Length", str(len(content))))
        try:
            request = h11.Request(method=verb, target=target, headers=told)
            self._send(request, *([h11.Data(data=content)] if content else []), h11.EndOfMessage())
            await self._writer.drain()
            return await self._answer()
        except h11.ProtocolError as error:
            raise LineError from error

    def _send(self, *events: h11.Event) -> None:
        self._writer.write(b"".join(self._protocol.send(event) or b"" for event in events))

    async def _answer(self) -> Answer:
        answer: h11.Response | None = None
        body = bytearray()
        while True:
            event = self._protocol.next_event()
            if event is h11.NEED_DATA:
                self._protocol.receive_data(await self._reader.read(_PIECE))
            elif isinstance(event, h11.Response):
                answer = event
            elif isinstance(event, h11.Data):
                body += event.data
                if len(body) > MOST_BODY:
                    raise LineError
            elif isinstance(event, h11.EndOfMessage) and answer is not None:
                break
            elif not isinstance(event, h11.InformationalResponse):
                raise LineError
        if self._protocol.our_state is self._protocol.their_state is h11.DONE:
            self._protocol.start_next_cycle()
        self._used_at = self._loop.time()
        found = {name.decode(): value.decode("latin-1") for name, value in answer.headers}
        return Answer(answer.status_code, found, bytes(body))

    async def aclose(self) -> None:
        """Close it, without a farewell: that of TLS would wait for the other side."""
        self._writer.transport.abort()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()


def target_of(url: SplitResult, path: str, query: str) -> str:
    """Return how a server knows ``path`` below ``url``."""
    target = quote(url.path + path, safe=_SAFE) or "/"
    return f"{target}?{query}" if query else target


def host_of(url: SplitResult) -> str:
    """Return what the ``Host`` header says. Raises ``ValueError`` for what is no server's URL."""
    host, port = url.hostname, url.port
    if url.scheme not in _PORTS or not host:
        raise ValueError
    host = host.encode("idna").decode() if not host.isascii() else host
    host = f"[{host}]" if ":" in host else host
    return host if port in (None, _PORTS[url.scheme]) else f"{host}:{port}"
