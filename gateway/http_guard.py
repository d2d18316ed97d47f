"""HTTP for the open network: a request's head has a size and a time.

uvicorn bounds neither. Without a proxy in front, whoever opens connections and sends their heads
slowly, or without end, would hold descriptors and memory of the gateway.
"""

import asyncio
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_SECONDS = 10.0
"""From the connection, or from a request's first byte, to the end of its head."""

HEAD_BYTES = 64 * 1024


class GuardedHttpProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol, which cuts off a head that is late or too long."""

    head_seconds = HEAD_SECONDS
    head_bytes = HEAD_BYTES

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Stand for one connection."""
        super().__init__(*args, **kwargs)
        self._in_head = True
        self._seen = 0
        self._late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to wait for the first request's head."""
        super().connection_made(cast("asyncio.Transport", transport))
        self._await_head()

    def data_received(self, data: bytes) -> None:
        """Take what came, unless it is more than a head may be."""
        if not self._in_head:
            super().data_received(data)
            return
        # One read may hold the head and much of a body.
        room = self.head_bytes - self._seen
        first, rest = data[:room], data[room:]
        self._seen += len(first)
        super().data_received(first)
        if not rest or self.transport.is_closing():
            return
        if self._seen:  # the head has not ended
            self._cut_off()
        elif self.transport.get_protocol() is self:  # and no WebSocket's yet
            super().data_received(rest)

    def on_message_begin(self) -> None:
        """Begin to wait for the rest of a request's head."""
        super().on_message_begin()
        self._await_head()

    def on_headers_complete(self) -> None:
        """A head is whole; what follows has limits of its own."""
        self._in_head, self._seen = False, 0
        self._forget()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is waited for any more."""
        self._forget()
        super().connection_lost(exc)

    def _await_head(self) -> None:
        self._forget()
        self._in_head = True
        self._late = self.loop.call_later(self.head_seconds, self._cut_off)

    def _forget(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _cut_off(self) -> None:
        self._forget()
        if self.transport is not None and not self.transport.is_closing():
            self.transport.abort()
