"""One call's voice over one provider socket: what `worker.tts.contexts` decides, done.

    post, abort ──> contexts ──outbox──> writer ──> socket ──> reader ──> contexts ──> listener
                       ^                    │
                       └──── tick, when due ┘

A task reads and a task writes; nothing is made for a piece of audio. Both end with the socket,
and the link opens another. Nothing here knows a wire.
"""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol
from uuid import UUID

from shared.log import get_logger
from worker.backoff import Retry
from worker.errors import ProviderError
from worker.link import Link
from worker.message import Message
from worker.tts import TTSListener
from worker.tts.contexts import Contexts
from worker.tts.utterance import Habits
from worker.tts.wire import Said, Wire

_log = get_logger(__name__)


class Socket(Protocol):
    """A provider's open socket. Both raise when it is closed, whichever side closed it."""

    async def receive(self) -> bytes:
        """Return the next message."""

    async def send(self, said: Said) -> None:
        """Send a message as JSON."""


class ContextSession:
    """A `worker.tts.TTSSession`."""

    def __init__(
        self,
        provider: str,
        listener: TTSListener,
        opening: Callable[[], AbstractAsyncContextManager[Socket]],
        wire: Callable[[], Wire],
        fault: Callable[[BaseException], ProviderError],
        habits: Habits,
        retry: Retry,
    ) -> None:
        self._provider, self._listener, self._wire = provider, listener, wire
        self._contexts = Contexts(provider, listener, habits)
        self._link = Link(provider, opening, self._serve, fault, self._failed, self._lost, retry)
        self._loop = asyncio.get_running_loop()
        self._stirred = asyncio.Event()
        self._sleeps_until: float | None = None
        self._closed = False

    async def start(self) -> None:
        """Open the socket. Raises `ProviderError` when it cannot be had."""
        await self._link.start()

    def post(self, message: Message[str]) -> None:
        """Speak a piece of an utterance, when there is a socket."""
        if not self._closed:
            self._contexts.post(message, self._loop.time())
            self._stir()

    def abort(self, uuid: UUID) -> None:
        """Forget an utterance, text of it that is still to come included."""
        self._contexts.abort(uuid, self._loop.time())
        self._stir()

    async def aclose(self) -> None:
        """Stop speaking and close the socket; what waits is dropped."""
        self._closed = True
        self._contexts.forget()
        await self._link.aclose()

    def _failed(self, error: ProviderError) -> None:
        if not self._closed:
            self._closed = True
            self._contexts.forget()
            self._listener.failed(error)

    def _lost(self, error: ProviderError) -> None:
        _log.info("voice_lost", provider=self._provider, reason=error.sentence)

    # A socket's life ------------------------------------------------------------------------

    async def _serve(self, socket: Socket) -> None:
        try:
            self._contexts.opened(self._wire(), self._loop.time())
            async with asyncio.TaskGroup() as group:
                group.create_task(self._write(socket))
                group.create_task(self._read(socket))
        finally:
            self._contexts.lost()

    async def _read(self, socket: Socket) -> None:
        while True:
            raw = await socket.receive()
            self._contexts.received(raw, self._loop.time())
            self._stir()

    async def _write(self, socket: Socket) -> None:
        """Send what is to be sent, and do what is due while there is nothing."""
        contexts = self._contexts
        while True:
            self._stirred.clear()
            while contexts.outbox:
                await socket.send(contexts.outbox.popleft())
            self._sleeps_until = contexts.wake_at()
            try:
                async with asyncio.timeout_at(self._sleeps_until):
                    await self._stirred.wait()
            except TimeoutError:
                contexts.tick(self._loop.time())

    def _stir(self) -> None:
        """Wake the writer if it has to do something sooner than it thinks."""
        due_at, until = self._contexts.wake_at(), self._sleeps_until
        if self._contexts.outbox or (due_at is not None and (until is None or due_at < until)):
            self._stirred.set()
